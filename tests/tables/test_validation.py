import uuid
from pathlib import Path

import pytest
from validating import PROBE_ALL, PROBE_MISSING, VOCABULARY, check, reasons, sound

from ds2ray import storage
from ds2ray.config import AudioConfig, DataConfig, ProbeAudio
from ds2ray.tables.manifest import Manifest, Utterance
from ds2ray.tables.problems import ProblemKind
from ds2ray.tables.validation import validate


@pytest.fixture(params=["local", "memory"])
def folder_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}"


def test_good_audio_of_every_format_gets_its_duration(folder_uri: str) -> None:
    manifest = check({f"{s}.{s}": sound(0.75, suffix=s) for s in ("wav", "flac", "ogg", "mp3", "pcm")}, folder_uri)
    assert manifest.problems == []
    assert [u.duration_s for u in manifest.utterances] == [0.75] * 5
    assert manifest.conversions == {}


def test_every_bad_file_is_reported_at_once(folder_uri: str) -> None:
    whole = sound(1.0)
    bad = {
        "good.wav": whole,
        "odd.pcm": sound(1.0, suffix="pcm")[:-1],
        "empty.wav": b"",
        "header-cut.wav": whole[:20],
        "no-samples.wav": sound(0.0),
        "half.wav": whole[: len(whole) // 2],
        "one-sample-less.wav": whole[:-2],
        "text.flac": b"this is no audio at all, but text",
        "empty.pcm": b"",
        "short.wav": sound(0.05),
        "long.wav": sound(31.0),
    }
    manifest = check(bad, folder_uri)
    assert [u.utterance_id for u in manifest.utterances] == ["good", "odd"]
    assert [problem.line for problem in manifest.problems] == list(range(4, 13))
    assert {problem.kind for problem in manifest.problems} == {ProblemKind.audio}
    said = {Path(problem.value).name: problem.reason for problem in manifest.problems if problem.column == "audio"}
    assert said["empty.wav"] == said["empty.pcm"] == "is empty (0 bytes)"
    assert "cannot be decoded" in said["header-cut.wav"] or "truncated" in said["header-cut.wav"]
    assert said["no-samples.wav"] == "holds no samples"
    assert said["half.wav"] == "is truncated: 16022 of 32044 bytes are there"
    assert said["one-sample-less.wav"] == "is truncated: 32042 of 32044 bytes are there"
    assert "cannot be decoded" in said["text.flac"]
    durations = [p for p in manifest.problems if p.column == "duration_s"]
    assert [(p.value, p.reason) for p in durations] == [
        ("0.050", "shorter than 0.1 s"),
        ("31.000", "longer than 30 s"),
    ]


def test_missing_files_are_found_even_if_the_manifest_gives_durations(folder_uri: str) -> None:
    utterances = [Utterance(f"u{i}", "ann", f"{folder_uri}/no/{i}.wav", 1.0, "hello", i + 2) for i in range(20)]
    manifest = validate(Manifest("m.csv", utterances), data=DataConfig(), audio=AudioConfig(), vocabulary=None)
    assert manifest.utterances == []
    assert len(manifest.problems) == 20
    assert str(manifest.problems[0]) == (
        f"m.csv:2: id=u0 user=ann audio={folder_uri}/no/0.wav: there is no such file; "
        "correct the path; relative ones start from the manifest"
    )


def test_a_folder_is_no_audio(tmp_path: Path) -> None:
    (tmp_path / "a.wav").mkdir()
    utterance = Utterance("a", "", str(tmp_path / "a.wav"), None, "hello", 2)
    manifest = validate(Manifest("m.csv", [utterance]), data=DataConfig(), audio=AudioConfig(), vocabulary=None)
    assert reasons(manifest) == [(2, ProblemKind.audio, "audio", "there is no such file")]


def test_stereo_and_other_rates_are_converted_and_counted(tmp_path: Path) -> None:
    audio = {
        "stereo.wav": sound(channels=2),
        "cd.flac": sound(rate_hz=44100, channels=2, suffix="flac"),
        "phone.wav": sound(rate_hz=8000),
        "plain.wav": sound(),
    }
    manifest = check(audio, str(tmp_path))
    assert manifest.problems == []
    assert [u.duration_s for u in manifest.utterances] == [1.0] * 4
    assert manifest.conversions == {"mixed_to_mono": 2, "resampled": 2, "sampled_up": 1}


def test_headers_are_opened_as_configured(tmp_path: Path) -> None:
    audio = {"a.wav": sound(1.0, channels=2), "b.wav": b"not audio"}
    trusted = check(audio, str(tmp_path), duration="2.0", data=PROBE_MISSING)
    assert [u.duration_s for u in trusted.utterances] == [2.0, 2.0]
    assert (trusted.problems, trusted.conversions) == ([], {})

    opened = check(audio, str(tmp_path), duration="2.0", data=PROBE_ALL)
    assert [u.duration_s for u in opened.utterances] == [1.0]
    assert [problem.line for problem in opened.problems] == [3]
    assert opened.conversions == {"mixed_to_mono": 1, "duration_corrected": 1}

    close_enough = check({"a.wav": sound(1.0)}, str(tmp_path), duration="1.005", data=PROBE_ALL)
    assert close_enough.utterances[0].duration_s == 1.0
    assert close_enough.conversions == {}


def test_nothing_is_opened_where_the_manifest_is_trusted(tmp_path: Path) -> None:
    utterances = [Utterance("a", "", str(tmp_path / "a.wav"), None, "hello", 2)]
    data = DataConfig(probe_audio=ProbeAudio.none)
    manifest = validate(Manifest("m.csv", utterances), data=data, audio=AudioConfig(), vocabulary=VOCABULARY)
    assert (manifest.utterances, manifest.problems) == (utterances, [])


def test_what_the_caller_knows_of_the_audio_is_used(tmp_path: Path) -> None:
    utterances = [Utterance("a", "", str(tmp_path / "a.wav"), 1.0, "hello", 2)]
    objects = {str(tmp_path / "a.wav"): storage.ObjectInfo(str(tmp_path / "a.wav"), 32044, "1")}
    manifest = validate(
        Manifest("m.csv", utterances), data=PROBE_MISSING, audio=AudioConfig(), vocabulary=None, objects=objects
    )
    assert manifest.utterances == utterances


def test_audio_as_bytes_is_checked_like_files() -> None:
    contents = [sound(0.5), b"", sound(0.5)[:100], b"noise", sound(0.01)]
    utterances = [Utterance(f"u{i}", "", content, None, "hello", i + 1) for i, content in enumerate(contents)]
    manifest = validate(Manifest("m.parquet", utterances), data=DataConfig(), audio=AudioConfig(), vocabulary=None)
    assert [(u.line, u.duration_s) for u in manifest.utterances] == [(1, 0.5)]
    assert [problem.line for problem in manifest.problems] == [2, 3, 4, 5]
    assert "audio=5 bytes: cannot be decoded" in str(manifest.problems[2])
