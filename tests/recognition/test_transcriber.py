"""Recognition with the speaker's own adapter: in Python and through jobs/transcribe.py."""

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fleet_runs import RandomBase, read_rows, run_job, run_job_here, spoken
from parrot import Parrot

from ds2ray import Transcriber, storage
from ds2ray.config import AdapterConfig, AudioConfig, ModelConfig, TextConfig, Vad, to_plain
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.errors import ConfigError
from ds2ray.metrics import word_errors
from ds2ray.model.adapters.mlp import MLPAdapter
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.model.weights import Base, to_bytes
from ds2ray.recognition import transcriber as transcriber_module
from ds2ray.recognition.hypothesis import Hypothesis
from ds2ray.sound.audio import read_waveform, write_audio
from ds2ray.store import AdapterPointer, Store, publish_adapter
from ds2ray.tables.manifest import Utterance, read_manifest, write_manifest
from ds2ray.text import Vocabulary


def publish_random_adapter(root: str, base: Base, user: str, after_layer: int = -1) -> AdapterPointer:
    """An adapter that changes a lot, and for every user something else."""
    config = AdapterConfig(hidden_dims=[8], after_layer=after_layer)
    torch.manual_seed(sum(user.encode()))
    adapter = MLPAdapter.from_config(base.model.encoding_dim(after_layer), config)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.normal_()
    return publish_adapter(
        Store(root),
        user,
        to_bytes(adapter.state_dict()),
        base_fingerprint=base.fingerprint,
        data_fingerprint="",
        adapter=to_plain(config),
        run_id="test",
        error_before=None,
        error_after=None,
    )


@pytest.fixture(scope="module")
def store(random_base: RandomBase, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store in which two users have adapters, at different layers, and the others have none."""
    root = random_base.publish(str(tmp_path_factory.mktemp("store")))
    publish_random_adapter(root, random_base.base, "fiona")
    publish_random_adapter(root, random_base.base, "tony", after_layer=0)
    return root


@pytest.fixture(scope="module")
def audio(small_corpus: DemoCorpus) -> list[str]:
    return [str(utterance.audio) for utterance in spoken(small_corpus)["grace"]]


def texts(hypotheses: list[Hypothesis]) -> list[str]:
    return [hypothesis.text for hypothesis in hypotheses]


class TestTranscriber:
    def test_files_of_one_user(self, store: str, audio: list[str]) -> None:
        transcriber = Transcriber.open(store)
        alone = transcriber.transcribe(audio)
        adapted = transcriber.transcribe(audio, user="fiona")
        assert [h.utterance_id for h in adapted] == audio
        assert {h.user_id for h in adapted} == {"fiona"}
        assert texts(adapted) != texts(alone)
        assert {h.adapter for h in alone} == {""}
        assert {h.note for h in alone} == {"no user given"}
        assert {(len(h.adapter), h.note, h.error) for h in adapted} == {(16, "", "")}

    def test_users_of_different_adapters_in_one_batch_are_recognised_as_one_by_one(
        self, store: str, small_corpus: DemoCorpus
    ) -> None:
        utterances = read_manifest(small_corpus.test_manifest).utterances
        batch = Transcriber.open(store, batch_s=1000.0).transcribe_utterances(utterances)
        one_by_one = Transcriber.open(store)
        for utterance, together in zip(utterances, batch, strict=True):
            (alone,) = one_by_one.transcribe_utterances([utterance])
            assert together == replace(alone, score=together.score)
            assert together.score == pytest.approx(alone.score, abs=1e-4)
        assert {h.user_id for h in batch if h.adapter} == {"fiona", "tony"}

    def test_more_users_in_a_batch_than_adapters_are_kept(self, store: str, small_corpus: DemoCorpus) -> None:
        utterances = read_manifest(small_corpus.test_manifest).utterances
        few = Transcriber.open(store, batch_s=1000.0, max_open=1)
        assert few.transcribe_utterances(utterances) == Transcriber.open(store, batch_s=1000.0).transcribe_utterances(
            utterances
        )
        assert len(few.speakers) == 1

    def test_words_have_times_within_the_audio(self, store: str, small_corpus: DemoCorpus) -> None:
        utterance = spoken(small_corpus)["fiona"][0]
        (heard,) = Transcriber.open(store).transcribe([str(utterance.audio)])
        assert " ".join(word.text for word in heard.words) == " ".join(heard.text.split())
        edges = [edge for word in heard.words for edge in (word.start_s, word.end_s)]
        assert edges == sorted(edges)
        assert utterance.duration_s is not None
        assert all(0 <= edge <= utterance.duration_s + 0.02 for edge in edges)
        assert heard.score < 0

    def test_a_missing_adapter_is_said(self, store: str, audio: list[str]) -> None:
        transcriber = Transcriber.open(store)
        (heard,) = transcriber.transcribe(audio[:1], user="nobody")
        assert (heard.note, heard.adapter) == ("user nobody has no adapter", "")
        assert heard.text == transcriber.transcribe(audio[:1])[0].text

    def test_an_adapter_that_cannot_be_used_is_said(
        self, random_base: RandomBase, audio: list[str], tmp_path: Path
    ) -> None:
        root = random_base.publish(str(tmp_path))
        pointer = publish_random_adapter(root, random_base.base, "ann")
        weights = tmp_path / "users" / "ann" / f"{pointer.version}.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
        publish_random_adapter(root, other_base(), "bob")
        transcriber = Transcriber.open(root)
        (ann,) = transcriber.transcribe(audio[:1], user="ann")
        assert (ann.adapter, "sha256 is not the published" in ann.note) == ("", True)
        (bob,) = transcriber.transcribe(audio[:1], user="bob")
        assert f"not to {random_base.base.base_id}" in bob.note
        assert ann.text == bob.text == transcriber.transcribe(audio[:1])[0].text

    def test_a_file_that_cannot_be_read_has_a_row_that_says_why(
        self, store: str, audio: list[str], tmp_path: Path
    ) -> None:
        (tmp_path / "noise.wav").write_bytes(bytes(range(256)))
        (tmp_path / "empty.wav").touch()
        paths = [str(tmp_path / "none.wav"), audio[0], str(tmp_path / "noise.wav"), str(tmp_path / "empty.wav")]
        heard = Transcriber.open(store).transcribe(paths, user="fiona")
        assert [h.utterance_id for h in heard] == paths
        assert [bool(h.error) for h in heard] == [True, False, True, True]
        assert heard[0].error == "there is no such file"
        assert texts(heard)[1] == texts(Transcriber.open(store).transcribe(audio[:1], user="fiona"))[0]
        assert {(h.text, h.words) for h in heard if h.error} == {("", ())}

    def test_what_the_decoder_finds_is_recognised(self, store: str, audio: list[str]) -> None:
        vocabulary = Transcriber.open(store).base.vocabulary
        parrot = Parrot(tuple(vocabulary.encode_known("hello")))
        heard = Transcriber.open(store, decoder=parrot).transcribe(audio)
        assert [(h.text, [word.text for word in h.words], h.score) for h in heard] == [
            ("hello", ["hello"], -1.5) for _ in audio
        ]

    def test_nothing_to_recognise(self, store: str) -> None:
        assert Transcriber.open(store).transcribe([]) == []


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
        assert [replace(h, score=0.0) for h in heard] == [replace(h, score=0.0) for h in expected]
        assert [h.score for h in heard] == pytest.approx([h.score for h in expected], abs=1e-4)

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
        for value, said in (("1", "2 to 600 seconds"), ("nan", "a finite number"), ("inf", "a finite number")):
            refused = run_job_here("transcribe", audio[0], f"storage.root={store}", f"max_segment_s={value}")
            assert (refused.code, said in refused.err) == (2, True)


def other_base() -> Base:
    audio, model = AudioConfig(num_mels=8), ModelConfig(conv_channels=2, num_rnn_layers=1, rnn_hidden_dim=6)
    vocabulary = Vocabulary.from_transcripts(["ab"], TextConfig())
    return Base.of(DeepSpeech2.from_config(model, audio.num_mels, len(vocabulary)), model, audio, vocabulary)


def rows_of(path: Path) -> list[dict[str, object]]:
    """What the job wrote, whichever the format, with words decoded."""
    if path.suffix == ".jsonl":
        return read_rows(path)
    if path.suffix == ".parquet":
        return storage.read_table(str(path)).to_pylist()
    rows: list[dict[str, object]] = []
    for row in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))):
        rows.append({**row, "score": float(row["score"]), "words": json.loads(row["words"])})
    return rows


class TestJob:
    @pytest.mark.process
    def test_files_to_the_terminal(self, store: str, audio: list[str], tmp_path: Path) -> None:
        missing = str(tmp_path / "none.wav")
        done = run_job("transcribe", *audio[:2], missing, "user=fiona", f"storage.root={store}")
        assert (done.code, done.err) == (0, "")
        expected = Transcriber.open(store).transcribe(audio[:2], user="fiona")
        assert done.out.splitlines() == [
            *(f"{path}\t{heard.text}" for path, heard in zip(audio, expected, strict=False)),
            f"{missing}\tERROR: there is no such file",
            "2 with the speaker's adapter, 0 by the base alone, 1 not readable",
        ]

    def test_it_fails_where_nothing_can_be_read(self, store: str, tmp_path: Path) -> None:
        done = run_job_here("transcribe", str(tmp_path / "none.wav"), f"storage.root={store}")
        assert done.code == 2
        assert "Traceback" not in done.err

    @pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
    def test_a_manifest_to_a_table_with_errors_counted(
        self, store: str, small_corpus: DemoCorpus, tmp_path: Path, suffix: str
    ) -> None:
        utterances = read_manifest(small_corpus.test_manifest).utterances[:6]
        users = [utterance.user_id for utterance in utterances]
        assert users == ["fiona"] * 2 + ["winston"] * 2 + ["beatrice"] * 2
        manifest, output = str(tmp_path / "test.csv"), tmp_path / f"heard{suffix}"
        write_manifest(manifest, [*utterances, Utterance("gone", "fiona", str(tmp_path / "gone.wav"), 1.0, "tea", 0)])
        done = run_job_here("transcribe", f"manifest={manifest}", f"storage.root={store}", f"output={output}")
        assert (done.code, done.err) == (0, "")

        transcriber = Transcriber.open(store)
        expected = transcriber.transcribe_utterances(utterances)
        rows = rows_of(output)
        assert [row["utterance_id"] for row in rows] == [u.utterance_id for u in utterances]
        assert [row["text"] for row in rows] == texts(expected)
        assert [row["words"] for row in rows] == [h.to_row()["words"] for h in expected]
        assert [row["adapter"] for row in rows] == [h.adapter for h in expected]

        lines = done.out.splitlines()
        assert lines[0].startswith(f"left out: {manifest}:8: id=gone user=fiona ")
        assert f"wrote 6 hypotheses to {output}" in lines
        assert "2 with the speaker's adapter, 4 by the base alone, 0 not readable" in lines
        assert "  base alone for 2: user winston has no adapter" in lines
        alone = transcriber.transcribe_utterances(utterances, use_adapters=False)
        wers = []
        for hypotheses in (alone, expected):
            counts = [word_errors(u.transcript, h.text) for u, h in zip(utterances, hypotheses, strict=True)]
            errors = sum(count.substitutions + count.deletions + count.insertions for count in counts)
            wers.append(errors / sum(count.reference_length for count in counts))
        assert lines[-1].startswith(f"on 6 utterances with transcripts: base WER {wers[0]:.1%}, CER ")
        assert f"; with adapters WER {wers[1]:.1%}, CER " in lines[-1]

    def test_one_user_for_a_manifest_without_transcripts(self, store: str, audio: list[str], tmp_path: Path) -> None:
        manifest = tmp_path / "files.csv"
        manifest.write_text("audio\n" + "".join(f"{path}\n" for path in audio))
        done = run_job_here("transcribe", f"manifest={manifest}", "user=tony", f"storage.root={store}")
        assert done.code == 0
        heard = Transcriber.open(store).transcribe(audio, user="tony")
        assert [line.split("\t")[1] for line in done.out.splitlines()[: len(audio)]] == texts(heard)
        assert "WER" not in done.out

    def test_an_unknown_format(self, store: str, audio: list[str]) -> None:
        done = run_job_here("transcribe", audio[0], f"storage.root={store}", "output=heard.txt")
        assert (done.code, "the name must end in .jsonl, .csv, .parquet" in done.err) == (2, True)
