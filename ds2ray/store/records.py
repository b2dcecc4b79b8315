"""Records: the JSON files of the store, sealed and bound to the place where each lies; those of bases and users."""

import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ds2ray.errors import ArtifactCorruptError
from ds2ray.storage.sealed import MAX_RECORD_BYTES, RESTORE, seal, unseal
from ds2ray.store.store import Store
from ds2ray.store.verify import ID_LENGTH

T = TypeVar("T")

SUMMARY = "summary of a run"
"""What summary.json says that it is."""

_SHOWN_CHARACTERS = 60
_DIGEST = re.compile("[0-9a-f]{64}").fullmatch


@dataclass(frozen=True, kw_only=True)
class BaseRecord:
    """The record base.json: all that is needed, beside the weights, to build and verify a base.

    Attributes:
        model: the architecture's name and its settings; without a name it is DeepSpeech2.
        fingerprint_version: the way in which the fingerprint was computed.
    """

    base_id: str
    fingerprint: str
    sha256: str
    size_bytes: int
    model: dict[str, Any]
    audio: dict[str, Any]
    vocabulary: dict[str, Any]
    run_id: str
    metrics: dict[str, Any]
    fingerprint_version: int = 1

    @property
    def where(self) -> str:
        """The file, for messages."""
        return f"bases/{self.base_id}/base.json"


@dataclass(frozen=True, kw_only=True)
class AdapterPointer:
    """The pointer current.json of a user.

    Attributes:
        seq: number of this publication, from 1.
        history: earlier pointers, newest first, without their own histories.
        split: code of the rule that divided the user's speech into training and held-out speech; empty in pointers of
            releases that did not record it.
        restored_seq: number of the publication of this version, where a rollback has made it current again; else 0.
        fence: number of the acquisition of the lease under which it was published; 0 without one.
        num_utterances: of the speech that it was trained and judged on; None in pointers of releases that did not
            record it.
        improvement: the probability, at publication, that it improves on the base; None where it was not recorded.
        anchor_error_before, anchor_error_after: on ordinary speech by the base alone and through the adapter; None
            without an anchor.
    """

    user_key: str
    version: str
    sha256: str
    size_bytes: int
    base_fingerprint: str
    data_fingerprint: str
    adapter: dict[str, Any]
    run_id: str
    seq: int
    error_before: float | None
    error_after: float | None
    history: tuple[dict[str, Any], ...]
    split: str = ""
    restored_seq: int = 0
    fence: int = 0
    num_utterances: int | None = None
    improvement: float | None = None
    anchor_error_before: float | None = None
    anchor_error_after: float | None = None

    @property
    def where(self) -> str:
        """The file, for messages."""
        return f"users/{self.user_key}/current.json"


def write_record(store: Store, uri: str, kind: str, record: Any) -> None:
    """Write a record, a dataclass or a mapping: it says that it is of this kind, and carries a checksum of itself."""
    store.write_bytes(uri, encode_record(kind, record))


def read_record(
    store: Store,
    record_class: type[T],
    uri: str,
    *,
    kind: str,
    bound: Mapping[str, Any] | None = None,
    remedy: str = RESTORE,
) -> T:
    """A record by its address, checked against the place where it lies.

    Args:
        record_class: a dataclass, or dict for a record without a class of its own.
        kind: what it has to be, as it was given to `write_record`.
        bound: the values that its fields have to have, because of where it lies: the user's key, the base's id, …
        remedy: what to do about a damaged one, for messages.

    Raises:
        FileNotFoundError: there is none.
        ArtifactCorruptError: it is damaged, of another kind, or that of another place.
        NewerReleaseError: a newer release wrote it.
    """
    data = store.read_bytes(uri, MAX_RECORD_BYTES)
    return decode_record(record_class, data, uri, kind=kind, bound=bound, remedy=remedy)


def encode_record(kind: str, record: Any) -> bytes:
    """The file of a record, as `write_record` writes it."""
    return seal(kind, asdict(record) if is_dataclass(record) and not isinstance(record, type) else record)


def decode_record(
    record_class: type[T],
    data: bytes,
    uri: str,
    *,
    kind: str,
    bound: Mapping[str, Any] | None = None,
    remedy: str = RESTORE,
) -> T:
    """The record in a file that has been read; arguments and errors are those of `read_record`."""
    document = unseal(data, uri, kind, remedy)
    values = document if record_class is dict else _checked_fields(record_class, document, uri, remedy)
    for entry in (values, *(values.get("history") or ())):
        _require_place(entry, bound or {}, uri, remedy)
        _require_digests(entry, uri, remedy)
    return record_class(**values)


def _checked_fields(record_class: type, document: dict[str, Any], uri: str, remedy: str) -> dict[str, Any]:
    """The fields of a document that the class has, all that are required, each of its type."""
    # fields with a default came with later releases
    required = {field.name for field in fields(record_class) if field.default is MISSING}
    if not required <= document.keys():
        raise ArtifactCorruptError(
            f"{uri}: fields are missing: {', '.join(sorted(required - document.keys()))}; {remedy}"
        )
    values = known_fields(record_class, document)
    types = get_type_hints(record_class)
    wrong = [f"{name}={value!r}"[:_SHOWN_CHARACTERS] for name, value in values.items() if not _is_a(value, types[name])]
    if wrong:
        raise ArtifactCorruptError(f"{uri}: impossible values: {', '.join(wrong)}; {remedy}")
    return values


def _require_place(entry: Mapping[str, Any], bound: Mapping[str, Any], uri: str, remedy: str) -> None:
    """Raise ArtifactCorruptError for a record, or an earlier one in its history, that is another place's."""
    for name, expected in bound.items():
        if entry.get(name) != expected:
            found = f"{name} {entry.get(name)!r}"[:_SHOWN_CHARACTERS]
            raise ArtifactCorruptError(f"{uri}: belongs elsewhere: it has {found}, not {expected!r}; {remedy}")


def _require_digests(entry: Mapping[str, Any], uri: str, remedy: str) -> None:
    """Raise ArtifactCorruptError for a digest that is none, or a version that does not follow from it.

    A version is part of a file's name: another one could lead to another user's file.
    """
    digest, version = entry.get("sha256"), entry.get("version")
    if digest is not None and not (isinstance(digest, str) and _DIGEST(digest)):
        raise ArtifactCorruptError(f"{uri}: {digest!r:.{_SHOWN_CHARACTERS}} is no sha256; {remedy}")
    if version is not None and digest is not None and version != digest[:ID_LENGTH]:
        shown = f"{version!r:.{_SHOWN_CHARACTERS}}"
        raise ArtifactCorruptError(f"{uri}: version {shown} does not follow from the sha256 {digest}; {remedy}")


def _is_a(value: Any, wanted: Any) -> bool:
    """Whether a value of a JSON document can stand in a field of this type."""
    origin, parts = get_origin(wanted), get_args(wanted)
    if origin is UnionType:
        return any(_is_a(value, part) for part in parts)
    if origin is tuple:
        return isinstance(value, list) and all(_is_a(item, parts[0]) for item in value)
    if wanted in (int, float):  # a bool is an int, to Python alone
        return isinstance(value, int if wanted is int else int | float) and not isinstance(value, bool)
    return isinstance(value, origin or wanted)


def known_fields(record_class: type, document: dict[str, Any]) -> dict[str, Any]:
    """The fields of a document that this release has; a newer release may have written more."""
    return {field.name: document[field.name] for field in fields(record_class) if field.name in document}


_SPLIT_SENTENCES = (
    (re.compile(r"holds out a share of (\S+), drawn by seed (\S+)"), r"hold_out:\1:\2"),
    (re.compile("trains on everything, judged by cross-validation"), "cross_validated"),
    (re.compile("held-out speech has a manifest of its own"), "own_manifest"),
)


def split_code(stored: str) -> str:
    """The code of a split's rule, which earlier releases stored as a sentence."""
    for sentence, code in _SPLIT_SENTENCES:
        match = sentence.fullmatch(stored)
        if match:
            return match.expand(code)
    return stored
