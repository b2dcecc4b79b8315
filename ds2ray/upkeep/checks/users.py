"""The check of one user's folder: pointer, versions, history, own words, and files that nothing names."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ds2ray.config import Checked
from ds2ray.errors import ArtifactCorruptError, NewerReleaseError
from ds2ray.storage import Found
from ds2ray.store import AdapterPointer, OwnWordsRecord, Store, read_words_record
from ds2ray.store.layout import adapter_weights_uri, own_words_uri
from ds2ray.store.own_words import read_words
from ds2ray.store.records import known_fields
from ds2ray.store.verify import read_verified, require_size
from ds2ray.upkeep.checks.faults import Fault, Kind
from ds2ray.upkeep.history import LastPointer, last_pointer
from ds2ray.upkeep.kept_versions import WEIGHTS, is_words_version

RECORDS = ("current.json", "withdrawn.json", "words.json")


@dataclass
class UserCheck:
    """What a user's folder holds, and what is wrong with it.

    Attributes:
        last: the pointer; None where there is none, or a damaged one.
        bad: versions of adapters that are missing or damaged.
        bad_words: the same of own words.
        pointer_damaged, words_damaged: whether the record itself cannot be used.
        uncertain: whether a newer release has written the pointer.
    """

    user_key: str
    faults: list[Fault] = field(default_factory=list)
    last: LastPointer | None = None
    words: OwnWordsRecord | None = None
    bad: set[str] = field(default_factory=set)
    bad_words: set[str] = field(default_factory=set)
    pointer_damaged: bool = False
    words_damaged: bool = False
    uncertain: bool = False
    size_bytes: int = 0

    @property
    def version(self) -> str:
        """The current version; empty: the base alone, or a pointer that cannot be used."""
        return self.last.version if self.last else ""

    def add(self, kind: Kind, name: str, what: str) -> None:
        self.faults.append(Fault(kind, f"users/{self.user_key}/{name}", what))


def check_user(store: Store, key: str, objects: Sequence[Found], depth: Checked, base_ids: set[str]) -> UserCheck:
    """Read the records of a user and, as deep as that is wanted, every version that they name."""
    check = UserCheck(key)
    sizes = {found.name: found.size_bytes for found in objects}
    _check_adapters(store, check, sizes, depth, base_ids)
    _check_words(store, check, sizes, depth)
    named = _named(check)
    for found in objects:
        is_version = found.name.endswith(WEIGHTS) or is_words_version(found.name)
        if found.is_leftover:
            check.add(Kind.orphaned, found.name, "a temporary file of a write that was killed, or is under way")
        elif is_version and found.name not in named:
            check.add(Kind.orphaned, found.name, "no pointer and no history names this version")
        elif not is_version and found.name not in RECORDS:
            check.add(Kind.foreign, found.uri.rpartition(f"/{key}/")[2], "nothing that ds2ray writes here")
    return check


def _named(check: UserCheck) -> set[str]:
    named: set[str] = set()
    if check.last is not None:
        named |= {f"{entry['version']}{WEIGHTS}" for entry in entries_of(check.last.pointer)}
    if check.words is not None:
        named |= {f"words-{entry['version']}.json" for entry in entries_of(check.words)}
    return named


def entries_of(record: AdapterPointer | OwnWordsRecord) -> list[Mapping[str, Any]]:
    """The current version of a record and its history, newest first."""
    return [vars(record), *record.history]


def _check_adapters(
    store: Store, check: UserCheck, sizes: Mapping[str, int], depth: Checked, base_ids: set[str]
) -> None:
    try:
        check.last = last_pointer(store, check.user_key)
        if check.last is not None and check.last.pointer.user_key != check.user_key:
            raise ArtifactCorruptError(f"it is the pointer of user {check.last.pointer.user_key}")
    except NewerReleaseError as error:
        check.add(Kind.foreign, "current.json", str(error))
        check.last, check.uncertain = None, True
        return
    except ArtifactCorruptError as error:
        check.add(Kind.damaged, "current.json", str(error))
        check.last, check.pointer_damaged = None, True
        return
    if check.last is None:
        return
    for number, entry in enumerate(entries_of(check.last.pointer)):
        name = f"{entry['version']}{WEIGHTS}"
        try:
            pointer = AdapterPointer(**known_fields(AdapterPointer, dict(entry)) | {"history": ()})
            uri = adapter_weights_uri(store, check.user_key, pointer.version)
            require_size(uri, sizes.get(name), pointer.size_bytes)
            if depth is not Checked.sizes:
                data = read_verified(store, uri, pointer.size_bytes, pointer.sha256)
                check.size_bytes += len(data)
                if depth is Checked.deep:
                    require_tensors(data, uri)
        except (ArtifactCorruptError, TypeError) as error:
            which = "the current version" if number == 0 and check.last.is_current else "an earlier version"
            check.add(Kind.damaged if name in sizes else Kind.missing, name, f"{which}: {error}")
            check.bad.add(str(entry.get("version")))
    base_id = check.last.pointer.base_fingerprint[:16]
    if base_ids and base_id not in base_ids and check.last.is_current:
        check.add(Kind.orphaned, "current.json", f"its base {base_id} is not in this store: adapt the user to another")


def _check_words(store: Store, check: UserCheck, sizes: Mapping[str, int], depth: Checked) -> None:
    try:
        check.words = read_words_record(store, check.user_key)
    except NewerReleaseError as error:
        check.add(Kind.foreign, "words.json", str(error))
        return
    except ArtifactCorruptError as error:
        check.add(Kind.damaged, "words.json", str(error))
        check.words_damaged = True
        return
    if check.words is None:
        return
    for entry in entries_of(check.words):
        record = OwnWordsRecord(**known_fields(OwnWordsRecord, dict(entry)) | {"history": ()})
        uri = own_words_uri(store, check.user_key, record.version)
        name = uri.rpartition("/")[2]
        try:
            require_size(uri, sizes.get(name), record.size_bytes)
            if depth is not Checked.sizes:
                read_words(store, record)
                check.size_bytes += record.size_bytes
        except ArtifactCorruptError as error:
            check.add(Kind.damaged if name in sizes else Kind.missing, name, str(error))
            check.bad_words.add(record.version)


_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def require_tensors(data: bytes, uri: str) -> None:
    """Raise ArtifactCorruptError where a file is no safetensors: its header lists tensors whose types and shapes fill
    the rest exactly, each where the one before ends (https://github.com/huggingface/safetensors#format)."""
    try:
        start = 8 + int.from_bytes(data[:8], "little")
        header: dict[str, Any] = json.loads(data[8:start])
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        end = 0
        for tensor in sorted(tensors, key=lambda tensor: tensor["data_offsets"]):
            first, last = tensor["data_offsets"]
            if first != end or last - first != _BYTES[tensor["dtype"]] * math.prod(tensor["shape"]):
                raise ValueError(f"a tensor at {first} to {last} does not fit")
            end = last
        if not tensors or start + end != len(data):
            raise ValueError(f"{len(tensors)} tensors of {end} bytes in a file with {len(data) - start}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactCorruptError(f"{uri}: not a file of tensors ({error}); publish it again") from error
