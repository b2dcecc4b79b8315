"""jobs/transcribe.py over everything that a folder may hold: each file has its row, and the others are recognised."""

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from fleet_runs import RandomBase, run_job_here, spoken
from odd_addresses import odd_audio, odd_folder, write_rows
from sounds import CASES, encoded

from ds2ray import Transcriber, storage
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.sound.audio import read_waveform

RATE_HZ = 16000


@pytest.fixture(scope="module")
def store(random_base: RandomBase, tmp_path_factory: pytest.TempPathFactory) -> str:
    return random_base.publish(str(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def waveform(small_corpus: DemoCorpus) -> np.ndarray:
    return read_waveform(spoken(small_corpus)["grace"][0].audio, RATE_HZ)


@pytest.fixture
def folder(waveform: np.ndarray, tmp_path: Path) -> Path:
    """Two files that are intact, the second with a name that is not UTF-8, and everything else that may lie there."""
    intact = encoded(waveform, "WAV")
    files = {
        b"a.wav": intact,
        "한글.wav".encode("cp949"): intact,
        b"empty.wav": b"",
        b"text.flac": b"no audio at all",
        b"cut.flac": encoded(waveform, "FLAC")[:5000],
        b"gsm.wav": encoded(waveform, "WAV", subtype="GSM610"),
        b"opposite.wav": encoded(np.stack([waveform, -waveform], axis=1), "WAV"),
    }
    for name, data in files.items():
        with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:
            file.write(data)
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    return tmp_path


REASONS = {
    "empty.wav": "is empty (0 bytes)",
    "text.flac": "cannot be decoded as audio (Format not recognised)",
    "folder.wav": "is a directory",
    "loop.wav": "is a symbolic link that leads back to itself",
    "pipe.wav": "is no file but a pipe, socket or device",
    "none.wav": "there is no such file",
}
KOREAN = r"\xc7\xd1\xb1\xdb.wav"


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    """Results by the name of the file."""
    if path.suffix == ".parquet":
        rows = storage.read_table(str(path)).to_pylist()
    elif path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    else:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    return {row["utterance_id"].rpartition("/")[2]: row for row in rows}


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_every_file_has_its_row(store: str, folder: Path, suffix: str) -> None:
    named = [*sorted(str(path) for path in folder.iterdir()), str(folder / "none.wav")]
    output = folder / f"heard.{suffix}"
    done = run_job_here("transcribe", *named, f"output={output}", f"storage.root={store}")
    assert (done.code, "Traceback" in done.err + done.out) == (0, False)
    rows = rows_of(output)
    assert len(rows) == len(named)
    assert {name: rows[name]["error"] for name in REASONS} == REASONS
    assert "cannot be decoded" in rows["cut.flac"]["error"] or "truncated" in rows["cut.flac"]["error"]
    (expected,) = Transcriber.open(store).transcribe([str(folder / "a.wav")])
    assert expected.text
    assert rows["a.wav"]["text"] == rows[KOREAN]["text"] == rows["opposite.wav"]["text"] == expected.text
    assert (rows["gsm.wav"]["error"], bool(rows["gsm.wav"]["text"])) == ("", True)
    assert rows["opposite.wav"]["note"] == (
        "no user given; averaged channels 1, 2 of 2; 2 of opposite phase, turned so that nothing cancels"
    )
    assert f"wrote {len(named)} hypotheses to {output}" in done.out


def test_to_the_terminal_as_well(store: str, folder: Path) -> None:
    named = sorted(str(path) for path in folder.iterdir())
    done = run_job_here("transcribe", *named, f"storage.root={store}")
    assert done.code == 0
    lines = dict(line.split("\t") for line in done.out.splitlines() if "\t" in line)
    assert lines[f"{folder}/loop.wav"] == "ERROR: is a symbolic link that leads back to itself"
    assert lines[f"{folder}/{KOREAN}"] == lines[f"{folder}/a.wav"]


def test_a_list_and_stdin(store: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "list.m3u").write_bytes(b"#EXTM3U\na.wav\nnone.wav\n" + "한글.wav".encode("cp949") + b"\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((folder / "a.wav").read_bytes())))
    done = run_job_here("transcribe", "-", "--from-file", str(folder / "list.m3u"), f"storage.root={store}")
    assert done.code == 0
    lines = [line.split("\t") for line in done.out.splitlines() if "\t" in line]
    assert [name.rpartition("/")[2] for name, _ in lines] == ["-", "a.wav", "none.wav", KOREAN]
    assert lines[0][1] == lines[1][1] == lines[3][1] != ""
    assert lines[2][1] == "ERROR: there is no such file"


def test_a_folder_alone_is_refused_at_once(store: str, folder: Path) -> None:
    done = run_job_here("transcribe", str(folder), f"storage.root={store}")
    assert done.code == 2
    assert f"{folder}: is a directory" in done.err


@pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is not here")
def test_every_sample_is_recognised(store: str) -> None:
    named = sorted(str(path) for path in CASES.iterdir())
    done = run_job_here("transcribe", *named, f"storage.root={store}")
    assert done.code == 0
    assert "ERROR" not in done.out
    assert f"{len(named)} by the base alone, 0 not readable" in done.out


def test_odd_addresses_of_a_manifest_are_left_out(store: str, small_corpus: DemoCorpus, tmp_path: Path) -> None:
    folder = odd_folder(tmp_path)
    odd = odd_audio(folder)
    good: dict[str, object] = {"utterance_id": "good", "audio": str(spoken(small_corpus)["grace"][0].audio)}
    bad: list[dict[str, object]] = [{"utterance_id": name, "audio": uri} for name, (uri, _) in odd.items()]
    manifest = write_rows(folder / "m.jsonl", [good, *bad])
    done = run_job_here("transcribe", f"manifest={manifest}", f"storage.root={store}", f"output={tmp_path}/out.jsonl")
    assert done.code == 0
    for name, (_, why) in odd.items():
        (told,) = [line for line in done.out.splitlines() if f"id={name} " in line]
        assert why in told
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["utterance_id"] for row in rows] == ["good"]
