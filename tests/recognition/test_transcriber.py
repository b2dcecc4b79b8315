"""Recognition with the speaker's own adapter, in Python."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fleet_runs import RandomBase, spoken
from parrot import Parrot
from recognising import other_base, publish_random_adapter, texts
from tiny_base import make_base

from ds2ray import Transcriber
from ds2ray.config import DecodeConfig, DecoderKind
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.store import Store
from ds2ray.tables.manifest import read_manifest


class TestTranscriber:
    def test_a_base_that_has_just_been_trained_leaves_no_units_out(self, store: str) -> None:
        base = make_base()
        base.model.train()
        transcriber = Transcriber(Store(store), base, torch.device("cpu"))
        assert not any(module.training for module in transcriber.base.model.modules())

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
            assert together == replace(alone, score=together.score, words=together.words)
            assert together.score == pytest.approx(alone.score, abs=1e-4)
            for word, of_alone in zip(together.words, alone.words, strict=True):
                assert word == replace(of_alone, confidence=word.confidence)
                assert word.confidence == pytest.approx(of_alone.confidence, abs=1e-4)
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

    def test_the_best_texts_are_told_with_their_shares(self, store: str, audio: list[str]) -> None:
        settings = DecodeConfig(decoder=DecoderKind.beam, beam_width=4, n_best=3)
        (heard,) = Transcriber.open(store, decoder=settings).transcribe(audio[:1])
        assert [each.text for each in heard.alternatives][:1] == [heard.text]
        scores = [each.score for each in heard.alternatives]
        assert scores == sorted(scores, reverse=True)
        assert 1 < len(scores) <= 3
        assert sum(each.share for each in heard.alternatives) == pytest.approx(1.0)
        assert all(word.confidence is not None and 0 <= word.confidence <= 1 for word in heard.words)

    def test_nothing_to_recognise(self, store: str) -> None:
        assert Transcriber.open(store).transcribe([]) == []
