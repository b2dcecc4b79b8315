"""The share of users that one run may train again: more than a night usually changes is a mistake or a new base."""

from collections.abc import Callable

from ds2ray.config import AdaptConfig, Retry
from ds2ray.errors import ConfigError
from ds2ray.fleet.plan import Change, Plan


def changed_ratio(plan: Plan) -> float:
    """The share of changed users in those whom an earlier run has finished; new users change nothing."""
    changed, unchanged = plan.count(Change.changed), plan.count(Change.unchanged)
    return changed / (changed + unchanged) if changed else 0.0


def require_few_changed(plan: Plan, adapt: AdaptConfig, ask: Callable[[str], bool]) -> None:
    """Raise a ConfigError where the plan changes more than `adapt.max_changed_ratio`, and nobody at the terminal wants
    it so. A run of chosen users is meant as it is.

    Args:
        ask: takes a question; whether it is answered with yes.
    """
    ratio, max_ratio = changed_ratio(plan), adapt.max_changed_ratio
    if ratio <= max_ratio or adapt.only or adapt.retry is not Retry.none:
        return
    changed = plan.count(Change.changed)
    what = f"{changed} known users, {100 * ratio:.0f} %, would be trained again"
    if ask(f"{what}, more than adapt.max_changed_ratio={max_ratio:g}: train them?"):
        return
    raise ConfigError(
        f"{what}, more than adapt.max_changed_ratio={max_ratio:g}; nothing was started. A new base, other settings of "
        "adapters or data, or a table whose speech was written anew would do that: look at the plan with --dry-run, "
        "and where it is meant, run once with adapt.max_changed_ratio=1"
    )
