"""Sealed JSON documents: each says what it is, in which format, and carries a checksum of itself.

`record` stands first and `checksum` last, so that no damage to one place of the file takes both away. A document of
earlier releases has neither, and is read as it is.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ds2ray.errors import ArtifactCorruptError, NewerReleaseError

FORMAT = 1
"""The format that this release writes; it reads all up to it."""

MAX_RECORD_BYTES = 16 * 2**20
"""Bytes of a sealed document: the largest hold a vocabulary, or a summary with a line for each cause of failure."""

RESTORE = "restore it or publish again"

_RECORD, _FORMAT, _CHECKSUM = "record", "format", "checksum"
_SEAL = {_RECORD, _FORMAT, _CHECKSUM}


def seal(kind: str, document: Mapping[str, Any]) -> bytes:
    """The file of a document of this kind, readable for people, in UTF-8."""
    taken = sorted(_SEAL & document.keys())
    if taken:
        raise ValueError(f"a sealed document sets {', '.join(taken)} itself")
    # as it will be read: tuples are lists, keys are strings
    content = json.loads(json.dumps({_RECORD: kind, _FORMAT: FORMAT, **document}))
    sealed = {**content, _CHECKSUM: _checksum(content)}
    return (json.dumps(sealed, ensure_ascii=False, indent=2) + "\n").encode()


def unseal(data: bytes, uri: str, kind: str, remedy: str = RESTORE) -> dict[str, Any]:
    """The document in a sealed file, without its seal.

    Args:
        uri: of the file, for messages.
        kind: what it has to be.
        remedy: what to do about a damaged one, for messages.

    Raises:
        ArtifactCorruptError: it is damaged, of another kind or too large.
        NewerReleaseError: a newer release wrote it.
    """
    if len(data) > MAX_RECORD_BYTES:
        raise ArtifactCorruptError(
            f"{uri}: {len(data)} bytes, and a record has {MAX_RECORD_BYTES} at most; it is damaged: {remedy}"
        )
    document = _parse(data, uri, remedy)
    marks = _SEAL & document.keys()
    if not marks:
        return document  # of an earlier release
    if marks != _SEAL:
        lost = ", ".join(sorted(_SEAL - marks))
        raise ArtifactCorruptError(f"{uri}: damaged: it has lost its {lost}; {remedy}")
    version = document[_FORMAT]
    if isinstance(version, int) and not isinstance(version, bool) and version > FORMAT:
        raise NewerReleaseError(
            f"{uri}: written in format {version} by a newer release, and this one knows {FORMAT}; update ds2ray"
        )
    if document.pop(_CHECKSUM) != _checksum(document):
        raise ArtifactCorruptError(f"{uri}: damaged: its content does not match its checksum; {remedy}")
    if document.pop(_RECORD) != kind or document.pop(_FORMAT) != FORMAT:
        raise ArtifactCorruptError(f"{uri}: another file's content: this is no record of the kind {kind!r}; {remedy}")
    return document


def _parse(data: bytes, uri: str, remedy: str) -> dict[str, Any]:
    try:
        document = json.loads(data.decode(), object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise ArtifactCorruptError(f"{uri}: not a JSON document: {error}; {remedy}") from error
    if not isinstance(document, dict):
        raise ArtifactCorruptError(f"{uri}: not a record, but a JSON {type(document).__name__}; {remedy}")
    return document


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("it has a key twice")
    return document


def _checksum(content: Mapping[str, Any]) -> str:
    """sha256, in hex digits, of the content as canonical JSON: sorted keys, no blanks, ASCII."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
