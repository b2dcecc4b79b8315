"""Versions of packs: digests of what is in them, which are part of their names, so that no pack stands for another."""

import hashlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ds2ray.errors import InputError
from ds2ray.storage.sealed.tables import TableFile

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = "ds2ray.version"
"""The key in a sealed pack's footer that holds its version."""

VERSION_LENGTH = 32
"""Hex digits of a version."""

_IN_NAME = re.compile(rf"[^/]\.([0-9a-f]{{{VERSION_LENGTH}}})\.parquet")
_COLUMNS = ("user_id", "utterance_id", "transcript", "audio")


def content_version(rows: Iterable[tuple[str, str, str, bytes]]) -> str:
    """The version of rows of user id, utterance id, transcript and bytes of audio, sorted by both ids."""
    digest = hashlib.sha256()
    for *texts, audio in rows:
        for part in (*(str(text).encode() for text in texts), audio):
            digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:VERSION_LENGTH]


def require_named_version(file: TableFile) -> None:
    """Raise InputError where a sealed pack is not the one that its name tells."""
    named, found = _named(file.uri), file.described.get(VERSION)
    if named and found and found != named:
        raise _another(file.uri, found)


def require_content(file: TableFile, table: "pa.Table") -> None:
    """Raise InputError where a pack, read whole, is not the one that its name tells. Other tables pass."""
    require_named_version(file)
    named = _named(file.uri)
    if not named or file.is_sealed or not set(_COLUMNS) <= set(table.column_names):
        return
    columns = [table[name].to_pylist() for name in _COLUMNS]
    if not all(isinstance(audio, bytes) for audio in columns[-1]):
        return
    found = content_version(sorted(zip(*columns, strict=True), key=lambda row: (str(row[0]), str(row[1]))))
    if found != named:
        raise _another(file.uri, found)


def _named(uri: str) -> str:
    found = _IN_NAME.search(uri[-VERSION_LENGTH - 10 :])
    return found[1] if found else ""


def _another(uri: str, found: str) -> InputError:
    return InputError(
        f"{uri}: its content has version {found}, not that of its name: it is damaged, or another pack's; pack it again"
    )
