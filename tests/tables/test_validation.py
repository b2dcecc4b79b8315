import io
import uuid
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ds2ray import storage
from ds2ray.config import AudioConfig, BadRows, DataConfig, ModelConfig, ProbeAudio, TextConfig, UnknownCharacters
from ds2ray.errors import InputError
from ds2ray.shapes.architectures import shape_of
from ds2ray.tables.manifest import Manifest, Utterance, read_manifest
from ds2ray.tables.problems import Problem, ProblemKind
from ds2ray.tables.validation import enforce, validate, validate_many
from ds2ray.text import Vocabulary

VOCABULARY = Vocabulary.from_transcripts(["abcdefghijklmnopqrstuvwxyz"], TextConfig())
PROBE_ALL = DataConfig(probe_audio=ProbeAudio.all)
PROBE_MISSING = DataConfig(probe_audio=ProbeAudio.missing)


def sound(duration_s: float = 1.0, *, rate_hz: int = 16000, channels: int = 1, suffix: str = "wav") -> bytes:
    samples = np.random.default_rng(0).normal(0, 0.1, (round(duration_s * rate_hz), channels))
    if suffix == "pcm":
        return (samples * 32767).astype("<i2").tobytes()
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format=suffix.upper())
    return buffer.getvalue()


def check(
    audio: dict[str, bytes],
    folder_uri: str,
    *,
    data: DataConfig | None = None,
    transcript: str = "hello",
    duration: str = "",
    vocabulary: Vocabulary | None = VOCABULARY,
) -> Manifest:
    """Write audio files and a manifest of all of them, read it and validate it."""
    rows = ["audio,transcript,duration_s"]
    for name, content in audio.items():
        storage.write_bytes(storage.join(folder_uri, name), content)
        rows.append(f"{name},{transcript},{duration}")
    uri = storage.join(folder_uri, "m.csv")
    storage.write_bytes(uri, "\n".join(rows).encode())
    shape = shape_of(ModelConfig(), AudioConfig())
    return validate(
        read_manifest(uri),
        data=data or DataConfig(),
        audio=shape.audio,
        vocabulary=vocabulary,
        encoding_frames=shape.encoding_frames,
    )


def reasons(manifest: Manifest) -> list[tuple[int, ProblemKind, str, str]]:
    return [(problem.line, problem.kind, problem.column, problem.reason) for problem in manifest.problems]


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


def test_unknown_characters_refuse_the_utterance_or_are_left_out_and_counted(tmp_path: Path) -> None:
    refused = check({"a.wav": sound()}, str(tmp_path), transcript="Café naïve é")
    assert reasons(refused) == [
        (2, ProblemKind.transcript, "transcript", "the vocabulary lacks 'é' (U+00E9) 'ï' (U+00EF)")
    ]
    dropping = DataConfig(unknown_characters=UnknownCharacters.drop)
    dropped = check({"a.wav": sound()}, str(tmp_path), transcript="Café naïve é", data=dropping)
    assert [u.transcript for u in dropped.utterances] == ["Café naïve é"]
    assert dropped.problems == []
    assert dropped.conversions == {"characters_dropped": 1}
    assert dropped.dropped_characters == {"é": 1, "ï": 1}
    nothing_left = check({"a.wav": sound()}, str(tmp_path), transcript="éé", data=dropping)
    assert reasons(nothing_left) == [(2, ProblemKind.transcript, "transcript", "holds no character of the vocabulary")]


@pytest.mark.parametrize("vocabulary", [VOCABULARY, None])
@pytest.mark.parametrize("transcript", ["", "   "])
def test_empty_transcripts_are_bad(tmp_path: Path, transcript: str, vocabulary: Vocabulary | None) -> None:
    manifest = check({"a.wav": sound()}, str(tmp_path), transcript=transcript, vocabulary=vocabulary)
    assert reasons(manifest) == [(2, ProblemKind.transcript, "transcript", "is empty")]


def test_transcripts_do_not_matter_where_speech_is_only_recognised(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(sound())
    utterances = [Utterance(text, "", str(tmp_path / "a.wav"), None, text, 2) for text in ("", "x" * 1000)]
    manifest = validate(
        Manifest("m.csv", utterances),
        data=DataConfig(),
        audio=AudioConfig(),
        vocabulary=None,
        transcripts_required=False,
    )
    assert len(manifest.utterances) == 2


@pytest.mark.parametrize(
    ("transcript", "needed"), [("abcabcabcab", 11), ("abcabcabcabc", 12), ("aaaaaa", 11), ("aaaaaab", 12)]
)
def test_ctc_needs_a_frame_per_token_and_repeat(tmp_path: Path, transcript: str, needed: int) -> None:
    # 0.2 s at a hop of 10 ms: 21 feature frames, 11 encoding frames
    manifest = check({"a.wav": sound(0.2)}, str(tmp_path), transcript=transcript)
    if needed <= 11:
        assert manifest.problems == []
    else:
        reason = "too long for its audio: needs 12 frames, 0.200 s of audio give 11"
        assert reasons(manifest) == [(2, ProblemKind.transcript, "transcript", reason)]


def test_one_utterance_can_have_several_problems_and_table_rows_keep_theirs(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("audio,transcript\na.wav,é\n,no audio\n")
    manifest = read_manifest(str(tmp_path / "m.csv"))
    manifest = validate(manifest, data=DataConfig(), audio=AudioConfig(), vocabulary=VOCABULARY)
    assert [(line, kind) for line, kind, *_ in reasons(manifest)] == [
        (2, ProblemKind.audio),
        (2, ProblemKind.transcript),
        (3, ProblemKind.row),
    ]


def test_many_manifests_keep_their_own_problems(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(sound(1.0))
    good = Utterance("a", "ann", str(tmp_path / "a.wav"), None, "hello", 2)
    bad = Utterance("b", "bob", str(tmp_path / "b.wav"), None, "hello", 2)
    manifests = [Manifest("ann.csv", [good]), Manifest("bob.csv", [bad]), Manifest("none.csv", [])]
    checked = validate_many(manifests, data=DataConfig(), audio=AudioConfig(), vocabulary=VOCABULARY)
    assert [[u.duration_s for u in m.utterances] for m in checked] == [[1.0], [], []]
    assert [[p.manifest_uri for p in m.problems] for m in checked] == [[], ["bob.csv"], []]


def problem(line: int, kind: ProblemKind) -> Problem:
    return Problem("m.csv", line, kind, "audio", "x", "is bad", "mend it")


def test_policies_decide_which_problems_stop_everything() -> None:
    problems = [problem(line, kind) for line, kind in enumerate(ProblemKind, start=2)]
    manifest = Manifest("m.csv", [], problems)
    with pytest.raises(InputError) as error:
        enforce(manifest, DataConfig(bad_audio=BadRows.refuse))
    assert str(error.value).splitlines() == [
        "m.csv: 3 rows cannot be used (data.bad_audio=drop and data.bad_rows=drop would leave them out):",
        "  m.csv:2: audio=x: is bad; mend it",
        "  m.csv:3: audio=x: is bad; mend it",
        "  m.csv:4: audio=x: is bad; mend it",
    ]
    with pytest.raises(InputError, match="1 row cannot be used") as error:
        enforce(manifest, DataConfig())
    assert "m.csv:2:" in str(error.value)
    enforce(manifest, DataConfig(bad_rows=BadRows.drop))
    enforce(Manifest("m.csv", []), DataConfig())


def test_a_long_list_of_problems_is_cut() -> None:
    manifest = Manifest("m.csv", [], [problem(line, ProblemKind.row) for line in range(2, 75)])
    with pytest.raises(InputError) as error:
        enforce(manifest, DataConfig())
    lines = str(error.value).splitlines()
    assert len(lines) == 52
    assert lines[-1] == "  … and 23 more"


@pytest.mark.parametrize(("policy", "counted"), [(ProbeAudio.near, 1), (ProbeAudio.missing, 0), (ProbeAudio.none, 0)])
def test_local_audio_of_known_duration_is_opened_where_that_costs_no_request(
    tmp_path: Path, policy: ProbeAudio, counted: int
) -> None:
    path = str(tmp_path / "a.wav")
    (tmp_path / "a.wav").write_bytes(sound(rate_hz=8000))
    manifest = Manifest("m.csv", [Utterance("a", "", path, 1.0, "ab", 2)])
    checked = validate(manifest, data=DataConfig(probe_audio=policy), audio=AudioConfig(), vocabulary=None)
    assert len(checked.utterances) == 1
    assert checked.conversions.get("resampled", 0) == counted


@pytest.mark.parametrize("expand", [False, True])
def test_digits_are_put_in_words_or_refused_with_the_setting_that_does_so(tmp_path: Path, expand: bool) -> None:
    vocabulary = Vocabulary.from_transcripts(["abcdefghijklmnopqrstuvwxyz"], TextConfig(expand_numbers=expand))
    manifest = check({"a.wav": sound(3)}, str(tmp_path), transcript="21 cats", vocabulary=vocabulary)
    if expand:
        assert (manifest.problems, manifest.conversions) == ([], {"put_in_words": 1})
    else:
        (problem,) = manifest.problems
        assert "train a base with text.expand_numbers=true" in problem.remedy


def test_one_row_that_cannot_be_put_in_words_is_left_out_with_its_reason(tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_transcripts(["abcdefghijklmnopqrstuvwxyz"], TextConfig(expand_numbers=True))
    data = DataConfig(unknown_characters=UnknownCharacters.drop)
    manifest = check({"a.wav": sound(3)}, str(tmp_path), data=data, transcript="my mp3", vocabulary=vocabulary)
    (problem,) = manifest.problems
    assert problem.reason == "cannot be put in words for certain: 'mp3' has digits inside a word"
    assert problem.remedy == "write down in words what is said"
