"""The transcripts of a manifest, validated; and its problems held against the policies."""

from pathlib import Path
from typing import Any

import pytest
from validating import VOCABULARY, check, reasons, sound

from ds2ray.config import (
    AudioConfig,
    BadRows,
    CalibrateJob,
    DataConfig,
    EvaluateJob,
    ProbeAudio,
    SweepJob,
    TextConfig,
    TrainJob,
    UnknownCharacters,
)
from ds2ray.errors import ConfigError, InputError
from ds2ray.tables.manifest import Manifest, Utterance, read_manifest
from ds2ray.tables.problems import Problem, ProblemKind
from ds2ray.tables.validation import enforce, validate, validate_many
from ds2ray.text import Vocabulary


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


@pytest.mark.parametrize("vocabulary", [VOCABULARY, None])
def test_where_speech_without_transcripts_is_used_only_its_audio_counts(
    tmp_path: Path, vocabulary: Vocabulary | None
) -> None:
    data = DataConfig(unlabelled=True, max_duration_s=2.0, segment_long=True)
    used = check({"a.wav": sound()}, str(tmp_path), transcript=" ", vocabulary=vocabulary, data=data)
    assert (len(used.utterances), used.problems, used.conversions) == (1, [], {"untranscribed": 1})
    long = check({"a.wav": sound(2.5)}, str(tmp_path), transcript=" ", vocabulary=vocabulary, data=data)
    assert [reason[3] for reason in reasons(long)] == ["longer than 2 s"]  # nothing tells where to cut it
    wrong = check({"a.wav": sound()}, str(tmp_path), transcript="é", data=data)
    assert [reason[3] for reason in reasons(wrong)] == ["the vocabulary lacks 'é' (U+00E9)"]


@pytest.mark.parametrize("job", [TrainJob, SweepJob, EvaluateJob, CalibrateJob])
def test_jobs_that_compare_with_transcripts_refuse_to_do_without(job: Any) -> None:
    with pytest.raises(ConfigError, match="data.unlabelled=True is not possible: it is for adapt_users"):
        job(data=DataConfig(unlabelled=True))


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
