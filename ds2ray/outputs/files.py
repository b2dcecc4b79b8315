"""Hypotheses written to files, in the format that the name's ending says."""

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ds2ray import storage
from ds2ray.errors import ConfigError
from ds2ray.outputs.ctm import ctm
from ds2ray.outputs.subtitles import srt, vtt

if TYPE_CHECKING:
    from ds2ray.recognition.hypothesis import Hypothesis, Word

EACH = "{id}"
"""Stands in the name of an output for the name of an utterance, each of which then has a file of its own."""
_UNSAFE = re.compile(r'[\x00-\x1f<>:"/\\|?*]+')
_LIST_COLUMNS = ("words", "alternatives")


def _jsonl(hypotheses: Sequence["Hypothesis"]) -> str:
    return "".join(json.dumps(hypothesis.to_row(), ensure_ascii=False) + "\n" for hypothesis in hypotheses)


def _csv(hypotheses: Sequence["Hypothesis"]) -> str:
    """Lists stand in their cells as JSON."""
    rows = [hypothesis.to_row() for hypothesis in hypotheses]
    from ds2ray.recognition.hypothesis import Hypothesis  # imports torch

    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, Hypothesis("", "", "").to_row(), lineterminator="\n")
    writer.writeheader()
    lists = [{name: json.dumps(row[name], ensure_ascii=False) for name in _LIST_COLUMNS} for row in rows]
    writer.writerows({**row, **cells} for row, cells in zip(rows, lists, strict=True))
    return buffer.getvalue()


_TEXTS: dict[str, Callable[[Sequence["Hypothesis"]], str]] = {".jsonl": _jsonl, ".csv": _csv, ".ctm": ctm}
_PARQUET = ".parquet"
_SUBTITLES: dict[str, Callable[[Sequence["Word"]], str]] = {".srt": srt, ".vtt": vtt}
OUTPUT_SUFFIXES = (".jsonl", ".csv", _PARQUET, *_SUBTITLES, ".ctm")


def require_format(output: str) -> None:
    """Raise ConfigError for a name whose ending is that of no format."""
    if not output.lower().endswith(OUTPUT_SUFFIXES):
        endings = ", ".join(OUTPUT_SUFFIXES)
        raise ConfigError(f"output={output!r}: the name must end in {endings}, or in / for a folder of parts")


def require_one_each(output: str, count: int) -> None:
    """Raise ConfigError where several utterances would share a file of subtitles, all of whose times begin at 0."""
    if count > 1 and output.lower().endswith(tuple(_SUBTITLES)) and EACH not in output:
        stem, dot, ending = output.rpartition(".")
        raise ConfigError(
            f"output={output!r}: a file of subtitles is for one recording, and there are {count}; put {EACH} in its "
            f"name, which stands for that of each, as in '{stem}-{EACH}{dot}{ending}', or write .ctm, .jsonl, .csv or "
            ".parquet"
        )


def write_hypotheses(hypotheses: Sequence["Hypothesis"], output: str) -> None:
    """Write hypotheses to a file, or to a file each where there is `{id}` in its name.

    Raises:
        ConfigError: no format has this ending, or several recordings would share a file of subtitles.
    """
    require_format(output)
    require_one_each(output, len(hypotheses))
    if EACH not in output:
        _write(hypotheses, output)
        return
    for hypothesis, name in zip(hypotheses, file_names([each.utterance_id for each in hypotheses]), strict=True):
        _write([hypothesis], output.replace(EACH, name))


def file_names(utterance_ids: Sequence[str]) -> list[str]:
    """A name for a file of each utterance: a path's last part without its ending, numbered where two are alike."""
    taken: set[str] = set()
    names = []
    for utterance_id in utterance_ids:
        last = PurePosixPath(utterance_id.replace("\\", "/")).name
        stem = re.sub(r"(?<=.)\.[A-Za-z][A-Za-z0-9]{1,4}$", "", last)
        name = plain = _UNSAFE.sub("_", stem).strip(" .") or "_"
        number = 1
        while name.casefold() in taken:  # some file systems know no capitals
            number += 1
            name = f"{plain}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


def _write(hypotheses: Sequence["Hypothesis"], output: str) -> None:
    ending = f".{output.lower().rpartition('.')[2]}"
    if ending == _PARQUET:
        from ds2ray.recognition.hypothesis_table import hypotheses_table  # imports pyarrow

        storage.write_table(output, hypotheses_table(hypotheses))
    elif ending in _SUBTITLES:
        words = [word for hypothesis in hypotheses for word in hypothesis.words]
        storage.write_bytes(output, _SUBTITLES[ending](words).encode())
    else:
        storage.write_bytes(output, _TEXTS[ending](hypotheses).encode())
