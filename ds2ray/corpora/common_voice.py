"""Common Voice: a table of tab-separated values beside a folder of clips."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from ds2ray import storage
from ds2ray.errors import InputError
from ds2ray.tables.manifest import Manifest, manifest_of
from ds2ray.tables.rows import Row, RowTable, read_text

CLIPS = "clips"

_PREFERRED_TSV = "validated.tsv"
_DURATIONS_TSV = "clip_durations.tsv"
_COLUMNS = {"client_id": "user_id", "path": "audio", "sentence": "transcript"}


def read_common_voice(uri: str) -> list[Manifest]:
    """Common Voice: a table of tab-separated values with `client_id`, `path` and `sentence`, and the audio in `clips/`.

    Durations come from `clip_durations.tsv`, where that lies beside the table.

    Args:
        uri: of a .tsv, or of a release's folder, of which `validated.tsv` is read, or the only .tsv there is.

    Raises:
        InputError: there is no such table, it lacks a column, or is not UTF-8.
    """
    tsv_uri = uri if uri.lower().endswith(".tsv") else _only_tsv(uri)
    durations_s = _clip_durations_s(storage.resolve(_DURATIONS_TSV, tsv_uri))
    table = RowTable(tsv_uri, list(_COLUMNS.values()))
    header, rows = _read_tsv(table)
    missing = [name for name in _COLUMNS if name not in header]
    if missing:
        raise InputError(f"{tsv_uri}: the table has no column {' or '.join(missing)}; it has {', '.join(header)}")

    def renamed() -> Iterator[Row]:
        for line, cells in rows:
            values = {ours: cells[header.index(theirs)].strip() for theirs, ours in _COLUMNS.items()}
            if values["audio"]:
                name = PurePosixPath(values["audio"]).name
                values["audio"] = f"{CLIPS}/{name}" if PurePosixPath(name).suffix else f"{CLIPS}/{name}.mp3"
                values["duration_s"] = durations_s.get(name, "")
            yield Row(line, values)

    table.rows = renamed()
    return [manifest_of(table)]


def _only_tsv(folder_uri: str) -> str:
    tables = [info.uri for info in storage.list_objects(folder_uri) if info.uri.lower().endswith(".tsv")]
    preferred = [uri for uri in tables if PurePosixPath(uri).name == _PREFERRED_TSV] or tables
    if len(preferred) == 1:
        return preferred[0]
    found = f"there are {', '.join(PurePosixPath(uri).name for uri in tables)}" if tables else "there is no .tsv"
    raise InputError(f"{folder_uri}: no {_PREFERRED_TSV}; {found}: name the table to read, as {folder_uri}/train.tsv")


def _read_tsv(table: RowTable) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Header and rows; quotes have no meaning in these tables. Rows of another length become problems."""
    try:
        text = read_text(table.uri)
    except FileNotFoundError as error:
        raise InputError(f"{table.uri}: there is no such file") from error
    lines = [line.rstrip("\r").split("\t") for line in text.split("\n")]
    header = [name.strip() for name in lines[0]]

    def rows() -> Iterator[tuple[int, list[str]]]:
        for line, cells in enumerate(lines[1:], start=2):
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) == len(header):
                yield line, cells
            else:
                reason = f"{len(cells)} cells, but the header has {len(header)}"
                table.add_problem(line, "\t".join(cells), reason, "put exactly one tab between two cells")

    return header, rows()


def _clip_durations_s(uri: str) -> dict[str, str]:
    """Seconds by the name of the clip; what cannot be read is left to the audio itself."""
    if not storage.exists(uri):
        return {}
    _, rows = _read_tsv(RowTable(uri, []))
    pairs = (cells for _, cells in rows if len(cells) == 2 and cells[1].strip().isdecimal())
    return {clip: str(int(duration_ms) / 1000) for clip, duration_ms in pairs}
