"""The own words of the users whose speech is recognised: those that were used last stay open, as trees."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeGuard, runtime_checkable

from ds2ray.config import TranscribeJob
from ds2ray.decoding.decoder import Decoder
from ds2ray.decoding.own_words import WordTree
from ds2ray.errors import ArtifactCorruptError, InputError, StorageError
from ds2ray.recognition.speakers import KeptOfUsers
from ds2ray.store import Store, read_words, read_words_record, user_key
from ds2ray.text import Vocabulary

_MAX_SHOWN = 5


@dataclass(frozen=True)
class Vocal:
    """A user's own words as they are heard.

    Attributes:
        tree: None: there are none.
        version: of the words, empty where there are none.
        lost: why some or all of them are not heard.
        outage: why it is not known whether they are the newest.
    """

    tree: WordTree | None = None
    version: str = ""
    lost: str = ""
    outage: str = ""

    @property
    def note(self) -> str:
        """What there is to say of them."""
        return "; ".join(filter(None, (self.lost, self.outage)))


class WordsOfUsers:
    """The own words of a store's users: the `max_open` users' that were used last are kept."""

    def __init__(
        self, store: Store, vocabulary: Vocabulary, max_open: int, fresh_s: float = TranscribeJob.fresh_s
    ) -> None:
        self.store, self.vocabulary = store, vocabulary
        self._users = KeptOfUsers(self._look, max_open, fresh_s)

    def __len__(self) -> int:
        """The number of users whose words are kept."""
        return len(self._users)

    def find_many(self, users: Iterable[str]) -> dict[str, Vocal]:
        """The words of each of these users, by their names; of no user, the empty name, there are none.

        Raises:
            StorageError: the store cannot be reached, and not all of them are at hand.
        """
        return {"": Vocal(), **self._users.find_all(user for user in users if user)}

    def _look(self, user: str, known: Vocal | None) -> Vocal:
        """What the store has for a user now; what is kept, where that is the same."""
        store = self.store if known is None else self.store.hurried()
        try:
            record = read_words_record(store, user_key(user))
            if record is None:
                return Vocal()
            if known is not None and known.version == record.version:
                return replace(known, outage="")
            words = read_words(store, record)
        except (InputError, ArtifactCorruptError) as error:  # an id that cannot be a user's, too
            return Vocal(lost=f"own words are not heard: {error}")
        except StorageError as error:  # what was read before is better than no recognition at all
            if known is None:
                raise
            return replace(known, outage=f"whether own words are still the newest is not known: {error}")
        tree = WordTree.of([(word.text, word.weight) for word in words], self.vocabulary)
        return Vocal(tree or None, record.version, unwritable_text(user, tree.unwritable) if tree.unwritable else "")


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
