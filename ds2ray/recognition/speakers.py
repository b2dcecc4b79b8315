"""The adapters of the users whose speech is recognised: opened together, and those that were used last stay open."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from ds2ray.config import TranscribeJob, adapter_from_plain
from ds2ray.errors import ArtifactCorruptError, InputError, StorageError
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.model.stored import open_adapter
from ds2ray.model.weights import Base
from ds2ray.store import AdapterPointer, Store, read_pointer, user_key

MAX_OPEN = TranscribeJob.max_open
AT_ONCE = 32
"""Users who are looked for in the store at the same time."""

T = TypeVar("T")


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


class KeptOfUsers(Generic[T]):
    """What a store has for users: looked for together, and kept for the `max_open` users that were used last.

    May be used by several threads.

    Args:
        look: what the store has for a user now, given what was kept; called by several threads at once.
        fresh_s: seconds after which it is looked again, so that what was published meanwhile is used.
    """

    def __init__(self, look: Callable[[str, T | None], T], max_open: int, fresh_s: float) -> None:
        self.look, self.max_open, self.fresh_s = look, max_open, fresh_s
        self._kept: OrderedDict[str, tuple[T, float]] = OrderedDict()  # with the second of the last look, by last use
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """The number of users for whom something is kept."""
        return len(self._kept)

    def find_all(self, users: Iterable[str]) -> dict[str, T]:
        """What there is for each of these users. Raises what `look` does."""
        with self._lock:
            wanted, now_s = list(dict.fromkeys(users)), time.monotonic()
            due = [user for user in wanted if not self._is_fresh(user, now_s)]
            for user, found in zip(due, self._look_for(due), strict=True):
                self._kept[user] = found, now_s
            result = {user: self._kept[user][0] for user in wanted}
            for user in wanted:
                self._kept.move_to_end(user)
            while len(self._kept) > self.max_open:
                self._kept.popitem(last=False)
            return result

    def _is_fresh(self, user: str, now_s: float) -> bool:
        return user in self._kept and now_s - self._kept[user][1] < self.fresh_s

    def _look_for(self, users: list[str]) -> list[T]:
        known = [self._kept[user][0] if user in self._kept else None for user in users]
        if len(users) < 2:
            return list(map(self.look, users, known))
        with ThreadPoolExecutor(min(AT_ONCE, len(users))) as threads:
            return list(threads.map(self.look, users, known))


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
        self._users = KeptOfUsers(self._look, max_open, fresh_s)

    def __len__(self) -> int:
        """The number of speakers that are kept."""
        return len(self._users)

    def find(self, user: str) -> Speaker:
        """The speaker of this name; the base alone, with a note, where there is no adapter that can be used."""
        return self.find_all([user])[user]

    def find_all(self, users: Iterable[str]) -> dict[str, Speaker]:
        """The speakers of these names, each as of `find`; what is not at hand is read from the store all together.

        Raises:
            StorageError: the store cannot be reached, and not all of them are at hand.
        """
        return self._users.find_all(users)

    def _look(self, user: str, known: Speaker | None) -> Speaker:
        """What the store has for a user now; what is kept, where that is the same."""
        if known is None or known.pointer is None:
            return self._open(user)
        try:
            if _is_same(known.pointer, read_pointer(self.store.hurried(), user_key(user))):
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


def _is_same(known: AdapterPointer, now: AdapterPointer | None) -> bool:
    """Whether a pointer names the same weights for the same base as before."""
    return now is not None and all(
        getattr(known, name) == getattr(now, name) for name in ("user_key", "sha256", "base_fingerprint", "adapter")
    )
