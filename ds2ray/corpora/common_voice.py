"""Common Voice: a table of tab-separated values beside a folder of clips."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from ds2ray import storage
from ds2ray.errors import InputError
from ds2ray.tables.manifest import READ_COLUMNS, Manifest, manifest_of
from ds2ray.tables.rows import Row, read_rows

_PREFERRED_TSV = "validated.tsv"
_DURATIONS_TSV = "clip_durations.tsv"
_NEEDED = {"client_id": "user_id", "path": "audio", "sentence": "transcript"}


def read_common_voice(uri: str, encoding: str = "") -> list[Manifest]:
    """Common Voice: a table of tab-separated values with `client_id`, `path` and `sentence`, and the audio in `clips/`.

    Durations come from `clip_durations.tsv`, where that lies beside the table.

    Args:
        uri: of a .tsv, or of a release's folder, of which `validated.tsv` is read, or the only .tsv there is.
        encoding: of the tables; empty: UTF-8, or guessed.

    Raises:
        InputError: there is no such table, it lacks a column, or is in no encoding that can be read.
    """
    tsv_uri = uri if uri.lower().endswith(".tsv") else _only_tsv(uri)
    durations_s = _clip_durations_s(storage.resolve(_DURATIONS_TSV, tsv_uri))
    table = read_rows(tsv_uri, READ_COLUMNS, encoding)
    missing = [theirs for theirs, ours in _NEEDED.items() if ours not in table.columns]
    if missing:
        there = ", ".join(table.written.get(name, name) for name in table.columns)
        raise InputError(f"{tsv_uri}: the table has no column {' or '.join(missing)}; it has {there}")
    rows = table.rows

    def with_durations() -> Iterator[Row]:
        for row in rows:
            duration_s = durations_s.get(PurePosixPath(row.cells["audio"].strip()).name)
            yield Row(row.line, {**row.cells, "duration_s": duration_s} if duration_s else row.cells)

    table.rows = with_durations()
    return [manifest_of(table)]


def _only_tsv(folder_uri: str) -> str:
    tables = [info.uri for info in storage.list_objects(folder_uri) if info.uri.lower().endswith(".tsv")]
    preferred = [uri for uri in tables if PurePosixPath(uri).name == _PREFERRED_TSV] or tables
    if len(preferred) == 1:
        return preferred[0]
    found = f"there are {', '.join(PurePosixPath(uri).name for uri in tables)}" if tables else "there is no .tsv"
    raise InputError(f"{folder_uri}: no {_PREFERRED_TSV}; {found}: name the table to read, as {folder_uri}/train.tsv")


def _clip_durations_s(uri: str) -> dict[str, str]:
    """Seconds by the name of the clip; what cannot be read is left to the audio itself."""
    if not storage.exists(uri):
        return {}
    try:
        rows = [row.cells for row in read_rows(uri, ("clip", "duration[ms]")).rows]
    except InputError:
        return {}
    pairs = ((cells.get("clip", ""), cells.get("duration[ms]", "").strip()) for cells in rows)
    return {clip: str(int(duration_ms) / 1000) for clip, duration_ms in pairs if duration_ms.isdecimal()}
