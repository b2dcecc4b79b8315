"""Files of hypotheses: the format is that of the ending, and what is in them comes back."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from ds2ray import storage
from ds2ray.errors import ConfigError
from ds2ray.outputs.files import OUTPUT_SUFFIXES, file_names, require_format, write_hypotheses
from ds2ray.recognition.hypothesis import Alternative, Hypothesis, Word

HEARD = [
    Hypothesis(
        "a/one.wav",
        "ann",
        'say "it", now\n가',
        -0.5,
        (Word("say", 0.1, 0.2, 0.75), Word("가", 0.3, 0.4)),
        alternatives=(Alternative("say", -1.25, 0.875), Alternative("", -2.0, 0.125)),
    ),
    Hypothesis("two", "", "", note="no user given"),
]


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return storage.read_table(str(path)).to_pylist()
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    rows = csv.DictReader(io.StringIO(text, newline=""))
    as_json = ("words", "alternatives", "score")
    return [{name: json.loads(cell) if name in as_json else cell for name, cell in row.items()} for row in rows]


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet", ".JSONL"])
@pytest.mark.parametrize("heard", [HEARD, []], ids=["rows", "none"])
def test_tables_hold_all_that_was_heard(tmp_path: Path, ending: str, heard: list[Hypothesis]) -> None:
    path = tmp_path / f"heard{ending}"
    write_hypotheses(heard, str(path))
    assert read(path.rename(path.with_suffix(ending.lower()))) == [each.to_row() for each in heard]


def test_words_and_alternatives_in_rows() -> None:
    row = HEARD[0].to_row()
    assert row["words"][0] == {"text": "say", "start_s": 0.1, "end_s": 0.2, "confidence": 0.75}
    assert row["words"][1]["confidence"] is None
    assert row["alternatives"][0] == {"text": "say", "score": -1.25, "share": 0.875}


@pytest.mark.parametrize("ending", [".srt", ".vtt"])
def test_subtitles_of_several_recordings_need_a_file_each(tmp_path: Path, ending: str) -> None:
    with pytest.raises(ConfigError, match=r"for one recording, and there are 2; put \{id\} in its name"):
        write_hypotheses(HEARD, str(tmp_path / f"heard{ending}"))
    write_hypotheses(HEARD, str(tmp_path / f"{{id}}{ending}"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"one{ending}", f"two{ending}"]
    assert "say 가\n" in (tmp_path / f"one{ending}").read_text(encoding="utf-8")
    assert "-->" not in (tmp_path / f"two{ending}").read_text(encoding="utf-8")


def test_an_ending_of_no_format_is_told() -> None:
    with pytest.raises(ConfigError) as told:
        require_format("heard.txt")
    assert all(ending in str(told.value) for ending in OUTPUT_SUFFIXES)


def test_names_of_files_are_safe_and_no_two_alike() -> None:
    ids = ["x/a.wav", "y/A.flac", "..", "a", "c:\\d\\e?.mp3", "v1.2", ".wav", "한 글", "a-2"]
    assert file_names(ids) == ["a", "A-2", "_", "a-3", "e_", "v1.2", "wav", "한 글", "a-2-2"]
