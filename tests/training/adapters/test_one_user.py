"""A stack of one user: early stopping, the seed, and what a bad step does."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toy_speech import make_utterances

from ds2ray.config import LAST_LAYER, AdaptConfig, AdapterConfig
from ds2ray.errors import TrainingDivergedError
from ds2ray.model.weights import Base
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.adapters.judging.held_out import evaluate_adapter
from ds2ray.training.adapters.judging.results import AdapterFit
from ds2ray.training.adapters.speech import UserSpeech, encode_users
from ds2ray.training.adapters.stack.learners import fresh_adapter
from ds2ray.training.adapters.stack.stacked import StackedTraining, train_one
from ds2ray.training.optim import Criterion, ctc_losses

ADAPTER = AdapterConfig(hidden_dims=[16], after_layer=-1)
ADAPT = AdaptConfig(
    num_epochs=12, batch_size=4, learning_rate=0.01, patience_epochs=4, held_out_fraction=0.3, cross_validate_below=0
)


@pytest.fixture
def speech(base: Base, tmp_path: Path) -> UserSpeech:
    utterances = make_utterances(tmp_path, 14, seed=5, pitch=1.3)
    (speech,) = encode_users(Encoder(base), {"ann": utterances}, ADAPT)
    assert len(speech.frames) == 14
    return speech


def fitted(
    base: Base, speech: UserSpeech, max_steps_per_epoch: int = 0, criterion: Criterion = ctc_losses, **settings: Any
) -> AdapterFit:
    return train_one(
        StackedTraining(
            base.model,
            [fresh_adapter(base.model, ADAPTER, speech.seed, "cpu")],
            [speech],
            base.vocabulary,
            replace(ADAPT, **settings),
            LAST_LAYER,
            max_steps_per_epoch=max_steps_per_epoch,
            criterion=criterion,
        )
    )


def test_training_helps_and_touches_no_weight_of_the_base(base: Base, speech: UserSpeech) -> None:
    before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    fit = fitted(base, speech)
    assert fit.loss_after < 0.7 * fit.loss_before
    assert fit.score_after.characters.rate() <= fit.score_before.characters.rate()
    for name, tensor in base.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_the_adapter_ends_with_its_best_weights(base: Base, speech: UserSpeech) -> None:
    fit = fitted(base, speech)
    adapter = fresh_adapter(base.model, ADAPTER, speech.seed, "cpu")
    for score, loss in ((fit.score_before, fit.loss_before), (fit.score_after, fit.loss_after)):
        evaluation = evaluate_adapter(base.model, adapter, speech, base.vocabulary, ADAPT, LAST_LAYER)
        assert evaluation.loss == pytest.approx(loss, rel=1e-5)
        assert evaluation.score == score
        adapter.load_state_dict(fit.state)
    stops = [fitted(base, speech, patience_epochs=patience) for patience in (1, 12)]
    assert stops[0].loss_after >= stops[1].loss_after


def test_an_adapter_that_never_helps_stays_fresh_and_stops_early(base: Base, speech: UserSpeech) -> None:
    fit = fitted(base, speech, learning_rate=1e-30, patience_epochs=3)
    assert fit.epochs == 3
    assert fit.loss_after == pytest.approx(fit.loss_before, rel=1e-6)
    assert fit.state["output.weight"].abs().sum() == 0


def test_the_seed_alone_decides(base: Base, speech: UserSpeech) -> None:
    first = fitted(base, speech)
    torch.rand(17)
    again, other = fitted(base, speech), fitted(base, replace(speech, seed=4))
    assert all(torch.equal(first.state[name], again.state[name]) for name in first.state)
    assert any(not torch.equal(first.state[name], other.state[name]) for name in first.state)


def test_steps_without_a_finite_loss_are_skipped(base: Base, speech: UserSpeech) -> None:
    speech.frames[speech.parts[0].train[0]].fill_(float("nan"))
    fit = fitted(base, speech)
    assert fit.bad_steps == fit.epochs
    assert fit.loss_after < fit.loss_before
    assert all(tensor.isfinite().all() for tensor in fit.state.values())


def test_an_epoch_without_any_finite_step_ends_training(base: Base, speech: UserSpeech) -> None:
    with pytest.raises(TrainingDivergedError, match=r"damaged audio, or lower the learning rate \(1e\+30\)"):
        fitted(base, speech, learning_rate=1e30, patience_epochs=12)


def test_fewer_steps_per_epoch(base: Base, speech: UserSpeech) -> None:
    for most, steps in ((0, 3), (2, 2), (7, 3)):  # ten utterances in batches of four
        learned: list[bool] = []

        def counting(log_probs: Tensor, *others: Tensor, learned: list[bool] = learned) -> Tensor:
            learned.append(log_probs.requires_grad)
            return ctc_losses(log_probs, *others)

        fitted(base, speech, num_epochs=2, max_steps_per_epoch=most, criterion=counting)
        assert sum(learned) == 2 * steps
