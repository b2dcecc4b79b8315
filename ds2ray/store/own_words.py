"""Users' own words in the store. words.json is written after the file that it names, and is the commit.

Each version is a file of its own, named by its content, so that an earlier one can be made current again. The index of
what users tables have set is a row per user, so that a quiet night reads one table.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ds2ray.errors import ArtifactCorruptError, InputError
from ds2ray.store.adapters import MAX_HISTORY
from ds2ray.store.layout import OWN_WORDS_PREFIX, own_words_record_uri, own_words_uri, user_uri, words_index_uri
from ds2ray.store.leases.committing import commit, fence_number
from ds2ray.store.records import read_record
from ds2ray.store.store import Store
from ds2ray.store.verify import ID_LENGTH, read_verified, sha256

KIND = "own words"
"""What words.json says that it is."""

MAX_WORDS = 10_000
"""Own words of a user: more would be a lexicon."""


@dataclass(frozen=True, order=True)
class OwnWord:
    """A name, a place or a phrase of a user. Its weight multiplies `decode.words_weight`."""

    text: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Raise InputError for a word without text, or a weight that is none."""
        if not isinstance(self.text, str) or not self.text.strip():
            raise InputError("a word without text; write a word or phrase, or leave it out")
        if not isinstance(self.weight, int | float) or not (math.isfinite(self.weight) and self.weight > 0):
            raise InputError(f"word {self.text!r} has weight {self.weight!r}; a number above 0 is wanted, 1 is usual")


@dataclass(frozen=True, kw_only=True)
class OwnWordsRecord:
    """The record words.json of a user.

    Attributes:
        version: first hex digits of the sha256 of the file of words.
        seq: number of this publication, from 1.
        history: earlier records, newest first, without their own histories.
        fence: number of the acquisition of the lease under which it was published; 0 without one.
    """

    user_key: str
    version: str
    sha256: str
    size_bytes: int
    seq: int
    num_words: int
    history: tuple[dict[str, Any], ...] = ()
    fence: int = 0

    @property
    def where(self) -> str:
        """The file, for messages."""
        return f"users/{self.user_key}/words.json"


def words_as_bytes(words: Iterable[OwnWord]) -> bytes:
    """The file of words: each once, sorted, so that the same words are the same bytes in any order.

    Raises:
        InputError: there are too many.
    """
    weight_of: dict[str, float] = {}
    for word in words:
        text = " ".join(word.text.split())
        weight_of[text] = max(float(word.weight), weight_of.get(text, float(word.weight)))
    if len(weight_of) > MAX_WORDS:
        raise InputError(f"{len(weight_of)} own words, and a user has {MAX_WORDS} at most; a lexicon holds any number")
    return (json.dumps(sorted(weight_of.items()), ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def words_version(words: Iterable[OwnWord]) -> str:
    """The version that these words have in the store."""
    return sha256(words_as_bytes(words))[:ID_LENGTH]


def publish_words(store: Store, key: str, words: Iterable[OwnWord]) -> OwnWordsRecord:
    """Make these words, or none, the user's own. The same as the current ones are not written again."""
    data, uri = words_as_bytes(words), own_words_record_uri(store, key)
    digest = sha256(data)

    def following(earlier: OwnWordsRecord | None) -> OwnWordsRecord:
        if earlier is not None and earlier.sha256 == digest:
            return earlier
        return OwnWordsRecord(
            user_key=key,
            version=digest[:ID_LENGTH],
            sha256=digest,
            size_bytes=len(data),
            seq=earlier.seq + 1 if earlier else 1,
            num_words=len(json.loads(data)),
            history=_with_history(earlier, digest[:ID_LENGTH]),
            fence=fence_number(store),
        )

    def write_file() -> None:
        store.write_bytes(own_words_uri(store, key, digest[:ID_LENGTH]), data)

    record = commit(store, OwnWordsRecord, uri, KIND, key, following, write_file)
    return replace(record, history=tuple(record.history))


def read_words_record(store: Store, key: str) -> OwnWordsRecord | None:
    """The record of the user's own words; None where there never were any.

    Raises:
        ArtifactCorruptError: it is damaged, or another user's.
    """
    uri = own_words_record_uri(store, key)
    try:
        record = read_record(
            store, OwnWordsRecord, uri, kind=KIND, bound={"user_key": key}, remedy="restore it or set them again"
        )
    except FileNotFoundError:
        return None
    return replace(record, history=tuple(record.history))


def read_words(store: Store, record: OwnWordsRecord) -> tuple[OwnWord, ...]:
    """The words that a record names, verified.

    Raises:
        ArtifactCorruptError: they are missing or have changed since they were published.
    """
    uri = own_words_uri(store, record.user_key, record.version)
    data = read_verified(store, uri, record.size_bytes, record.sha256)
    try:
        return tuple(OwnWord(text, weight) for text, weight in json.loads(data))
    except (ValueError, TypeError, InputError) as error:
        raise ArtifactCorruptError(f"{uri}: not a file of words ({error}); set them again") from error


def words_history(store: Store, key: str) -> list[dict[str, Any]]:
    """The user's versions of words as records without their histories, newest first."""
    record = read_words_record(store, key)
    return [_entry(record), *record.history] if record else []


def rollback_words(store: Store, key: str, version: str) -> OwnWordsRecord:
    """Make earlier words current again, after verifying them. Nothing is deleted.

    Raises:
        InputError: the user has no such version.
        ArtifactCorruptError: its words are missing or have changed since they were published.
    """
    uri = own_words_record_uri(store, key)

    def following(current: OwnWordsRecord | None) -> OwnWordsRecord:
        known = [_entry(current), *current.history] if current else []
        entry = next((entry for entry in known if entry["version"] == version), None)
        if current is None or entry is None:
            there = ", ".join(entry["version"] for entry in known) or "none"
            raise InputError(f"user {key} has no words of version {version!r}; versions there: {there}")
        changed = {"seq": current.seq + 1, "history": _with_history(current, version), "fence": fence_number(store)}
        record = OwnWordsRecord(**entry | changed)
        read_words(store, record)
        return record

    return commit(store, OwnWordsRecord, uri, KIND, key, following)


def erase_words(store: Store, key: str) -> int:
    """Delete the record, and then every version of the user's own words; returns how many objects that were."""
    record = own_words_record_uri(store, key)
    uris = [info.uri for info in store.list_objects(user_uri(store, key))]
    files = [uri for uri in uris if uri.rpartition("/")[2].startswith(OWN_WORDS_PREFIX)]
    for uri in (record, *files):
        store.delete(uri)
    return len(files) + (record in uris)


def _entry(record: OwnWordsRecord) -> dict[str, Any]:
    entry = asdict(record)
    del entry["history"]
    return entry


def _with_history(earlier: OwnWordsRecord | None, version: str) -> tuple[dict[str, Any], ...]:
    if earlier is None:
        return ()
    entries = [_entry(earlier), *earlier.history]
    return tuple(entry for entry in entries if entry["version"] != version)[:MAX_HISTORY]


def read_words_index(store: Store) -> dict[str, str]:
    """The version that was last published out of a users table, by user key; empty where none ever was."""
    try:
        table = store.read_table(words_index_uri(store), ["user_key", "version"])
    except FileNotFoundError:
        return {}
    return dict(zip(table["user_key"].to_pylist(), table["version"].to_pylist(), strict=True))


def write_words_index(store: Store, versions: Mapping[str, str]) -> None:
    """Write the whole index: versions by user key."""
    import pyarrow as pa

    rows = sorted(versions.items())
    columns = [pa.array([row[place] for row in rows], pa.string()) for place in (0, 1)]
    store.write_table(words_index_uri(store), pa.table(columns, names=["user_key", "version"]))
