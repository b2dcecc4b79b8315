"""Which files of a user's folder are named by the pointer, the last pointer, the record of own words or a history."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ds2ray.errors import ArtifactCorruptError, NewerReleaseError
from ds2ray.storage import Found
from ds2ray.store import AdapterPointer, OwnWordsRecord, Store, read_words_record
from ds2ray.store.adapters import write_pointer
from ds2ray.store.layout import OWN_WORDS_PREFIX, own_words_record_uri
from ds2ray.store.own_words import KIND
from ds2ray.store.records import write_record
from ds2ray.upkeep.history import last_pointer

WEIGHTS = ".safetensors"


@dataclass
class VersionFiles:
    """The files of a user that nothing names.

    Attributes:
        cut: whether the history was made shorter.
        trouble: why all versions were left alone.
    """

    weights: list[Found] = field(default_factory=list)
    words: list[Found] = field(default_factory=list)
    leftovers: list[Found] = field(default_factory=list)
    cut: bool = False
    trouble: str = ""


def is_words_version(name: str) -> bool:
    """Whether a file of a user's folder is a version of own words."""
    return name.startswith(OWN_WORDS_PREFIX) and name.endswith(".json")


def unnamed_files(
    store: Store,
    key: str,
    objects: Sequence[Found],
    keep_versions: int,
    is_old: Callable[[Found], bool],
    dry_run: bool,
) -> VersionFiles:
    """The old files of a user's folder that nothing names, after histories were cut to `keep_versions`.

    Records are read only where there may be something: of a user with a single version there is nothing to read. One
    whose pointer is missing or damaged keeps every version: `fsck` says what to do.
    """
    weights = [found for found in objects if found.name.endswith(WEIGHTS) and not found.is_leftover]
    words = [found for found in objects if is_words_version(found.name)]
    files = VersionFiles(leftovers=[found for found in objects if found.is_leftover and is_old(found)])
    try:
        if len(weights) > 1 and any(map(is_old, weights)):
            files.weights, files.cut = _unnamed_weights(store, key, weights, keep_versions, is_old, dry_run)
        if len(words) > 1 and any(map(is_old, words)):
            files.words, cut = _unnamed_words(store, key, words, keep_versions, is_old, dry_run)
            files.cut = files.cut or cut
    except (ArtifactCorruptError, NewerReleaseError) as error:
        return VersionFiles(leftovers=files.leftovers, trouble=str(error))
    return files


def _unnamed_weights(
    store: Store,
    key: str,
    weights: Sequence[Found],
    keep_versions: int,
    is_old: Callable[[Found], bool],
    dry_run: bool,
) -> tuple[list[Found], bool]:
    last = last_pointer(store, key)
    if last is None:
        return [], False
    by_version = {found.name.removesuffix(WEIGHTS): found for found in weights}
    kept = _kept(last.pointer, by_version, keep_versions, is_old)
    cut = len(kept) < len(last.pointer.history)
    if cut and not dry_run:  # first the history, then what it named
        write_pointer(store, replace(last.pointer, history=kept), withdrawn=not last.is_current)
    named = {last.pointer.version, *(entry["version"] for entry in kept)}
    return [found for version, found in by_version.items() if version not in named and is_old(found)], cut


def _unnamed_words(
    store: Store,
    key: str,
    words: Sequence[Found],
    keep_versions: int,
    is_old: Callable[[Found], bool],
    dry_run: bool,
) -> tuple[list[Found], bool]:
    record = read_words_record(store, key)
    if record is None:
        return [], False
    by_version = {found.name.removeprefix(OWN_WORDS_PREFIX).removesuffix(".json"): found for found in words}
    kept = _kept(record, by_version, keep_versions, is_old)
    cut = len(kept) < len(record.history)
    if cut and not dry_run:
        write_record(store, own_words_record_uri(store, key), KIND, replace(record, history=kept))
    named = {record.version, *(entry["version"] for entry in kept)}
    return [found for version, found in by_version.items() if version not in named and is_old(found)], cut


def _kept(
    record: AdapterPointer | OwnWordsRecord,
    by_version: dict[str, Found],
    keep_versions: int,
    is_old: Callable[[Found], bool],
) -> tuple[dict[str, object], ...]:
    """The entries of a history that stay: the newest, and those whose files are young."""
    return tuple(
        entry
        for number, entry in enumerate(record.history, 2)
        if number <= keep_versions or (entry["version"] in by_version and not is_old(by_version[entry["version"]]))
    )
