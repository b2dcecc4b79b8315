"""The end of a run whose first users all fail, and for one cause: then the fault is not theirs. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ds2ray.errors import CommonCauseError, Ds2RayError
from ds2ray.naming import typed
from ds2ray.store.outcomes import Outcome, Status

_OF_THE_USER = re.compile(r"'[^']*'|\"[^\"]*\"|\S*/\S*|\d+")
"""Names, paths and numbers, which differ from user to user."""

MAX_CAUSE = 200


def causes(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """The users among these whose training failed, counted by cause: the reason without what is the user's own.

    Who failed without any usable speech, as by a manifest that cannot be read, says nothing of others.
    """
    failed = (outcome for outcome in outcomes if outcome.status is Status.failed and outcome.utterances_used)
    return dict(Counter(cause_of(outcome.reason) for outcome in failed))


def cause_of(reason: str) -> str:
    """A reason without names, paths and numbers."""
    return _OF_THE_USER.sub("…", reason)[:MAX_CAUSE]


class FirstUsers:
    """The first users that a run has done, and what became of them.

    Args:
        num_wanted: so many failures for one cause, with nobody trained before them, end the run; 0: nothing does.
        cohort_sizes: users of each cohort.
    """

    def __init__(self, num_wanted: int, cohort_sizes: Sequence[int] = ()) -> None:
        self.num_wanted = num_wanted
        self.cohort_sizes = cohort_sizes
        self._num_done: Counter[int] = Counter()  # by cohort
        self._failed: Counter[str] = Counter()  # by cause
        self._error: Ds2RayError | None = None
        self._different = num_wanted == 0  # a user was trained, or failed for another cause

    def finished(self, cohort: int, statuses: Mapping[str, int], failed: Mapping[str, int]) -> None:
        """Take up users of a cohort who are done, counted by status; of these `failed`, counted by cause.

        Users who were skipped, or failed by what is their own, count neither way.
        """
        self._num_done[cohort] += sum(statuses.values())
        self._failed.update(failed)
        trained = any(statuses.get(status.value) for status in (Status.adapted, Status.kept_previous))
        self._different |= trained or len(self._failed) > 1

    def given_up(self, cohort: int, reason: str, error: Ds2RayError | None) -> None:
        """Take up that all users of a cohort failed who are not done yet, by an error of ours where it is one."""
        left = self.cohort_sizes[cohort] - self._num_done[cohort] if cohort < len(self.cohort_sizes) else 0
        if left:
            self.finished(cohort, {Status.failed.value: left}, {cause_of(reason): left})
            self._error = error

    def require_another_outcome(self) -> None:
        """Raise the one cause by which all of the first users failed: the error itself, or a CommonCauseError."""
        if self._different or self._failed.total() < self.num_wanted:
            return
        (cause,) = self._failed
        raise type(self._error or CommonCauseError())(
            f"the first {self._failed.total()} users all failed for one cause, so the others were not tried: "
            f"{self._error or cause}; mend it and run {typed('adapt_users')} again "
            "(adapt.stop_after_failures=0 tries all users whatever happens)"
        )
