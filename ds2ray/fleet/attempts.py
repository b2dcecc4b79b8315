"""Whose speech ends workers: found by working on one user at a time, so that nobody else fails with it.

A cohort's first attempt costs nothing here. One that follows a dead worker trains each user alone, and names the user
in a small object before it begins: `<root>/runs/<run id>/attempts/<cohort>.json`. Where the worker dies again, the
next attempt finds the name, and goes on without that user.
"""

from ds2ray.errors import ArtifactCorruptError
from ds2ray.store.layout import attempt_uri
from ds2ray.store.outcomes import Status
from ds2ray.store.store import Store


class Patience:
    """How many failed attempts of a cohort are borne: fewer than `max_attempts` in a row that bring nothing.

    A user found to end its workers gives its attempt back, but at most `max_attempts` such users in a row do: where
    every user ends its worker it is not the users that are at fault.
    """

    def __init__(self, max_attempts: int) -> None:
        self.max_attempts = max_attempts
        self.max_failures = max_attempts - 1
        self._num_failed = 0

    def lost_node(self) -> None:
        """The failure was that of a node: it takes no attempt."""
        self.max_failures += 1

    def finished(self, status: Status, num_failures: int) -> None:
        """A user came to its end, after so many failures of the cohort."""
        if status is not Status.failed:
            self.max_failures = max(self.max_failures, num_failures + self.max_attempts - 1)
            self._num_failed = 0
        elif num_failures and self._num_failed < self.max_attempts:
            self.max_failures += 1
            self._num_failed += 1


def name_user(store: Store, run_id: str, cohort: int, attempt: int, user_key: str) -> None:
    """Say on which user alone this attempt begins to work."""
    store.write_json(attempt_uri(store, run_id, cohort), {"attempt": attempt, "user_key": user_key})


def named_user(store: Store, run_id: str, cohort: int, attempt: int) -> str:
    """On which user alone this attempt was at work last; empty where it named nobody."""
    uri = attempt_uri(store, run_id, cohort)
    try:
        document = store.read_json(uri)
        return str(document["user_key"]) if document["attempt"] == attempt else ""
    except FileNotFoundError:
        return ""
    except (KeyError, TypeError) as error:
        raise ArtifactCorruptError(f"{uri}: names no user; delete it") from error
