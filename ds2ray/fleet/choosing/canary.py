"""The canary: a sample of the users who try a new base before anybody else, and what they gain by it. Pure.

What a user had is the adapter of the base before, with the held-out error that its pointer has. Speech is held out by
the same rule on every base, so that of a user whose speech has not changed the same utterances are compared.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ds2ray.config import AdaptConfig, Canary
from ds2ray.fleet.plan import Plan, UserPlan
from ds2ray.store import AdapterPointer
from ds2ray.store.outcomes import Outcome, Status
from ds2ray.store.verify import ID_LENGTH

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Sample:
    """The users who are trained before anybody else.

    Attributes:
        base_before: fingerprint of the base that the fleet's adapters are of.
        errors: held-out error of what each of the users has, by key.
    """

    base_before: str
    users: tuple[UserPlan, ...]
    errors: Mapping[str, float]

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(self.errors)


@dataclass(frozen=True)
class Found:
    """What a sample gained.

    Attributes:
        served: users who get an adapter, or err by the new base alone no more than with what they had.
        published: those of them who get an adapter.
        error_before, error_after: mean held-out error of what they had, and of what they would have; None where nobody
            could be trained.
        held: whether the gains hold, so that the others follow.
    """

    base_before: str
    users: int
    served: int
    published: int
    error_before: float | None
    error_after: float | None
    held: bool

    def text(self) -> str:
        """The figures in words."""
        before, after = self.error_before, self.error_after
        known = before is not None and after is not None
        errors = f", mean held-out error {_percent(before)} with what they had, {_percent(after)} now" if known else ""
        better = self.served - self.published
        alone = f", {better} do no worse by the base alone" if better else ""
        return f"of {self.users} users {self.published} get an adapter{alone}{errors}"


def found_of(summary: Mapping[str, Any]) -> Found | None:
    """What the sample of a run gained by its summary; None of a run without one."""
    told = summary.get("canary")
    if not isinstance(told, dict) or not {field.name for field in fields(Found)} <= told.keys():
        return None
    return Found(**{field.name: told[field.name] for field in fields(Found)})


def last_begun(summaries: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The newest of these runs that no canary has ended; empty where there is none.

    Args:
        summaries: of the runs before, the newest first.
    """
    for summary in summaries:
        canary = summary.get("canary")
        if not (isinstance(canary, dict) and canary.get("held") is False):
            return summary
    return {}


def base_of_fleet(run: Mapping[str, Any]) -> str:
    """The fingerprint of the base that a fleet's adapters were trained on in this run; empty where it does not tell."""
    return str(run.get("base_fingerprint") or "")


def had_metric(run: Mapping[str, Any], adapt: AdaptConfig) -> str:
    """The metric of held-out errors in this run; where it does not tell, that of the settings."""
    settings = run.get("settings")
    told = settings.get("adapt.gate_metric") if isinstance(settings, dict) else None
    return str(told or adapt.gate_metric.name)


def is_wanted(canary: Canary, base_fingerprint: str, base_before: str) -> bool:
    """Whether a run on this base begins with a canary, where the fleet's adapters are of `base_before`."""
    if canary is Canary.never or not base_before:
        return False
    return canary is Canary.always or base_fingerprint != base_before


def candidates(plan: Plan, keys_with_adapter: Iterable[str], base_fingerprint: str) -> list[UserPlan]:
    """The users who may be in the sample, in the order in which they are asked: by a digest of base and key, so that
    it is the same in every run, and other users try the next base."""
    have = set(keys_with_adapter)
    users = [user for user in plan.users if user.to_train and user.user_key in have]
    return sorted(users, key=lambda user: hashlib.sha256(f"{base_fingerprint}/{user.user_key}".encode()).digest())


def error_had(pointer: AdapterPointer | None, base_before: str) -> float | None:
    """The held-out error of what a user has; None where that is no adapter of the base before, or is not known."""
    if pointer is None or pointer.base_fingerprint != base_before:
        return None
    return pointer.error_after


def found_in(sample: Sample, outcomes: Iterable[Outcome], adapt: AdaptConfig) -> Found:
    """What the sample gained by the outcomes of its users; who has none, or failed, gained nothing."""
    pairs: list[tuple[float, float]] = []
    published = served = 0
    for outcome in outcomes:
        had, has = sample.errors[outcome.user_key], _error_now(outcome)
        published += outcome.status is Status.adapted
        served += outcome.status is Status.adapted or (has is not None and has <= had)
        if has is not None:
            pairs.append((had, has))
    before, after = (_mean([pair[place] for pair in pairs]) for place in (0, 1))
    num_users = len(sample.users)
    few = served < adapt.canary_min_share * num_users
    risen = before is None or after is None or after - before > adapt.canary_max_rise + _ROUNDING
    return Found(sample.base_before[:ID_LENGTH], num_users, served, published, before, after, not (few or risen))


def sample_text(sample: Sample, plan: Plan, adapt: AdaptConfig) -> str:
    """The line of a plan that tells of the canary."""
    to_train = sum(user.to_train for user in plan.users)
    others = f"and the other {to_train - len(sample.users)} only if" if to_train > len(sample.users) else "and count if"
    return (
        f"canary: {len(sample.users)} users with an adapter of base {sample.base_before[:ID_LENGTH]} first, {others} "
        f"{100 * adapt.canary_min_share:g} % of them gain, and their mean error rises by at most "
        f"{100 * adapt.canary_max_rise:g} points (adapt.canary={adapt.canary.value})"
    )


def _error_now(outcome: Outcome) -> float | None:
    """The held-out error of what a user would have; None where nothing was trained."""
    if outcome.status is Status.adapted:
        return outcome.error_after
    return outcome.error_before if outcome.error_current is None else outcome.error_current


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.1f} %"


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
