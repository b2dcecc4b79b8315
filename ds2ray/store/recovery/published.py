"""Users for whom a run has published, and whose outcome it did not write before it, or its worker, was killed.

The pointer tells: it names the run, and the speech, base and settings that the adapter was made of.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from ds2ray.errors import ArtifactCorruptError, NewerReleaseError
from ds2ray.store.adapters import read_pointer
from ds2ray.store.outcomes import Outcome, Status, write_part
from ds2ray.store.records import AdapterPointer
from ds2ray.store.recovery.marks import PlannedUser
from ds2ray.store.store import Store

PUBLISHED_PART = "published"
"""The part with the outcomes that were found out from pointers. Its name sorts behind those of the trials' parts."""

_THREADS = 16
_AT_A_TIME = 1000  # users, between two calls of `stay`


def published_outcome(pointer: AdapterPointer, planned: PlannedUser) -> Outcome:
    """The outcome of a user for whom a run has published, as far as pointer and plan tell it."""
    return Outcome(
        user_key=pointer.user_key,
        status=Status.adapted,
        reason="published by a worker that died before it could write its report",
        utterances_used=planned.num_utterances,
        utterances_dropped=planned.num_dropped,
        error_before=pointer.error_before,
        error_after=pointer.error_after,
        improvement=pointer.improvement,
        anchor_error_before=pointer.anchor_error_before,
        anchor_error_after=pointer.anchor_error_after,
        version=pointer.version,
        sha256=pointer.sha256,
        fingerprint=pointer.data_fingerprint,
    )


def write_published(
    store: Store, run_id: str, planned: Mapping[str, PlannedUser], stay: Callable[[], None]
) -> list[Outcome]:
    """Find those of these users for whom the run has published, and write their outcomes; a request for each user.

    Args:
        planned: users whom the run was to train, and of whom it wrote no outcome, by key.
        stay: called now and then, for the lease.

    Returns:
        the outcomes, by user key. Users whose pointer cannot be read have none.
    """

    def look(key: str) -> Outcome | None:
        try:
            pointer = read_pointer(store, key)
        except (ArtifactCorruptError, NewerReleaseError):
            return None
        of_run = pointer is not None and pointer.run_id == run_id and not pointer.restored_seq
        return published_outcome(pointer, planned[key]) if pointer is not None and of_run else None

    keys, found = sorted(planned), list[Outcome]()
    with ThreadPoolExecutor(_THREADS) as pool:
        for first in range(0, len(keys), _AT_A_TIME):
            stay()
            found += filter(None, pool.map(look, keys[first : first + _AT_A_TIME]))
    if found:
        write_part(store, run_id, PUBLISHED_PART, found)
    return found
