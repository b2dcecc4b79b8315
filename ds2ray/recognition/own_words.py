"""The own words of the users whose speech is recognised: those that were used last stay open, as trees."""

import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol, TypeGuard, runtime_checkable

from ds2ray.decoding.decoder import Decoder
from ds2ray.decoding.own_words import WordTree
from ds2ray.errors import ArtifactCorruptError, InputError
from ds2ray.store import Store, read_words, read_words_record, user_key
from ds2ray.text import Vocabulary

FRESH_S = 60.0
"""Seconds after which a user's record is read again, so that new words are heard without a restart."""
_AT_ONCE = 16  # users whose words are read at the same time
_MAX_SHOWN = 5


@dataclass(frozen=True)
class Vocal:
    """A user's own words as they are heard.

    Attributes:
        tree: None: there are none.
        version: of the words, empty where there are none.
        note: why some or all of them are not heard.
    """

    tree: WordTree | None = None
    version: str = ""
    note: str = ""
    read_s: float = 0.0


class WordsOfUsers:
    """The own words of a store's users: the `max_open` users' that were used last are kept."""

    def __init__(self, store: Store, vocabulary: Vocabulary, max_open: int, fresh_s: float = FRESH_S) -> None:
        self.store, self.vocabulary, self.max_open, self.fresh_s = store, vocabulary, max_open, fresh_s
        self._kept: OrderedDict[str, Vocal] = OrderedDict()

    def __len__(self) -> int:
        """The number of users whose words are kept."""
        return len(self._kept)

    def find_many(self, users: Iterable[str]) -> dict[str, Vocal]:
        """The words of each of these users, by their names; of no user, the empty name, there are none."""
        now_s = time.monotonic()
        wanted = [user for user in dict.fromkeys(users) if user]
        stale = [user for user in wanted if user not in self._kept or now_s - self._kept[user].read_s > self.fresh_s]
        if len(stale) > 1:
            with ThreadPoolExecutor(min(_AT_ONCE, len(stale))) as pool:
                read = list(pool.map(self._read, stale))
        else:
            read = [self._read(user) for user in stale]
        for user, vocal in zip(stale, read, strict=True):
            self._kept[user] = replace(vocal, read_s=now_s)
        found = {user: self._kept[user] for user in wanted}
        for user in wanted:
            self._kept.move_to_end(user)
        while len(self._kept) > self.max_open:
            self._kept.popitem(last=False)
        return {"": Vocal(), **found}

    def _read(self, user: str) -> Vocal:
        try:
            record = read_words_record(self.store, user_key(user))
            known = self._kept.get(user)
            if record is None:
                return Vocal()
            if known is not None and known.version == record.version:
                return known
            words = read_words(self.store, record)
        except (InputError, ArtifactCorruptError) as error:  # an id that cannot be a user's, too
            return Vocal(note=f"own words are not heard: {error}")
        tree = WordTree.of([(word.text, word.weight) for word in words], self.vocabulary)
        note = unwritable_text(user, tree.unwritable) if tree.unwritable else ""
        return Vocal(tree or None, record.version, note)


def unwritable_text(user: str, unwritable: Sequence[str]) -> str:
    """`own words of user kim are never heard, as the base cannot write them: 'café'`"""
    shown = ", ".join(map(repr, unwritable[:_MAX_SHOWN]))
    more = f" and {len(unwritable) - _MAX_SHOWN} others" if len(unwritable) > _MAX_SHOWN else ""
    return f"own words of user {user} are never heard, as the base cannot write them: {shown}{more}"


@runtime_checkable
class HearsWords(Protocol):
    """A decoder that own words make hear something else; greedy decoding is none."""

    words_weight: float

    def hearing(self, trees: Sequence[WordTree | None], vocabulary: Vocabulary) -> Decoder:
        """The decoder of a batch whose rows have these own words."""


def hears_words(decoder: Decoder) -> TypeGuard[HearsWords]:
    """Whether own words change what this decoder hears."""
    return isinstance(decoder, HearsWords) and decoder.words_weight > 0
