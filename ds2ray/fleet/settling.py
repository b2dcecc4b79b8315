"""The outcome of each user of a run whose trials have ended or were stopped. Pure."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ds2ray.fleet.plan import Change, Plan
from ds2ray.store.outcomes import Outcome, Status
from ds2ray.store.recovery.marks import PlannedUser
from ds2ray.tables.problems import is_unreadable, listed

OUT_OF_MEMORY = "its worker died, perhaps for lack of memory (adapt.max_concurrent_trials=1 needs the least)"
SETTLED_PART = "settled"
"""The part with the outcomes of all users of a run. Its name sorts last, so that it replaces the trials' parts."""

MAX_LOOKED_AT = 10_000
"""Users whose pointers are read at the end of a run that was stopped."""


@dataclass(frozen=True)
class CohortStarts:
    """How often the trial of a cohort was started, and the error that ended it, if any."""

    attempts: int = 1
    error: str = ""


def is_unusable(num_usable: int, num_dropped: int, reasons: Mapping[str, int], min_utterances: int) -> bool:
    """Whether a user has too few usable utterances for a cause in the data pipeline.

    There would be enough if none of the others had to be left out, or the manifest as a whole cannot be read.
    """
    return num_usable < min_utterances and (num_usable + num_dropped >= min_utterances or is_unreadable(reasons))


def unsettled(plan: Plan, trained: Sequence[Outcome], *, finished: bool) -> dict[str, PlannedUser]:
    """The users of cohorts without an outcome, by key, in the order in which trials begin.

    A worker may have published for them before it ended. Where the trials were stopped, these are the first
    MAX_LOOKED_AT: trials begin with the first cohorts, and whoever has stopped a run does not want to wait.
    """
    known = {outcome.user_key for outcome in trained}
    users = (plan.users[number] for cohort in plan.cohorts for number in cohort)
    left = (user for user in users if user.user_key not in known)
    looked_at = left if finished else itertools.islice(left, MAX_LOOKED_AT)
    return {user.user_key: PlannedUser(user.num_utterances, user.num_dropped) for user in looked_at}


def settle(
    plan: Plan,
    trained: Sequence[Outcome],
    starts: Mapping[int, CohortStarts],
    *,
    finished: bool,
    min_utterances: int,
) -> list[Outcome]:
    """One outcome per user who is not unchanged, in the plan's order; of a stopped run, per user done.

    Args:
        trained: the outcomes that the trials wrote.
        starts: by cohort, how often its trial was started, and the error that ended it.
        finished: whether the trials came to their end; users without an outcome failed only then.
        min_utterances: users with fewer usable utterances are skipped.
    """
    outcome_of = {outcome.user_key: outcome for outcome in trained}
    cohort_of = {user: number for number, cohort in enumerate(plan.cohorts) for user in cohort}
    rows = []
    for number, user in enumerate(plan.users):
        start = starts.get(cohort_of.get(number, -1), CohortStarts())
        if user.user_key in outcome_of:
            rows.append(replace(outcome_of[user.user_key], attempts=start.attempts))
            continue
        untrained = Outcome(
            user_key=user.user_key, status=Status.skipped_no_data, attempts=0, fingerprint=user.fingerprint,
            utterances_dropped=user.num_dropped,
        )  # fmt: skip
        if user.change is Change.skipped:
            reason = f"{user.num_utterances} usable utterances, at least {min_utterances} are needed"
            reason += f" ({listed(user.reasons)})" if user.reasons else ""
            unusable = is_unusable(user.num_utterances, user.num_dropped, user.reasons, min_utterances)
            rows.append(replace(untrained, reason=reason, unusable=unusable))
        elif finished:
            times = "once" if start.attempts == 1 else f"{start.attempts} times"
            reason = f"its cohort was started {times}, in vain: {start.error or OUT_OF_MEMORY}; see Ray's logs"
            rows.append(replace(untrained, status=Status.failed, reason=reason, attempts=start.attempts))
    return rows
