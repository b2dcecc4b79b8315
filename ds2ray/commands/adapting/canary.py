"""The canary of a fleet run: who tries a new base first, what they gained, and the end of a run where that is too
little. Until it is known nothing is written to the store."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from ds2ray import display
from ds2ray.commands.planning import size_of_cohorts
from ds2ray.config import AdaptJob, Canary
from ds2ray.errors import ArtifactCorruptError, CanaryError, Ds2RayError, InputError
from ds2ray.fleet.choosing.canary import (
    Found,
    Sample,
    base_of_fleet,
    candidates,
    error_had,
    had_metric,
    is_wanted,
    last_begun,
    sample_text,
)
from ds2ray.fleet.plan import Plan, UserPlan, cohorts_of
from ds2ray.fleet.trained import TrainedUser
from ds2ray.naming import typed
from ds2ray.nights.night import read_last_run, summaries_before
from ds2ray.nights.spent import Spent
from ds2ray.store import AdapterPointer, BaseRecord, Store, list_bases, read_pointer
from ds2ray.store.bases import current_base_id, make_current, read_canary, write_canary
from ds2ray.store.index import read_rows
from ds2ray.store.keys import private
from ds2ray.store.outcomes import write_part
from ds2ray.store.verify import ID_LENGTH
from ds2ray.tables.manifest import Utterance

PART = "canary"
"""The part with the outcomes of the users who were trained first."""

_AT_ONCE = 16  # pointers that are read at the same time
_MOST_TIMES = 20  # as many pointers are read as users are wanted, at most
_MOST_RUNS = 1000  # that a canary has ended, one after the other: each is a small file


def wanted_sample(job: AdaptJob, store: Store, record: BaseRecord, plan: Plan, index: Any = None) -> Sample | None:
    """The users who are trained before the others, and a line on them; None where nobody has to be.

    A base that has passed its canary is not tried so again by users of the same base before, as where the run was
    killed after that.

    Args:
        index: its rows, where they have been read already.
    """
    canary = job.adapt.canary
    if canary is Canary.never or not plan.cohorts:
        return None
    last = last_begun(summaries_before(store, read_last_run(store), _MOST_RUNS))
    before = base_of_fleet(last)
    if before and not is_wanted(canary, record.fingerprint, before):
        return None
    index = read_rows(store) if index is None else index
    columns = (index[name].to_pylist() for name in ("user_key", "version"))
    asked = candidates(plan, (key for key, version in zip(*columns, strict=True) if version), record.fingerprint)
    before = before or _base_of_most(store, asked[: job.adapt.canary_users])
    if not is_wanted(canary, record.fingerprint, before):
        return None
    if canary is Canary.new_base and _has_passed(store, record.base_id, before):
        return None
    metric, had = job.adapt.gate_metric.name, had_metric(last, job.adapt)
    if had != metric:
        display.say(
            f"  canary: none, as errors of before cannot be compared: adapt.gate_metric={metric}, and {had} then"
        )
        return None
    sample = _with_errors(store, asked, before, job.adapt.canary_users)
    if not sample.users:
        display.say(
            f"  canary: none, as no user to train has an adapter of base {before[:ID_LENGTH]} with a known error"
        )
        return None
    display.say(f"  {sample_text(sample, plan, job.adapt)}")
    return sample


def _has_passed(store: Store, base_id: str, base_before: str) -> bool:
    """Whether users of that base before have tried this one already, and gained."""
    try:
        found = read_canary(store, base_id)
        return found is not None and found.get("base_before") == base_before[:ID_LENGTH]
    except Ds2RayError as error:
        display.say(f"  {error}")
        return False


def _base_of_most(store: Store, users: Sequence[UserPlan]) -> str:
    """The fingerprint of the base that most of these users' adapters are of, where no run tells it, as those of early
    releases; empty without adapters."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        pointers = filter(None, pool.map(partial(_pointer, store), users))
        bases = Counter(pointer.base_fingerprint for pointer in pointers)
    return max(bases, key=lambda base: (bases[base], base), default="")


def _pointer(store: Store, user: UserPlan) -> AdapterPointer | None:
    """A user's pointer; None without one, and for a damaged one, which is told where the user is trained."""
    try:
        return read_pointer(store, user.user_key)
    except ArtifactCorruptError:
        return None


def _with_errors(store: Store, asked: Sequence[UserPlan], base_before: str, most: int) -> Sample:
    """The first of these users, at most so many, whose pointers tell the error of what they have. Where hardly any
    does, some hundreds are looked at."""
    users: list[UserPlan] = []
    errors: dict[str, float] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(0, min(len(asked), _MOST_TIMES * most), most):
            some = asked[start : start + most]
            for user, pointer in zip(some, pool.map(partial(_pointer, store), some), strict=True):
                had = error_had(pointer, base_before)
                if had is not None and len(users) < most:
                    users.append(user)
                    errors[user.user_key] = had
            if len(users) == most:
                break
    return Sample(base_before, tuple(users), errors)


def try_first(
    job: AdaptJob,
    store: Store,
    plan: Plan,
    sample: Sample,
    run_id: str,
    record: BaseRecord,
    weights: bytes,
    keep_alive: Callable[[], None],
    anchor: Sequence[Utterance],
    spent: Spent,
) -> dict[str, TrainedUser]:
    """Train the sample on the connected cluster, as `train_cohorts` does; what comes of it by key, unpublished."""
    from ds2ray.cluster.fleet import train_cohorts
    from ds2ray.cluster.session import room_for_trials

    room = room_for_trials(job.adapt.cpus_per_trial, job.adapt.gpus_per_trial)
    cohorts = cohorts_of(sample.users, size_of_cohorts(job, record, room))
    first = replace(plan, users=sample.users, unchanged=plan.unchanged.slice(0, 0), cohorts=cohorts)
    trained: dict[str, TrainedUser] = {}
    train_cohorts(job, store, first, run_id, record, weights, keep_alive, anchor=anchor, held_back=trained, spent=spent)
    return trained


def require_gains(found: Found, job: AdaptJob, store: Store, record: BaseRecord) -> None:
    """Say what the sample gained. Where that is too little, see that the base before is the current one, and raise.

    Raises:
        CanaryError: it is too little.
    """
    if found.held:
        display.say(f"canary held: {found.text()}")
        return
    adapt = job.adapt
    raise CanaryError(
        f"the canary of base {record.base_id} failed: {found.text()}; wanted are gains for "
        f"{100 * adapt.canary_min_share:g} % of them (adapt.canary_min_share) and a mean error that rises by at most "
        f"{100 * adapt.canary_max_rise:g} points (adapt.canary_max_rise). Nobody was given a new adapter"
        f"{_base_kept(store, record, found.base_before)}. Train a better base, or take this one all the same: "
        f"`{typed('adapt_users')} {job.users} adapt.canary=never`"
    )


def _base_kept(store: Store, record: BaseRecord, before: str) -> str:
    """Make the base before current again where the new one is; returns what is to be said of it."""
    if record.base_id == before:
        return ""
    try:
        current = current_base_id(store)
        if current == record.base_id and before in list_bases(store):
            make_current(store, before)
            return f", and base {before} is current again"
    except InputError:
        return ""
    return f", and base {current} is current as before"


def publish_sample(
    store: Store, run_id: str, record: BaseRecord, found: Found, trained: dict[str, TrainedUser]
) -> None:
    """Publish what the sample's canary held back, and write the outcomes. To be called when the run has begun."""
    display.doing("publishing", f"{len(trained)} users of the canary")
    write_canary(store, record.base_id, {**asdict(found), "run_id": run_id})
    outcomes = [user.published(store) for user in trained.values()]
    write_part(store, run_id, PART, [replace(outcome, reason=private(outcome.reason)) for outcome in outcomes])
