"""A night compared with those before it: counts, users who came and went, causes, and errors that rise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ds2ray.config.reporting.report import ReportConfig
from ds2ray.fleet.choosing.canary import Found, found_of
from ds2ray.nights.causes import Cause, causes_of
from ds2ray.nights.night import Night, shipped_error
from ds2ray.nights.spent import training_s
from ds2ray.nights.words import traffic_text
from ds2ray.store.outcomes import Status

MAX_REGRESSIONS = 20

_LABELS = {
    Status.adapted: "with a new adapter",
    Status.unchanged: "unchanged",
    Status.kept_previous: "kept what they had",
    Status.skipped_no_data: "skipped, too little speech",
    Status.failed: "failed",
}


@dataclass(frozen=True)
class Count:
    """A number of a night, and the same of the night before; None where it is not known."""

    label: str
    now: float | None
    before: float | None

    @property
    def change(self) -> float | None:
        return None if self.now is None or self.before is None else self.now - self.before


@dataclass(frozen=True)
class Regression:
    """A user whose held-out error is higher than it was in an earlier run. Errors are fractions."""

    user_key: str
    error_before: float
    run_before: str
    error_now: float
    run_now: str

    @property
    def rise(self) -> float:
        return self.error_now - self.error_before


@dataclass(frozen=True)
class Comparison:
    """A night, and what is told of it.

    Attributes:
        earlier: nights before it, the newest first; empty for the first.
        counts: users, and then by status.
        rates: mean held-out errors of trained users, as fractions; where there was an anchor, those of ordinary speech
            through new adapters, too.
        new, gone: keys of users; `gone` are in the plan of the night before alone.
        regressions: the greatest rises first, over all these nights.
        canary: what the users gained who were trained before the others; None where there were none.
        changed_settings: names of settings, each with its value before and now.
    """

    night: Night
    earlier: tuple[Night, ...]
    counts: tuple[Count, ...]
    rates: tuple[Count, ...]
    new: tuple[str, ...]
    gone: tuple[str, ...]
    causes: tuple[Cause, ...]
    regressions: tuple[Regression, ...]
    canary: Found | None
    changed_settings: dict[str, tuple[str, str]]

    @property
    def before(self) -> Night | None:
        """The night that this one is compared with."""
        return self.earlier[0] if self.earlier else None

    @property
    def traffic(self) -> str:
        """What the night asked of servers; empty where that was nothing, or is not known."""
        return traffic_text(self.night.summary.get("traffic"))


def compared(night: Night, earlier: Sequence[Night] = ()) -> Comparison:
    """Compare a night with earlier ones, the newest first."""
    before = earlier[0] if earlier else None
    settings, settings_before = (dict((n.summary.get("settings") or {}) if n else {}) for n in (night, before))
    gone = before.keys - night.keys if before is not None and before.plan is not None and night.plan is not None else ()
    return Comparison(
        night=night,
        earlier=tuple(earlier),
        counts=tuple(_counts(night.summary, before.summary if before else {})),
        rates=(
            *(
                Count(label, _number(night.summary, name), _number(before.summary if before else {}, name))
                for label, name in (("base alone", "held_out_error_before"), ("after the run", "held_out_error_after"))
            ),
            *_rates_of_ordinary_speech(night, before),
        ),
        new=tuple(night.new_users()),
        gone=tuple(sorted(gone)),
        causes=tuple(causes_of(night.outcomes)),
        regressions=tuple(_regressions([night, *earlier])),
        canary=found_of(night.summary),
        changed_settings={
            name: (settings_before.get(name, "–"), settings.get(name, "–"))
            for name in sorted({*settings, *settings_before} if settings_before and settings else ())
            if settings_before.get(name) != settings.get(name)
        },
    )


def _rates_of_ordinary_speech(night: Night, before: Night | None) -> list[Count]:
    """Mean errors on the anchor over the adapters that were published; none where there was no anchor."""
    labels = {
        "anchor_error_before": "ordinary speech by the base alone",
        "anchor_error_after": "… and through the new adapters",
    }
    counts = [Count(label, *(_mean_of(name, one) for one in (night, before))) for name, label in labels.items()]
    return [count for count in counts if count.now is not None]


def _mean_of(name: str, night: Night | None) -> float | None:
    """The mean of a field of the outcomes with a new adapter; None where none of them has it."""
    adapted = [outcome for outcome in night.outcomes if outcome.status is Status.adapted] if night else []
    values = [value for value in (getattr(outcome, name) for outcome in adapted) if value is not None]
    return sum(values) / len(values) if values else None


def _counts(summary: dict[str, Any], before: dict[str, Any]) -> list[Count]:
    statuses, statuses_before = summary.get("statuses") or {}, before.get("statuses") or {}
    counts = [Count("users", _number(summary, "users"), _number(before, "users"))]
    for status, label in _LABELS.items():
        counts.append(Count(label, _number(statuses, status.value), _number(statuses_before, status.value)))
        if status is Status.unchanged:
            counts += [
                Count(f"… of them {word} an adapter", _number(summary, name), _number(before, name))
                for word, name in (("with", "unchanged_with_adapter"), ("without", "unchanged_without_adapter"))
            ]
    labels = {"unusable": "without usable speech for a cause in the data", "erased": "refused, as they were erased"}
    return [*counts, *(Count(label, _number(summary, name), _number(before, name)) for name, label in labels.items())]


def _number(values: dict[str, Any], name: str) -> float | None:
    value = values.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _regressions(nights: Sequence[Night]) -> list[Regression]:
    """Users whose newest error is above the lowest of the nights before it."""
    newest: dict[str, tuple[float, str]] = {}
    lowest: dict[str, tuple[float, str]] = {}
    for night in nights:
        for outcome in night.outcomes:
            error, key = shipped_error(outcome), outcome.user_key
            if error is None:
                continue
            if key not in newest:
                newest[key] = error, night.run_id
            elif key not in lowest or error < lowest[key][0]:
                lowest[key] = error, night.run_id
    risen = [Regression(key, *lowest[key], *newest[key]) for key in lowest if newest[key][0] > lowest[key][0]]
    return sorted(risen, key=lambda user: (-user.rise, user.user_key))[:MAX_REGRESSIONS]


def gpu_hours(night: Night) -> float | None:
    """GPUs of the cluster times hours of training; None where a run of an earlier release did not record them."""
    stages, gpus = night.summary.get("stages"), _number(night.summary, "gpus")
    return None if not isinstance(stages, dict) or gpus is None else gpus * training_s(night.summary) / 3600


def cost(night: Night, report: ReportConfig) -> float | None:
    """What the run cost by the prices of the settings; None without prices, or where hours are not known."""
    hours, seconds = gpu_hours(night), _number(night.summary, "seconds")
    if not (report.price_per_gpu_hour or report.price_per_hour) or hours is None or seconds is None:
        return None
    return hours * report.price_per_gpu_hour + seconds / 3600 * report.price_per_hour
