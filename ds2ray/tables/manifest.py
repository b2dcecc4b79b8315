"""Manifests: tables of utterances as CSV, JSON lines or Parquet, by any URI.

Columns are `utterance_id, user_id, audio, duration_s, transcript`, of which audio and transcript must be there; what
other programs call them is read, too (see `columns`). Audio is a URI, relative ones starting from the manifest's
folder; in Parquet it may be the bytes of an audio file, or Hugging Face's struct of bytes and path. With `start_s`, and
`end_s` or `duration_s`, it is an excerpt of a recording, whose address says so (`long.wav#t=12.5,15.75`). `corrected`
is true where the user has corrected what was recognised to this transcript.
"""

import csv
import gzip
import io
import json
import math
import posixpath
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ds2ray import storage
from ds2ray.errors import InputError
from ds2ray.tables.columns import is_common_voice
from ds2ray.tables.default_ids import with_ids
from ds2ray.tables.formats import CSV, GZIP, JSON_LINES, PARQUET, table_format
from ds2ray.tables.problems import Problem, ProblemKind, shown
from ds2ray.tables.rows import Row, RowTable, read_rows
from ds2ray.uris import Excerpt, excerpt_uri

COLUMNS = ("utterance_id", "user_id", "audio", "duration_s", "transcript")
CORRECTED = "corrected"
READ_COLUMNS = (*COLUMNS, "start_s", "end_s", CORRECTED)
CLIPS = "clips"
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0", "")
_TIMES_TOLERANCE_S = 0.1  # by which a duration may differ from the times of an excerpt


@dataclass(frozen=True, slots=True)
class Utterance:
    """One audio and its transcript."""

    utterance_id: str  # unique in its manifest; by default the stem of the audio's name
    user_id: str  # empty where the manifest names none
    audio: str | bytes  # absolute URI, also of an excerpt of a recording, or the bytes of an audio file
    duration_s: float | None  # None: not known before the audio is opened
    transcript: str
    line: int  # where the row starts in its manifest, from 1
    corrected: bool = False  # whether the user has corrected what was recognised to this transcript


@dataclass
class Manifest:
    """The utterances of a manifest and the problems of its other rows; or one user's part of them.

    Attributes:
        user_id: whose utterances and problems these are; empty: those of any users.
    """

    uri: str
    utterances: list[Utterance]
    problems: list[Problem] = field(default_factory=list)
    unknown_columns: list[str] = field(default_factory=list)  # ignored
    conversions: dict[str, int] = field(default_factory=dict)  # utterances by what is converted (see validate)
    dropped_characters: dict[str, int] = field(default_factory=dict)  # utterances by what is left out of them
    notes: dict[str, int] = field(default_factory=dict)  # what else was read in a way that deserves to be told
    names_users: bool = True  # user_id is the table's own column, not one that other programs call otherwise
    user_id: str = ""


def read_manifest(uri: str, *, transcripts_required: bool = True, encoding: str = "") -> Manifest:
    """Read every row; those with cells that are missing, malformed or used twice become problems.

    Args:
        transcripts_required: whether the column must be there. A transcript that is empty is left to `validate`.
        encoding: of a text file; empty: UTF-8, or guessed.

    Raises:
        InputError: the file is missing or unreadable as a whole, or lacks a column.
    """
    table = read_rows(uri, READ_COLUMNS, encoding)
    table.require(("audio", "transcript") if transcripts_required else ("audio",))
    return manifest_of(table, transcripts_required=transcripts_required)


def manifest_of(table: RowTable, *, transcripts_required: bool = True) -> Manifest:
    """The utterances of an open table."""
    parsed = []
    file_names: dict[int, str] = {}
    for row in table.rows:
        cells = _Cells(row, table.uri, transcripts_required, in_clips=is_common_voice(table.written))
        utterance = cells.utterance()
        if cells.file_name:
            file_names[row.line] = cells.file_name
        if cells.problems:
            table.problems.extend(cells.problems)
        else:
            parsed.append(utterance)
    utterances = with_ids(parsed, table.uri, table.problems, file_names)
    return Manifest(
        table.uri,
        utterances,
        sorted(table.problems, key=lambda problem: problem.line),
        [name for name in table.columns if name not in READ_COLUMNS],
        notes=dict(table.notes),
        names_users="user_id" not in table.written,
    )


class _Cells:
    """Reads the typed cells of one row and collects what is wrong with them."""

    def __init__(self, row: Row, uri: str, transcript_required: bool, in_clips: bool = False) -> None:
        self.row = row
        self.uri = uri
        self.transcript_required = transcript_required
        self.in_clips = in_clips
        self.file_name = ""  # that audio has had which is given as bytes
        self.problems: list[Problem] = []

    def utterance(self) -> Utterance:
        """The row as an utterance, whose id is still empty where none is given. Usable if there are no problems."""
        ids = self._id("utterance_id"), _normal(self._id("user_id"))
        audio, duration_s = self._audio(), self._seconds("duration_s", "a duration")
        excerpt = self._excerpt(duration_s)
        if excerpt and audio:
            audio = self._part(audio, excerpt)
            duration_s = excerpt.duration_s if math.isfinite(excerpt.end_s) else None
        return Utterance(*ids, audio, duration_s, self._transcript(), self.row.line, self._corrected())

    def _refuse(self, column: str, value: object, reason: str, remedy: str) -> None:
        ids = [_normal(str(self.row.cells.get(name, "")).strip()) for name in ("utterance_id", "user_id")]
        place = (self.uri, self.row.line, ProblemKind.row)
        self.problems.append(Problem(*place, column, shown(value), reason, remedy, *ids))

    def _id(self, column: str) -> str:
        value = self.row.cells.get(column, "")
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str):
            return value.strip()
        self._refuse(column, value, "not text", "write it as text")
        return ""

    def _audio(self) -> str | bytes:
        value = self.row.cells.get("audio", "")
        if isinstance(value, dict):  # Hugging Face's
            self.file_name = str(value.get("path") or "")
            value = value.get("bytes") or self.file_name or value
        if isinstance(value, bytes):
            return value
        self.file_name = ""
        if isinstance(value, str) and value.strip():
            return storage.resolve(self._in_its_folder(value.strip()), self.uri)
        remedy = "give the URI of an audio file, or in Parquet its bytes"
        if isinstance(value, dict | list):
            self._refuse("audio", value, "decoded samples, or another structure", f"{remedy} (Audio(decode=False))")
        else:
            self._refuse("audio", value, "no audio is given", remedy)
        return ""

    def _in_its_folder(self, path: str) -> str:
        """The path of a clip from its table, as Common Voice names it; that of others is as it is."""
        if not self.in_clips or "/" in path:
            return path
        return f"{CLIPS}/{path}" if PurePosixPath(path).suffix else f"{CLIPS}/{path}.mp3"

    def _excerpt(self, duration_s: float | None) -> Excerpt | None:
        """The part of the recording that the row is about; None where it is about all of it."""
        start_s = self._seconds("start_s", "a time", may_be_zero=True)
        end_s = self._seconds("end_s", "a time")
        if start_s is None and end_s is None:
            return None
        start_s = start_s or 0.0
        if end_s is None:
            # nothing but a beginning of 0 says no more than a row without it
            end_s = math.inf if duration_s is None else start_s + duration_s
            return Excerpt(start_s, end_s) if start_s > 0 or duration_s is not None else None
        if end_s <= start_s:
            self._refuse("end_s", end_s, f"is not after start_s, {start_s:g}", "correct the times")
        elif duration_s is not None and abs(end_s - start_s - duration_s) > _TIMES_TOLERANCE_S:
            reason = f"lasts {duration_s:g} s, but from start_s to end_s it is {end_s - start_s:g} s"
            self._refuse("duration_s", duration_s, reason, "correct the times, or leave out one of the three")
        return Excerpt(start_s, end_s)

    def _part(self, audio: str | bytes, excerpt: Excerpt) -> str | bytes:
        """An excerpt's address."""
        if isinstance(audio, str):
            return excerpt_uri(audio, excerpt)
        reason = "a part of a recording that is given as bytes, which have no address"
        self._refuse("audio", audio, reason, "cut the bytes, or name the file in their place")
        return audio

    def _seconds(self, column: str, what: str, *, may_be_zero: bool = False) -> float | None:
        value: Any = self.row.cells.get(column, "")
        if isinstance(value, str) and not value.strip():
            return None
        try:
            seconds = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            seconds = math.nan
        if 0 < seconds < math.inf or (may_be_zero and seconds == 0):
            return seconds
        least = "from 0 on" if may_be_zero else "above 0"
        self._refuse(column, value, f"not {what}", f"give seconds {least}, or leave the cell empty")
        return None

    def _transcript(self) -> str:
        value = self.row.cells.get("transcript")
        if isinstance(value, str):
            return value
        if value is not None:
            self._refuse("transcript", value, "not text", "write it as text")
        elif self.transcript_required:
            self._refuse("transcript", value, "missing", "give it")
        return ""

    def _corrected(self) -> bool:
        value = self.row.cells.get(CORRECTED, "")
        said = str("" if value is None else value).strip().lower()
        if said not in _TRUE + _FALSE:
            self._refuse(CORRECTED, value, "neither true nor false", "write true, or leave the cell empty")
        return said in _TRUE


def _normal(text: str) -> str:
    """The form in which users are told apart."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def write_manifest(uri: str, utterances: Iterable[Utterance], audio_relative: bool = True) -> None:
    """Write a manifest in the format that the suffix of its URI names; lines are not kept.

    Args:
        audio_relative: write audio URIs relative to the manifest's folder where they have the same root, so that the
            whole can be moved.

    Raises:
        InputError: no known suffix, or audio as bytes elsewhere than in a Parquet file of nothing else.
    """
    rows: list[dict[str, Any]] = []
    utterances = list(utterances)
    columns = (*COLUMNS, CORRECTED) if any(u.corrected for u in utterances) else COLUMNS
    for u in utterances:
        audio = u.audio
        if isinstance(audio, str) and audio_relative:
            audio = _relative(storage.absolute(audio), storage.absolute(storage.parent(uri)))
        cells = (u.utterance_id, u.user_id, audio, u.duration_s, u.transcript, u.corrected)
        rows.append(dict(zip(columns, cells, strict=False)))
    suffix = table_format(uri)
    if suffix not in (CSV, JSON_LINES, PARQUET):
        raise InputError(f"{uri}: a manifest's name must end in {CSV}, {JSON_LINES} or {PARQUET}")
    num_bytes = sum(isinstance(row["audio"], bytes) for row in rows)
    if num_bytes and (suffix != PARQUET or num_bytes < len(rows)):
        raise InputError(f"{uri}: audio as bytes can only be written to a {PARQUET} file, and not beside URIs")
    if suffix == PARQUET:
        _write_parquet(uri, rows, columns, of_bytes=num_bytes > 0)
        return
    text = io.StringIO()
    if suffix == CSV:
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        if any("\r" in row["transcript"] for row in rows):  # csv quotes only such line breaks as end its rows
            writer = csv.DictWriter(text, columns, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writeheader()
        writer.writerows(rows)
    else:
        text.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    data = text.getvalue().encode()
    storage.write_bytes(uri, gzip.compress(data, mtime=0) if uri.lower().endswith(GZIP) else data)


def _write_parquet(uri: str, rows: list[dict[str, Any]], columns: Sequence[str], *, of_bytes: bool) -> None:
    import pyarrow as pa

    types = {"audio": pa.binary() if of_bytes else pa.string(), "duration_s": pa.float64(), CORRECTED: pa.bool_()}
    schema = pa.schema([(column, types.get(column, pa.string())) for column in columns])
    storage.write_table(uri, pa.Table.from_pylist(rows, schema=schema))


def _relative(audio_uri: str, folder_uri: str) -> str:
    """The audio's path from a folder, where both have the same scheme and first folder or bucket; else unchanged."""
    audio_scheme, _, audio_path = audio_uri.rpartition("://")
    scheme, _, folder = folder_uri.rpartition("://")
    if audio_scheme != scheme or audio_path.lstrip("/").split("/")[0] != folder.lstrip("/").split("/")[0]:
        return audio_uri
    relative = posixpath.relpath("/" + audio_path.lstrip("/"), "/" + folder.lstrip("/"))
    return f"./{relative}" if relative.startswith("~") else relative  # ~ would be the home folder
