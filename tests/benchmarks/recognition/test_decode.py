"""The benchmark of decoders, on the stored fixture, whose voices are tones."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.recognition import decode
from ds2ray.store import Store, read_words_record
from ds2ray.tables.manifest import Utterance, write_manifest

STORED = Path(__file__).resolve().parents[2] / "fixtures" / "stored"


@pytest.mark.parametrize(("said", "missed"), [("cdb bad", False), ("cdb dad", True)])
def test_one_line_with_errors_speed_and_perplexity(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], said: str, missed: bool
) -> None:
    shutil.copytree(STORED / "store", tmp_path / "store")
    names = {"3-010.wav": "da a", "3-011.wav": said}
    rows = [Utterance(name, "john", str(STORED / name), 1.0, text, n) for n, (name, text) in enumerate(names.items())]
    write_manifest(str(tmp_path / "test.csv"), rows)
    (tmp_path / "texts.txt").write_text("da a\ncdb bad\n" * 5)
    files = (f"{tmp_path}/{name}" for name in ("store", "test.csv", "test.csv", "texts.txt"))
    decode.main(["--vad", "off", "--set", "toy", *files])
    line = json.loads(capsys.readouterr().out)
    assert line["wer"]["toy"] == {name: dict.fromkeys(decode.SIDES, 25.0 * missed) for name in decode.DECODERS}
    assert line["unknown"]["toy"] == pytest.approx(missed / 6, abs=1e-3)
    assert line["calibrated"]["toy"] == []
    # what is not heard as it was said is in no text, and is not heard as an own word
    assert line["rare_recall"]["toy"] == ({"before": 0, "after": 0, "count": 1} if missed else None)
    assert line["chosen"]["toy"] == {"lm_weight": 0.8}
    assert read_words_record(Store(str(tmp_path / "store")), "john") is None
    assert all(0 <= error <= 100 for sides in line["confidence_error"]["toy"].values() for error in sides.values())
    assert line["perplexity"]["toy"] > 1
    assert all(speed > 0 for of_sides in line["speed"]["toy"].values() for speed in of_sides.values())
    assert line["falls_short"] == (["toy: the language model's gain"] if missed else [])
