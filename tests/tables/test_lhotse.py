"""Cuts of lhotse: recordings and their parts are read, and everything else says why it is not."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from ds2ray.tables.manifest import read_manifest


def cut(**changes: Any) -> dict[str, Any]:
    """A cut as lhotse writes it."""
    source = {"type": "file", "channels": [0], "source": "audio/a.flac"}
    recording = {"id": "r", "sources": [source], "sampling_rate": 16000, "num_samples": 32000, "duration": 2.0}
    said = {
        "id": "s",
        "recording_id": "r",
        "start": 0.0,
        "duration": 2.0,
        "channel": 0,
        "text": "hello",
        "speaker": "ann",
    }
    plain = {"id": "r-0", "start": 0, "duration": 2.0, "channel": 0, "supervisions": [said], "recording": recording}
    return {**plain, "type": "MonoCut", **changes}


def with_source(**changes: Any) -> dict[str, Any]:
    recording = cut()["recording"]
    return cut(recording={**recording, "sources": [{**recording["sources"][0], **changes}]})


def test_whole_recordings_are_read(tmp_path: Path) -> None:
    said = cut()["supervisions"][0]
    rows = [
        cut(),
        cut(id="later first", supervisions=[{**said, "start": 1.0, "text": "you"}, {**said, "text": "hello"}]),
        {**with_source(type="url", source="s3://b/x.flac"), "id": "far"},
        cut(id="silent", supervisions=[]),
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "cuts.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    manifest = read_manifest(str(tmp_path / "cuts.jsonl.gz"))
    assert [(u.utterance_id, u.user_id, u.transcript, u.duration_s) for u in manifest.utterances] == [
        ("r-0", "ann", "hello", 2.0),
        ("later first", "ann", "hello you", 2.0),
        ("far", "ann", "hello", 2.0),
    ]
    assert [u.audio for u in manifest.utterances] == [str(tmp_path / "audio/a.flac")] * 2 + ["s3://b/x.flac"]
    assert [(problem.line, problem.column) for problem in manifest.problems] == [(4, "transcript")]


def test_parts_of_recordings_are_excerpts(tmp_path: Path) -> None:
    rows = [cut(id="end", start=0.5, duration=1.5), cut(id="begin", duration=1.0), cut(id="all", duration=1.995)]
    (tmp_path / "cuts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = read_manifest(str(tmp_path / "cuts.jsonl"))
    assert [(u.utterance_id, u.audio, u.duration_s) for u in manifest.utterances] == [
        ("end", f"{tmp_path}/audio/a.flac#t=0.5,2", 1.5),
        ("begin", f"{tmp_path}/audio/a.flac#t=0,1", 1.0),
        ("all", f"{tmp_path}/audio/a.flac", 1.995),
    ]
    assert not manifest.problems


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (cut(start=2.5, duration=1.5), "begins at 2.5 s, outside its recording of 2 s"),
        (cut(start=-0.5), "begins at -0.5 s, outside its recording"),
        (with_source(type="command", source="touch executed |"), "output of a command, which is never executed"),
        (with_source(type="memory", source="UklGRg=="), "no file, but memory"),
        (cut(recording=None), "no recording"),
        (cut(start="soon"), "start is not a number"),
        ({"id": "m", "type": "MixedCut", "tracks": []}, "mixed of others"),
        (
            cut(supervisions=[{"speaker": "ann", "text": "a"}, {"speaker": "bob", "text": "b"}]),
            "several speakers (ann, bob)",
        ),
    ],
)
def test_others_are_told(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    (tmp_path / "cuts.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(cut()) + "\n")
    manifest = read_manifest(str(tmp_path / "cuts.jsonl"))
    assert [u.utterance_id for u in manifest.utterances] == ["r-0"]
    (problem,) = manifest.problems
    assert reason in problem.reason
    assert problem.line == 1
    assert not (tmp_path / "executed").exists()
