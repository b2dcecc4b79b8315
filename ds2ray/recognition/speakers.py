"""The adapters of the users whose speech is recognised: opened together, and those that were used last stay open."""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ds2ray.config import TranscribeJob, adapter_from_plain
from ds2ray.errors import ArtifactCorruptError, InputError, StorageError
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.model.stored import open_adapter
from ds2ray.model.weights import Base
from ds2ray.store import AdapterPointer, Store, read_pointer, user_key

MAX_OPEN = TranscribeJob.max_open
AT_ONCE = 32
"""Users whose adapters are read from the store at the same time."""


@dataclass(frozen=True)
class Speaker:
    """A user's adapter, its pointer and its place in the base, or a note why the base alone is used."""

    pointer: AdapterPointer | None = None
    adapter: Adapter | None = None
    note: str = ""
    after_layer: int = 0

    @property
    def version(self) -> str:
        """The version of the adapter; empty: the base alone."""
        return self.pointer.version if self.pointer else ""


class Speakers:
    """The speakers of a store: opens users' adapters, and keeps the `max_open` that were used last.

    May be used by several threads.

    Args:
        fresh_s: seconds after which a user's pointer is read again, before the user's next batch, so that a version
            that was published meanwhile is used.
    """

    def __init__(
        self, store: Store, base: Base, max_open: int = MAX_OPEN, fresh_s: float = TranscribeJob.fresh_s
    ) -> None:
        self.store = store
        self.base = base
        self.max_open = max_open
        self.fresh_s = fresh_s
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # the one that was used last is the last
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """The number of speakers that are kept."""
        return len(self._kept)

    def find(self, user: str) -> Speaker:
        """The speaker of this name; the base alone, with a note, where there is no adapter that can be used."""
        return self.find_all([user])[user]

    def find_all(self, users: Iterable[str]) -> dict[str, Speaker]:
        """The speakers of these names, each as of `find`; what is not at hand is read from the store all together.

        Raises:
            StorageError: the store cannot be reached, and not all of them are at hand.
        """
        with self._lock:
            wanted, now_s = list(dict.fromkeys(users)), time.monotonic()
            due = [user for user in wanted if not self._is_fresh(user, now_s)]
            for user, speaker in zip(due, self._look_for(due), strict=True):
                self._kept[user] = _Kept(speaker, now_s)
            found = {user: self._kept[user].speaker for user in wanted}
            for user in wanted:
                self._kept.move_to_end(user)
            while len(self._kept) > self.max_open:
                self._kept.popitem(last=False)
            return found

    def _is_fresh(self, user: str, now_s: float) -> bool:
        return user in self._kept and now_s - self._kept[user].read_s < self.fresh_s

    def _look_for(self, users: list[str]) -> Iterable[Speaker]:
        if len(users) < 2:
            return [self._look(user) for user in users]
        with ThreadPoolExecutor(min(AT_ONCE, len(users))) as threads:
            return list(threads.map(self._look, users))

    def _look(self, user: str) -> Speaker:
        """What the store has for a user now; what is kept, where that is the same."""
        known = self._kept[user].speaker if user in self._kept else None
        if known is None or known.pointer is None:
            return self._open(user)
        try:
            if _is_same(known.pointer, read_pointer(self.store, user_key(user))):
                return replace(known, note="")
        except ArtifactCorruptError as error:
            return Speaker(note=str(error))
        except StorageError as error:  # what was read before is better than no recognition at all
            return replace(known, note=f"whether version {known.version} is still current is not known: {error}")
        return self._open(user)

    def _open(self, user: str) -> Speaker:
        if not user:
            return Speaker(note="no user given")
        try:
            found = open_adapter(self.store, user_key(user), self.base)
        except (InputError, ArtifactCorruptError) as error:  # an id that cannot be a user's, too
            return Speaker(note=str(error))
        if found is None:
            return Speaker(note=f"user {user} has no adapter")
        pointer, adapter = found
        return Speaker(pointer, adapter, after_layer=adapter_from_plain(pointer.adapter, pointer.where).after_layer)


@dataclass(frozen=True)
class _Kept:
    """A speaker, and when the store was asked for it, in seconds of the monotonic clock."""

    speaker: Speaker
    read_s: float


def _is_same(known: AdapterPointer, now: AdapterPointer | None) -> bool:
    """Whether a pointer names the same weights for the same base as before."""
    return now is not None and all(
        getattr(known, name) == getattr(now, name) for name in ("user_key", "sha256", "base_fingerprint", "adapter")
    )
