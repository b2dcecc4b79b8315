"""Finding the user whose speech ends workers, so that no other user of the cohort fails with it.

A cohort's first attempt writes nothing. An attempt that follows a dead worker trains each user alone, and first writes
the user's key to a small object: `<root>/runs/<run id>/attempts/<cohort>.json`. Where the worker dies again, the next
attempt reads the key, and goes on without that user.
"""

import logging
from dataclasses import dataclass

from ds2ray.errors import ArtifactCorruptError
from ds2ray.store.layout import attempt_uri
from ds2ray.store.outcomes import Status
from ds2ray.store.records import read_record, write_record
from ds2ray.store.recovery.aside import set_aside
from ds2ray.store.store import Store

log = logging.getLogger(__name__)

KIND = "attempt"


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    """The user whom an attempt trains alone. Records of early releases name neither run nor cohort."""

    attempt: int
    user_key: str
    run_id: str | None = None
    cohort: int | None = None


class Patience:
    """The failed attempts that a cohort may have: fewer than `max_attempts` in a row without any user done.

    An attempt that found a user who ends workers does not count, but for at most `max_attempts` such users in a row:
    where every user ends the worker, the fault is not the users'.
    """

    def __init__(self, max_attempts: int) -> None:
        self.max_attempts = max_attempts
        self.max_failures = max_attempts - 1
        self._num_failed = 0

    def lost_node(self) -> None:
        """A node was lost: that failure does not count as an attempt."""
        self.max_failures += 1

    def finished(self, status: Status, num_failures: int) -> None:
        """A user is done, after this many failures of the cohort."""
        if status is not Status.failed:
            self.max_failures = max(self.max_failures, num_failures + self.max_attempts - 1)
            self._num_failed = 0
        elif num_failures and self._num_failed < self.max_attempts:
            self.max_failures += 1
            self._num_failed += 1


def name_user(store: Store, run_id: str, cohort: int, attempt: int, user_key: str) -> None:
    """Write the key of the user that this attempt is about to train alone."""
    record = _Attempt(run_id=run_id, cohort=cohort, attempt=attempt, user_key=user_key)
    write_record(store, attempt_uri(store, run_id, cohort), KIND, record)


def named_user(store: Store, run_id: str, cohort: int, attempt: int) -> str:
    """The key of the user that this attempt last trained alone; empty where it named no user.

    A damaged record is set aside: the user that ends workers is found once more, by a further attempt.
    """
    uri = attempt_uri(store, run_id, cohort)
    try:
        record = read_record(store, _Attempt, uri, kind=KIND, remedy="it is written again")
        if (record.run_id, record.cohort) not in ((None, None), (run_id, cohort)):
            whose = f"cohort {record.cohort} of run {record.run_id}"
            raise ArtifactCorruptError(f"{uri}: belongs elsewhere: it is of {whose}, not of {cohort} of {run_id}")
    except FileNotFoundError:
        return ""
    except ArtifactCorruptError as error:
        log.warning("%s", set_aside(store, uri, str(error)))
        return ""
    return record.user_key if record.attempt == attempt else ""
