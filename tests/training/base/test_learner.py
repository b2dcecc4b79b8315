"""One step of a base: gradients that add up, bfloat16, and the average of the weights."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from base_training import NO_AUGMENT
from torch import nn
from toy_speech import AUDIO, MODEL, VOCABULARY, make_utterances

from ds2ray.batching.batches import Batch, SpeechDataset, collate
from ds2ray.config import OptimizerType, Precision, TrainConfig
from ds2ray.model.building import build_model
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.model.masking import MaskedBatchNorm
from ds2ray.training.base.learner import Learner

RATE = 0.05


def learner_of(**train: Any) -> Learner:
    """A fresh one, with the same random weights every time."""
    torch.manual_seed(0)
    settings: dict[str, Any] = {"augment": NO_AUGMENT, "optimizer": OptimizerType.sgd, **train}
    model = build_model(replace(MODEL), AUDIO, len(VOCABULARY))
    return Learner(model.train(), TrainConfig(**settings), torch.device("cpu"))


def with_fixed_statistics(learner: Learner) -> Learner:
    for module in learner.model.modules():
        if isinstance(module, MaskedBatchNorm):
            module.eval()
    return learner


def step(learner: Learner, batches: list[Batch], weights: list[float] | None = None) -> float:
    """One step on batches; the mean loss."""
    weights = weights or [1.0] * len(batches)
    total = sum(len(batch) for batch, weight in zip(batches, weights, strict=True) if weight)
    losses = [
        learner.accumulate(batch, total, weight=weight, last=number + 1 == len(batches))
        for number, (batch, weight) in enumerate(zip(batches, weights, strict=True))
    ]
    assert learner.update(RATE)
    return float(torch.stack(losses).sum()) / total


def weights_of(model: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> SpeechDataset:
    return SpeechDataset(make_utterances(tmp_path_factory.mktemp("speech"), 12), VOCABULARY, AUDIO)


def batch_of(dataset: SpeechDataset, *indices: int) -> Batch:
    return collate([dataset[index] for index in indices])


def test_accumulated_batches_are_one_large_one(dataset: SpeechDataset) -> None:
    # statistics of batch norm are those of what is computed on at once: they have to be fixed for equality
    large, parts = with_fixed_statistics(learner_of()), with_fixed_statistics(learner_of())
    start = weights_of(large.model)
    for _ in range(3):
        loss = step(large, [batch_of(dataset, *range(12))])
        assert step(parts, [batch_of(dataset, *range(n, n + 4)) for n in (0, 4, 8)]) == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(weights_of(parts.model), weights_of(large.model), atol=1e-5, rtol=1e-4)
    assert (weights_of(large.model) - start).abs().max() > 1e-2


def test_with_equal_statistics_accumulation_is_exact_in_training_mode_too(dataset: SpeechDataset) -> None:
    once, twice = learner_of(), learner_of()
    step(once, [batch_of(dataset, 0, 1, 2)])
    step(twice, [batch_of(dataset, 0, 1, 2)] * 2)
    torch.testing.assert_close(weights_of(twice.model), weights_of(once.model), atol=1e-6, rtol=1e-5)


def test_a_stand_in_changes_no_gradient(dataset: SpeechDataset) -> None:
    alone, with_stand_in = with_fixed_statistics(learner_of()), with_fixed_statistics(learner_of())
    step(alone, [batch_of(dataset, 0, 1)])
    step(with_stand_in, [batch_of(dataset, 0, 1), batch_of(dataset, 5)], weights=[1.0, 0.0])
    torch.testing.assert_close(weights_of(with_stand_in.model), weights_of(alone.model), atol=1e-7, rtol=1e-6)


def test_bfloat16_is_another_arithmetic_of_the_same_step(dataset: SpeechDataset) -> None:
    batch = batch_of(dataset, *range(6))
    losses = {}
    for precision in Precision:
        learner = learner_of(precision=precision)
        losses[precision] = [step(learner, [batch]) for _ in range(4)]
        assert {parameter.dtype for parameter in learner.model.parameters()} == {torch.float32}
        assert isinstance(learner.model, DeepSpeech2)
        running = learner.model.conv.norms[0].running_mean
        assert isinstance(running, torch.Tensor)
        assert running.dtype == torch.float32
    assert losses[Precision.auto] == losses[Precision.float32]  # on CPUs
    assert losses[Precision.bfloat16] != losses[Precision.float32]
    assert losses[Precision.bfloat16] == pytest.approx(losses[Precision.float32], rel=0.03)


def test_the_average_follows_the_weights(dataset: SpeechDataset) -> None:
    learner = learner_of(ema_decay=0.25)
    expected = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}
    for updates in range(1, 5):
        step(learner, [batch_of(dataset, 0, 1, 2)])
        decay = min(0.25, (1 + updates) / (10 + updates))
        for name, tensor in learner.model.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * tensor
    averaged = learner.result.state_dict()
    for name, tensor in expected.items():
        torch.testing.assert_close(averaged[name], tensor, atol=1e-6, rtol=1e-5)
    assert learner.result is not learner.model
    assert not learner.result.training
    assert learner_of().result is not None


def test_a_gradient_that_is_not_finite_changes_nothing(dataset: SpeechDataset) -> None:
    learner = learner_of(ema_decay=0.5)
    good, bad = batch_of(dataset, 0, 1), batch_of(dataset, 2, 3)
    bad.waveforms[0, 0] = float("nan")
    step(learner, [good])
    before = copy.deepcopy(learner.state())
    for number, batch in enumerate((good, bad)):
        learner.accumulate(batch, 4, last=number == 1)
    assert not learner.update(RATE)
    after = learner.state()
    assert after["num_updates"] == before["num_updates"] == 1
    for name, parameter in learner.model.named_parameters():
        assert torch.equal(parameter, before["model"][name])
        assert torch.equal(after["average"][name], before["average"][name])
    assert step(learner, [good]) > 0  # and the next step starts from a clean gradient


def test_a_step_is_no_longer_than_the_clipped_gradient(dataset: SpeechDataset) -> None:
    learner = learner_of(max_grad_norm=1e-3, weight_decay=0.0)
    before = weights_of(learner.model)
    step(learner, [batch_of(dataset, *range(6))])
    # a first step with Nesterov's momentum of 0.9 goes by 1.9 gradients
    moved = torch.linalg.vector_norm((weights_of(learner.model) - before).double())
    assert float(moved) == pytest.approx(1.9 * RATE * 1e-3, rel=0.02)


@pytest.mark.parametrize("masks", [{"num_time_masks": 2}, {"num_mel_masks": 2}])
def test_spec_augment_masks_what_is_trained_on(dataset: SpeechDataset, masks: dict[str, Any]) -> None:
    augment = replace(NO_AUGMENT, **masks)
    whole, masked = learner_of(), learner_of(augment=augment)
    heard: list[torch.Tensor] = []
    for learner in (whole, masked):
        learner.model.register_forward_pre_hook(lambda model, arguments: heard.append(arguments[0]))
        step(learner, [batch_of(dataset, *range(6))])
    changed = heard[0] != heard[1]
    assert changed.any()
    assert (heard[1][changed] == 0).all()


def test_a_state_is_gone_on_from(dataset: SpeechDataset, tmp_path: Path) -> None:
    first, second = (learner_of(ema_decay=0.9, optimizer=OptimizerType.adamw) for _ in range(2))
    step(first, [batch_of(dataset, 0, 1)])
    torch.save(first.state(), tmp_path / "state.pt")
    second.load_state(torch.load(tmp_path / "state.pt", weights_only=True))
    for learner in (first, second):
        step(learner, [batch_of(dataset, 2, 3)])
    assert torch.equal(weights_of(first.result), weights_of(second.result))
