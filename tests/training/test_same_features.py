"""Training and recognition hear the same: one waveform gives one array of features, whoever asks for it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from base_training import make_task, train
from toy_speech import AUDIO, make_utterances

from ds2ray.batching.batches import SpeechDataset
from ds2ray.compat.adapter_trainer import AdapterTrainer
from ds2ray.config import AdaptConfig, AdapterConfig, ErrorMetric, Vad
from ds2ray.model.deepspeech2.layers import ConvFrontEnd
from ds2ray.model.weights import Base
from ds2ray.recognition.transcriber import Transcriber
from ds2ray.sound.audio import read_waveform
from ds2ray.sound.features import LogMel
from ds2ray.store import Store
from ds2ray.tables.manifest import Utterance
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.base.task import BaseTask
from ds2ray.training.base.validation import Validator

UNUSUAL = replace(AUDIO, window_s=0.035, hop_s=0.0125)
"""Unlike every default, so that whoever takes a default shows."""


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The features that reach any network from here on, [B, F, M] each."""
    features_heard: list[torch.Tensor] = []
    forward = ConvFrontEnd.forward

    def listening(self: ConvFrontEnd, features: torch.Tensor, lengths: torch.Tensor) -> Any:
        features_heard.append(features.detach().clone())
        return forward(self, features, lengths)

    monkeypatch.setattr(ConvFrontEnd, "forward", listening)
    return features_heard


class TestOneUtterance:
    @pytest.fixture
    def task(self, tmp_path: Path) -> BaseTask:
        """One utterance to train on, and the same one to validate on."""
        task = make_task(tmp_path, num_train=1, num_epochs=1)
        return replace(task, audio=UNUSUAL, valid_utterances=task.train_utterances)

    @pytest.fixture
    def expected(self, task: BaseTask) -> torch.Tensor:
        waveform = torch.from_numpy(read_waveform(str(task.train_utterances[0].audio), UNUSUAL.sample_rate_hz))
        return LogMel(UNUSUAL)(waveform[None], torch.tensor([len(waveform)]))[0]

    def test_training_and_validation(self, task: BaseTask, expected: torch.Tensor, heard: list[torch.Tensor]) -> None:
        train(task)
        assert len(heard) == 2
        assert all(torch.equal(features, expected) for features in heard)

    @pytest.mark.parametrize("consumer", ["cohort", "adapter_trainer", "recognition"])
    def test_adaptation_and_recognition(
        self, consumer: str, task: BaseTask, expected: torch.Tensor, heard: list[torch.Tensor], tmp_path: Path
    ) -> None:
        base, _ = train(task)
        assert base.audio == UNUSUAL
        heard.clear()
        hear: dict[str, Callable[[Base, Utterance, Path], object]] = {
            "cohort": lambda base, utterance, folder: Encoder(base).encode([utterance]),
            "adapter_trainer": adapt_by_trainer,
            "recognition": recognise,
        }
        hear[consumer](base, task.train_utterances[0], tmp_path)
        assert heard
        assert all(torch.equal(row, expected[0]) for features in heard for row in features)


def adapt_by_trainer(base: Base, utterance: Utterance, folder: Path) -> None:
    base.model.add_adapter(AdapterConfig(hidden_dims=[4]))
    speech = SpeechDataset([utterance], base.vocabulary, base.audio)
    trainer = AdapterTrainer(
        trainset_list=[speech],
        validset=speech,
        vocab=base.vocabulary,
        adapter_save_dir=str(folder),
        config=AdaptConfig(learning_rate=0.01, further_share=0.0),  # further recordings are other audio on purpose
    )
    trainer.train(base.model, batch_size=1, epoch_time_step=1, num_epochs=1, adapter_name="john")


def recognise(base: Base, utterance: Utterance, folder: Path) -> None:
    transcriber = Transcriber(Store(str(folder)), base, torch.device("cpu"), vad=Vad.off)  # the voices are tones
    (heard,) = transcriber.transcribe_utterances([utterance])
    assert not heard.error


def test_recognition_errs_as_validation_does(trained_base: Any, tmp_path: Path) -> None:
    base: Base = trained_base.base
    utterances = make_utterances(tmp_path, 8, seed=3, pitch=1.3)  # not so well understood
    with Validator(replace(make_task(tmp_path), valid_utterances=utterances), torch.device("cpu")) as validator:
        _, wer, cer = validator(base.model)
    transcriber = Transcriber(Store(str(tmp_path)), base, torch.device("cpu"), vad=Vad.off)  # the voices are tones
    score = transcriber.score([u.transcript for u in utterances], transcriber.transcribe_utterances(utterances))
    assert (score.rate(ErrorMetric.wer), score.rate(ErrorMetric.cer)) == pytest.approx((wer, cer))
    assert 0 < cer < 0.8
