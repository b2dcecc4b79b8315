"""Long recordings cut into segments with their part of the transcript, by a base that knows the voices."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from long_speech import PAUSE_S, RATE_HZ, join, part, said
from shards import pack

from ds2ray.config import AdaptConfig, AdapterConfig, AudioConfig, DataConfig, ModelConfig, TextConfig, TrainConfig
from ds2ray.errors import ConfigError, InputError
from ds2ray.model.weights import Base
from ds2ray.packs.references import read_packed_manifest
from ds2ray.shapes.architectures import shape_of
from ds2ray.sound.audio import probe, read_waveform, write_audio
from ds2ray.tables.manifest import Manifest, Utterance, write_manifest
from ds2ray.tables.problems import ProblemKind
from ds2ray.training.adapters.cohort import adapt_cohort, results_of
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.adapters.speech import encode_users
from ds2ray.training.base.sources import TrainingData, read_tables, usable_data
from ds2ray.training.long_recordings import NOT_CREDIBLE, cut_recording, is_long, with_segments

SHAPE = shape_of(ModelConfig(), AudioConfig())
DATA = DataConfig(max_duration_s=10.0, segment_long=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("long")


@pytest.fixture(scope="module")
def talk(commands: list[Utterance], folder: Path) -> Utterance:
    """Ten sentences, more than 20 s."""
    return join(str(folder / "talk.flac"), commands[:10])


def test_each_segment_has_its_part_of_the_transcript(
    spoken_base: Base, talk: Utterance, commands: list[Utterance]
) -> None:
    found = cut_recording(talk, spoken_base, 10.0)
    assert said(found.utterances) == said(commands[:10])
    assert found.num_left_out == 0
    start_s = PAUSE_S
    for segment, sentence in zip(found.utterances, commands, strict=False):
        assert segment.user_id == "ann"
        assert segment.line == 2
        audio, times = str(segment.audio).split("#t=")
        assert audio == talk.audio
        assert segment.utterance_id == f"talk@{times.replace(',', '-')}"
        first_s, last_s = map(float, times.split(","))
        duration_s = sentence.duration_s or 0.0
        assert abs(first_s - start_s) < 0.3
        assert abs(last_s - start_s - duration_s) < 0.3
        assert segment.duration_s == pytest.approx(last_s - first_s)
        assert probe(segment.audio).duration_s == pytest.approx(segment.duration_s, abs=1e-3)
        start_s += duration_s + PAUSE_S


@pytest.mark.parametrize("kind", ["bytes", "shard", "excerpt"])
def test_of_bytes_of_a_shard_and_of_an_excerpt(
    spoken_base: Base, talk: Utterance, commands: list[Utterance], tmp_path: Path, kind: str
) -> None:
    expected = cut_recording(talk, spoken_base, 10.0).utterances
    whole = talk
    if kind == "bytes":
        whole = replace(talk, audio=Path(str(talk.audio)).read_bytes())
    if kind == "shard":
        (whole,) = (read_packed_manifest(pack(tmp_path, [talk], num_shards=1)) or Manifest("", [])).utterances
    if kind == "excerpt":
        whole = replace(talk, audio=part(talk, "0.5,"))
    found = cut_recording(whole, spoken_base, 10.0).utterances
    assert said(found) == said(commands[:10])
    for segment, other in zip(found, expected, strict=True):
        waveform, same = read_waveform(segment.audio, RATE_HZ), read_waveform(other.audio, RATE_HZ)
        assert len(waveform) == pytest.approx(len(same), abs=1600)
        if kind != "excerpt":
            np.testing.assert_array_equal(waveform, same)


def test_what_is_not_in_the_transcript_or_not_said_is_left_out(
    spoken_base: Base, talk: Utterance, commands: list[Utterance]
) -> None:
    texts = said(commands)
    for changed, lost in (
        ([*texts[:4], *texts[6:10]], 2),  # two sentences are not written down
        ([*texts[:4], *texts[12:14], *texts[6:10]], 2),  # others are
        ([*texts[:4], *texts[12:13], *texts[4:10]], 1),  # one more is
    ):
        found = cut_recording(replace(talk, transcript=" ".join(changed)), spoken_base, 10.0)
        assert set(said(found.utterances)) <= set(texts[:10])
        assert found.num_left_out >= (lost if len(changed) <= 10 else 0)
        assert len(found.utterances) >= 7


def test_words_that_no_token_writes_stay_with_their_neighbours(spoken_base: Base, talk: Utterance) -> None:
    words = talk.transcript.split()
    transcript = " ".join(["—", words[0].upper() + ",", "…", *words[1:], "!"])
    found = cut_recording(replace(talk, transcript=transcript), spoken_base, 10.0)
    assert " ".join(said(found.utterances)) == transcript


class TestRefused:
    """Recordings that are not cut, and what is told of them."""

    @pytest.mark.parametrize(
        ("of", "reason"),
        [
            (lambda texts: texts[10:20], "cannot be aligned|is not what is said"),
            (lambda texts: texts[9::-1], "cannot be aligned|is not what is said"),
            (lambda texts: texts[:3], "is not what is said in it: found are"),
            (lambda texts: texts[:25], "cannot be aligned|is not what is said"),
            (lambda texts: 40 * texts[:10], "cannot be aligned with it, in which there are 10 segments"),
            (lambda texts: ["…", "—"], "holds no word that the base's vocabulary can write"),
        ],
    )
    def test_transcripts_of_something_else(
        self,
        spoken_base: Base,
        talk: Utterance,
        commands: list[Utterance],
        of: Callable[[list[str]], list[str]],
        reason: str,
    ) -> None:
        with pytest.raises(InputError, match=reason):
            cut_recording(replace(talk, transcript=" ".join(of(said(commands)))), spoken_base, 10.0)

    def test_audio_without_speech_or_that_breaks_off(self, spoken_base: Base, talk: Utterance, tmp_path: Path) -> None:
        silent, cut = str(tmp_path / "silent.wav"), tmp_path / "cut.flac"
        write_audio(silent, np.zeros(12 * RATE_HZ, dtype=np.float32), RATE_HZ)
        cut.write_bytes(Path(str(talk.audio)).read_bytes()[:-20_000])
        with pytest.raises(InputError, match="cannot be aligned with it, in which there are no speech"):
            cut_recording(replace(talk, audio=silent), spoken_base, 10.0)
        with pytest.raises(InputError):
            cut_recording(replace(talk, audio=str(cut)), spoken_base, 10.0)
        with pytest.raises(FileNotFoundError):
            cut_recording(replace(talk, audio=str(tmp_path / "none.wav")), spoken_base, 10.0)

    def test_each_is_a_problem_of_its_row_and_the_others_are_used(
        self, spoken_base: Base, talk: Utterance, commands: list[Utterance], tmp_path: Path
    ) -> None:
        short = replace(commands[0], utterance_id="short", line=5)
        wrong = replace(talk, utterance_id="wrong", line=3, transcript=" ".join(said(commands[10:20])))
        missing = replace(talk, utterance_id="missing", line=4, audio=str(tmp_path / "none.wav"))
        told: list[str] = []
        manifest = with_segments(Manifest("m.csv", [talk, wrong, missing, short]), spoken_base, DATA, told.append)
        assert said(manifest.utterances) == [*said(commands[:10]), short.transcript]
        assert [(p.line, p.kind, p.utterance_id) for p in manifest.problems] == [
            (3, ProblemKind.audio, "wrong"),
            (4, ProblemKind.audio, "missing"),
        ]
        assert "check that they belong together, or split the recording" in str(manifest.problems[0])
        assert manifest.problems[1].reason == "there is no such file"
        assert manifest.notes == {"long recordings cut into segments": 1}
        assert [line.rpartition(" ")[2] for line in told] == ["talk", "wrong", "missing"]


def test_durations_that_no_table_gives_are_measured(talk: Utterance, tmp_path: Path) -> None:
    assert is_long(replace(talk, duration_s=None), 10.0)
    assert not is_long(replace(talk, duration_s=None), 100.0)
    assert not is_long(replace(talk, duration_s=None, audio=str(tmp_path / "none.wav")), 10.0)


class TestTraining:
    """Long recordings in the tables that jobs read."""

    def data(self, tmp_path: Path, utterances: list[Utterance], base: Base | None, data: DataConfig) -> TrainingData:
        write_manifest(str(tmp_path / "train.csv"), utterances)
        train = TrainConfig(manifest=str(tmp_path / "train.csv"), valid_fraction=0.2)
        shape = base.model.shape if base else SHAPE
        vocabulary = base.vocabulary if base else None
        return usable_data(read_tables(train, TextConfig()), train, data, TextConfig(), shape, vocabulary, base)

    def test_a_base_that_is_trained_further_cuts_them(
        self, spoken_base: Base, talk: Utterance, commands: list[Utterance], tmp_path: Path
    ) -> None:
        data = self.data(tmp_path, [talk, *commands[10:12]], spoken_base, DATA)
        assert sorted(said([*data.train, *data.valid])) == sorted(said(commands[:12]))
        assert not data.problems
        assert "long recordings cut into segments: 1" in data.notes

    def test_without_a_base_or_without_the_setting_the_remedy_is_told(
        self, spoken_base: Base, talk: Utterance, commands: list[Utterance], tmp_path: Path
    ) -> None:
        for base, settings, remedy in (
            (None, DATA, "train.pretrained_model_path=… in training"),
            (spoken_base, replace(DATA, segment_long=False), "set data.segment_long=true"),
            (None, replace(DATA, segment_long=False), "set data.segment_long=true"),
        ):
            data = self.data(tmp_path, [talk, *commands[10:14]], base, settings)
            assert sorted(said([*data.train, *data.valid])) == sorted(said(commands[10:14]))
            (problem,) = data.problems
            assert (problem.reason, remedy in problem.remedy) == ("longer than 10 s", True)

    def test_segments_have_room_for_a_pause(self) -> None:
        with pytest.raises(ConfigError, match=r"data.max_duration_s=1.0 .* at least 2 with data.segment_long=true"):
            DataConfig(max_duration_s=1.0, segment_long=True)


class TestAdapting:
    """Long recordings of users."""

    def test_users_are_encoded_by_segments(
        self, spoken_base: Base, talk: Utterance, commands: list[Utterance], caplog: pytest.LogCaptureFixture
    ) -> None:
        foreign = replace(talk, utterance_id="foreign", transcript=" ".join(said(commands[10:20])))
        fewer = replace(talk, utterance_id="fewer", transcript=" ".join(said(commands[:9])))
        users = {"ann": [talk, commands[10]], "bob": [foreign, fewer, replace(talk, duration_s=None)]}
        encoder = Encoder(spoken_base, max_duration_s=10.0, segment_long=True)
        ann, bob = encode_users(encoder, users, AdaptConfig())
        assert list(ann.transcripts) == said(commands[:11])
        assert ann.dropped == {}
        assert list(bob.transcripts) == said([*commands[:9], *commands[:10]])
        assert bob.dropped.pop(NOT_CREDIBLE) == 1
        ((reason, count),) = bob.dropped.items()
        assert count == 1
        assert "check that they belong together" in reason
        assert "bob, utterance foreign" in caplog.text
        (refused, _) = encode_users(replace(encoder, segment_long=False), users, AdaptConfig())
        assert refused.dropped == {"longer than 10 s": 1}

    def test_a_user_with_one_recording_gets_an_adapter(
        self, spoken_base: Base, talk: Utterance, commands: list[Utterance]
    ) -> None:
        settings = AdaptConfig(num_epochs=1, cross_validate_below=0)
        adapter = AdapterConfig(hidden_dims=[4])
        events = adapt_cohort(
            copy.deepcopy(spoken_base), {"ann": [talk]}, adapter, settings, max_duration_s=10.0, segment_long=True
        )
        (result,) = results_of(events)
        assert (result.utterances_used, result.failed) == (10, False)
        assert result.fit is not None
