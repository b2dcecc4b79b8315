"""The record of a base, base.json, and the pointer of a user, current.json."""

import re
from dataclasses import MISSING, dataclass, fields
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ds2ray.errors import ArtifactCorruptError
from ds2ray.store.store import Store

T = TypeVar("T")

_SHOWN_CHARACTERS = 60


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

    @property
    def where(self) -> str:
        """The file, for messages."""
        return f"users/{self.user_key}/current.json"


def read_record(store: Store, record_class: type[T], uri: str) -> T:
    """A record by its address. Raises FileNotFoundError, or ArtifactCorruptError where fields are missing."""
    document = store.read_json(uri)
    known = fields(record_class)  # type: ignore[arg-type]
    # fields with a default came with later releases
    required = {field.name for field in known if field.default is MISSING}
    if not isinstance(document, dict) or not required <= document.keys():
        missing = ", ".join(sorted(required - document.keys())) if isinstance(document, dict) else "everything"
        raise ArtifactCorruptError(f"{uri}: fields are missing: {missing}; restore it or publish again")
    values = known_fields(record_class, document)
    types = get_type_hints(record_class)
    wrong = [f"{name}={value!r}"[:_SHOWN_CHARACTERS] for name, value in values.items() if not _is_a(value, types[name])]
    if wrong:
        raise ArtifactCorruptError(f"{uri}: impossible values: {', '.join(wrong)}; restore it or publish again")
    return record_class(**values)


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
