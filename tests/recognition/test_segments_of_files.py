"""Long files and files in which nobody speaks: recognised segment by segment."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fleet_runs import read_rows, run_job_here, spoken
from long_speech import PAUSE_S, join, part, said
from recognising import texts

from ds2ray import Transcriber
from ds2ray.config import Vad
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.errors import ConfigError
from ds2ray.metrics import word_errors
from ds2ray.model.weights import Base
from ds2ray.recognition import transcriber as transcriber_module
from ds2ray.recognition.hypothesis import Hypothesis
from ds2ray.sound.audio import read_waveform, write_audio
from ds2ray.store import Store
from ds2ray.tables.manifest import Utterance

RATE_HZ = 16000


@pytest.fixture(scope="module")
def sentences(small_corpus: DemoCorpus) -> list[np.ndarray]:
    utterances = [utterance for speaker in spoken(small_corpus).values() for utterance in speaker[:3]]
    return [read_waveform(utterance.audio, RATE_HZ) for utterance in utterances]


@pytest.fixture(scope="module")
def long_recording(sentences: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Sentences with a pause of 0.8 s before, between and after them, more than 30 s in all."""
    pause = np.zeros(round(0.8 * RATE_HZ), dtype=np.float32)
    recording = np.concatenate([pause, *(part for sentence in sentences for part in (sentence, pause))])
    assert len(recording) > 35 * RATE_HZ
    path = str(tmp_path_factory.mktemp("long") / "long.flac")
    write_audio(path, recording, RATE_HZ)
    return path


class TestOfABaseThatHasLearned:
    """A long recording is recognised as well as its sentences are by themselves."""

    @pytest.fixture
    def transcriber(self, spoken_base: Base, tmp_path: Path) -> Transcriber:
        return Transcriber(Store(str(tmp_path / "empty")), spoken_base, torch.device("cpu"))

    @pytest.mark.parametrize("pause_s", [0.5, 1.5])
    def test_errors_are_those_of_its_sentences(
        self, transcriber: Transcriber, commands: list[Utterance], tmp_path: Path, pause_s: float
    ) -> None:
        talk = join(str(tmp_path / "talk.flac"), commands, pause_s)
        assert (talk.duration_s or 0.0) > 2 * transcriber.max_segment_s - 5.0
        alone = transcriber.transcribe_utterances(commands)
        (heard,) = transcriber.transcribe_utterances([talk])
        of_sentences = transcriber.score(said(commands), alone).words
        of_talk = transcriber.score([talk.transcript], [heard]).words
        assert of_sentences.rate() < 0.2  # or there would be nothing to lose
        # a segment begins and ends a few frames off the sentence, which may cost or save a word here and there
        assert of_talk.errors <= 1.1 * of_sentences.errors + 2
        assert of_talk.reference_length == of_sentences.reference_length

    def test_progress_is_told_within_a_recording(
        self, transcriber: Transcriber, commands: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transcriber, "batch_s", 15.0)
        talk = join(str(tmp_path / "talk.flac"), commands, PAUSE_S)
        told: list[tuple[float, float]] = []
        transcriber.transcribe_utterances([talk], tell_s=lambda done_s, total_s: told.append((done_s, total_s)))
        seconds = [done_s for done_s, _ in told]
        assert len(seconds) >= 3
        assert seconds == sorted(seconds)
        assert seconds[0] < seconds[-1] / 2
        assert told[-1] == (pytest.approx(talk.duration_s), pytest.approx(talk.duration_s))

    def test_an_excerpt_is_recognised_as_what_stands_there(
        self, transcriber: Transcriber, commands: list[Utterance], tmp_path: Path
    ) -> None:
        talk = join(str(tmp_path / "talk.flac"), commands[:4])
        start_s = 3 * PAUSE_S + sum(u.duration_s or 0.0 for u in commands[:2]) - 0.2
        end_s = start_s + (commands[2].duration_s or 0.0) + 0.4
        excerpt = replace(talk, audio=part(talk, f"{start_s:.3f},{end_s:.3f}"), duration_s=None)
        (heard,) = transcriber.transcribe_utterances([excerpt])
        (expected,) = transcriber.transcribe_utterances([commands[2]])
        assert word_errors(expected.text, heard.text).errors <= 1
        assert len(heard.words) == pytest.approx(len(commands[2].transcript.split()), abs=1)


def without_scores(hypothesis: Hypothesis) -> Hypothesis:
    """The hypothesis without what depends on rounding in batches of other sizes."""
    words = tuple(replace(word, confidence=0.0) for word in hypothesis.words)
    return replace(hypothesis, score=0.0, words=words)


class TestSegments:
    def test_a_long_recording_is_recognised_sentence_by_sentence(
        self, store: str, sentences: list[np.ndarray], long_recording: str, tmp_path: Path
    ) -> None:
        pause = np.zeros(round(0.4 * RATE_HZ), dtype=np.float32)
        alone = [str(tmp_path / f"{number:02d}.flac") for number in range(len(sentences))]
        for path, sentence in zip(alone, sentences, strict=True):
            write_audio(path, np.concatenate([pause, sentence, pause]), RATE_HZ)
        transcriber = Transcriber.open(store)
        (heard,) = transcriber.transcribe([long_recording], user="fiona")
        expected = " ".join(hypothesis.text.strip() for hypothesis in transcriber.transcribe(alone, user="fiona"))
        # the segments differ by less than a frame of voice activity
        assert word_errors(expected, heard.text).rate() < 0.2
        assert (len(heard.adapter), heard.note, heard.error) == (16, "", "")
        assert heard.score < 0

    def test_times_are_those_of_the_whole_file(
        self, store: str, sentences: list[np.ndarray], long_recording: str
    ) -> None:
        (heard,) = Transcriber.open(store).transcribe([long_recording], user="fiona")
        assert " ".join(word.text for word in heard.words) == " ".join(heard.text.split())
        edges = [edge for word in heard.words for edge in (word.start_s, word.end_s)]
        assert edges == sorted(edges)
        starts_s = [0.8]
        for sentence in sentences:
            starts_s.append(starts_s[-1] + len(sentence) / RATE_HZ + 0.8)
        spoken_s = [(start_s, start_s + len(s) / RATE_HZ) for start_s, s in zip(starts_s, sentences, strict=False)]
        assert heard.words
        assert all(
            any(start_s - 0.3 <= word.start_s < word.end_s <= end_s + 0.3 for start_s, end_s in spoken_s)
            for word in heard.words
        )

    def test_windows_and_segments_of_other_lengths_hear_the_same(
        self, store: str, audio: list[str], long_recording: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = Transcriber.open(store).transcribe([audio[0], long_recording, audio[1]])
        monkeypatch.setattr(transcriber_module, "WINDOW_S", 5.0)
        heard = Transcriber.open(store, max_segment_s=10.0).transcribe([audio[0], long_recording, audio[1]])
        assert [without_scores(h) for h in heard] == [without_scores(h) for h in expected]
        assert [h.score for h in heard] == pytest.approx([h.score for h in expected], abs=1e-4)
        sure, as_sure = ([word.confidence for h in of for word in h.words] for of in (heard, expected))
        assert sure == pytest.approx(as_sure, abs=1e-3)

    def test_where_nobody_speaks_nothing_is_written(self, store: str, audio: list[str], tmp_path: Path) -> None:
        noise = 0.01 * np.random.default_rng(0).standard_normal(5 * RATE_HZ).astype(np.float32)
        paths = [str(tmp_path / f"{seconds}.wav") for seconds in (5, 40)]
        for path, repeats in zip(paths, (1, 8), strict=True):
            write_audio(path, np.tile(noise, repeats), RATE_HZ)
        heard = Transcriber.open(store).transcribe([*paths, audio[0]], user="fiona")
        assert [(h.text, h.words, h.score, h.error) for h in heard[:2]] == [("", (), 0.0, "")] * 2
        assert {h.adapter for h in heard} == {heard[2].adapter} != {""}
        assert all(h.text for h in Transcriber.open(store, vad=Vad.off).transcribe(paths))

    def test_a_long_file_that_breaks_off_is_an_error_and_the_others_are_recognised(
        self, store: str, audio: list[str], long_recording: str, tmp_path: Path
    ) -> None:
        cut = tmp_path / "cut.flac"
        cut.write_bytes(Path(long_recording).read_bytes()[:-20_000])
        heard = Transcriber.open(store).transcribe([str(cut), audio[0]])
        assert [(bool(h.error), bool(h.text), bool(h.words)) for h in heard] == [
            (True, False, False),
            (False, True, True),
        ]

    def test_manifests_and_the_command_line_hear_the_same_in_long_files(
        self, store: str, long_recording: str, tmp_path: Path
    ) -> None:
        manifest, output = tmp_path / "files.csv", tmp_path / "heard.jsonl"
        manifest.write_text(f"utterance_id,audio\nlong,{long_recording}\n")
        for arguments in ((f"manifest={manifest}",), (long_recording,)):
            done = run_job_here("transcribe", *arguments, f"storage.root={store}", f"output={output}")
            assert (done.code, done.err) == (0, "")
            (row,) = read_rows(output)
            (expected,) = Transcriber.open(store).transcribe([long_recording])
            assert (row["text"], row["error"]) == (expected.text, "")
        limited = run_job_here("transcribe", f"manifest={manifest}", f"storage.root={store}", "data.max_duration_s=20")
        assert (limited.code, "longer than 20 s" in limited.out) == (2, True)

    def test_settings_in_python(self, store: str) -> None:
        assert Transcriber.open(store, vad="off").vad is Vad.off
        with pytest.raises(ConfigError, match="vad='sometimes' is not possible: auto or off"):
            Transcriber.open(store, vad="sometimes")
        for seconds in (1.0, math.nan, math.inf):
            with pytest.raises(ConfigError, match="2 to 600 seconds"):
                Transcriber.open(store, max_segment_s=seconds)

    def test_settings_of_the_job(self, store: str, audio: list[str], tmp_path: Path) -> None:
        silence, output = str(tmp_path / "silence.wav"), tmp_path / "heard.jsonl"
        write_audio(silence, np.zeros(RATE_HZ, dtype=np.float32), RATE_HZ)
        rows = {}
        for vad in ("auto", "off"):
            settings = (f"storage.root={store}", f"output={output}", f"vad={vad}", "max_segment_s=2")
            assert run_job_here("transcribe", silence, audio[0], *settings).code == 0
            rows[vad] = read_rows(output)
        assert (rows["auto"][0]["text"], bool(rows["auto"][1]["text"])) == ("", True)
        expected = Transcriber.open(store, vad=Vad.off).transcribe([silence, audio[0]])
        assert [row["text"] for row in rows["off"]] == texts(expected)
        for value, reason in (("1", "2 to 600 seconds"), ("nan", "a finite number"), ("inf", "a finite number")):
            refused = run_job_here("transcribe", audio[0], f"storage.root={store}", f"max_segment_s={value}")
            assert (refused.code, reason in refused.err) == (2, True)
