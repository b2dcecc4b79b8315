"""The adapters of the users whose speech is recognised: those that were used last stay open."""

from collections import OrderedDict
from dataclasses import dataclass

from ds2ray.errors import ArtifactCorruptError, BaseMismatchError, NewerReleaseError
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.model.stored import open_adapter
from ds2ray.model.weights import Base
from ds2ray.store import AdapterPointer, Store, user_key

MAX_OPEN = 512
"""Users whose adapters stay in memory: 512 of the default shape take some 700 MB."""


@dataclass(frozen=True)
class Speaker:
    """A user's adapter and its pointer, or a note why the base alone is used."""

    pointer: AdapterPointer | None = None
    adapter: Adapter | None = None
    note: str = ""


class Speakers:
    """The speakers of a store: opens users' adapters, and keeps the `max_open` that were used last."""

    def __init__(self, store: Store, base: Base, max_open: int = MAX_OPEN) -> None:
        self.store = store
        self.base = base
        self.max_open = max_open
        self._kept: OrderedDict[str, Speaker] = OrderedDict()

    def __len__(self) -> int:
        """The number of speakers that are kept."""
        return len(self._kept)

    def find(self, user: str) -> Speaker:
        """The speaker of this name; the base alone, with a note, where there is no adapter that can be used."""
        known = self._kept.get(user)
        speaker = self._kept[user] = self._open(user) if known is None else known
        self._kept.move_to_end(user)
        while len(self._kept) > self.max_open:
            self._kept.popitem(last=False)
        return speaker

    def _open(self, user: str) -> Speaker:
        if not user:
            return Speaker(note="no user given")
        try:
            found = open_adapter(self.store, user_key(user), self.base)
        except (BaseMismatchError, ArtifactCorruptError, NewerReleaseError) as error:
            return Speaker(note=str(error))
        return Speaker(note=f"user {user} has no adapter") if found is None else Speaker(*found)
