"""Options of base training reach what they are about: the speech that a step sees, and what it reports of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from base_training import NO_AUGMENT, make_task, train
from toy_speech import SAMPLE_RATE_HZ, speak

from ds2ray.batching.batches import Batch
from ds2ray.sound.audio import write_audio
from ds2ray.training.base.learner import Learner


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Batch]:
    """The batches that are trained on from here on."""
    batches: list[Batch] = []
    accumulate = Learner.accumulate

    def watched(self: Learner, batch: Batch, *arguments: Any, **options: Any) -> torch.Tensor:
        batches.append(batch)
        return accumulate(self, batch, *arguments, **options)

    monkeypatch.setattr(Learner, "accumulate", watched)
    return batches


def test_speeds_change_how_long_the_speech_is(tmp_path: Path) -> None:
    task = make_task(tmp_path, num_train=6, num_epochs=1, augment=replace(NO_AUGMENT, speeds=[0.8]))
    _, reports = train(task)
    speech_s = sum(utterance.duration_s or 0.0 for utterance in task.train_utterances)
    assert reports[0].speech_s == pytest.approx(speech_s / 0.8, rel=1e-3)


def test_noise_is_mixed_into_the_speech(tmp_path: Path, seen: list[Batch]) -> None:
    write_audio(str(tmp_path / "noise" / "hum.wav"), speak("dada"), SAMPLE_RATE_HZ)
    noise = replace(NO_AUGMENT, noise_dir=str(tmp_path / "noise"), noise_share=1.0, noise_snr_db=[10.0, 10.0])
    for augment in (NO_AUGMENT, noise):
        train(make_task(tmp_path, num_train=6, num_epochs=1, augment=augment))
    clean, noisy = seen
    assert clean.utterance_ids == noisy.utterance_ids
    speech, added = (waveforms.square().sum(1) for waveforms in (clean.waveforms, noisy.waveforms - clean.waveforms))
    torch.testing.assert_close(10 * torch.log10(speech / added), torch.full((6,), 10.0), atol=0.1, rtol=0)


@pytest.mark.parametrize("sorta_grad", [True, False])
def test_sorta_grad_goes_from_short_to_long_in_the_first_epoch(
    sorta_grad: bool, tmp_path: Path, seen: list[Batch]
) -> None:
    train(make_task(tmp_path, num_train=18, num_epochs=2, batch_size=3, sorta_grad=sorta_grad))
    longest = [int(batch.num_samples.max()) for batch in seen]
    first, second = longest[:6], longest[6:]
    assert (first == sorted(first)) is sorta_grad
    assert sorted(second) != second


def test_the_reported_padding_is_what_the_batches_hold_beside_speech(tmp_path: Path, seen: list[Batch]) -> None:
    _, reports = train(make_task(tmp_path, num_train=18, num_epochs=2, batch_size=4))
    for report, batches in zip(reports, (seen[:5], seen[5:]), strict=True):
        samples = [batch.num_samples.tolist() for batch in batches]
        padded = sum(len(rows) * max(rows) for rows in samples)
        assert report.padding_share == pytest.approx(1 - sum(map(sum, samples)) / padded)
        assert report.padding_share > 0.01
