"""One user's adapter: the split, early stopping, the seed, and what a bad step does."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_speech import make_utterances

from ds2ray.config import LAST_LAYER, AdaptConfig, AdapterConfig
from ds2ray.errors import TrainingDivergedError
from ds2ray.model.adapters.mlp import MLPAdapter
from ds2ray.model.weights import Base
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.adapters.encoded import CohortUser, encode_users, speech_of
from ds2ray.training.adapters.fit import UserSpeech, evaluate_adapter, fit_adapter

ADAPTER = AdapterConfig(hidden_dims=[16], after_layer=-1)
ADAPT = AdaptConfig(
    num_epochs=12, batch_size=4, learning_rate=0.01, patience_epochs=4, held_out_fraction=0.3, cross_validate_below=0
)


@pytest.fixture
def base(fresh_base: Callable[[], Base]) -> Base:
    return fresh_base()


@pytest.fixture
def speech(base: Base, tmp_path: Path) -> UserSpeech:
    utterances = make_utterances(tmp_path, 14, seed=5, pitch=1.3)
    (encoded,) = encode_users(Encoder(base), [CohortUser("ann", utterances)])
    assert len(encoded.encodings) == 14
    return speech_of(base, encoded, ADAPT, "cpu")


def fresh_adapter(base: Base, seed: int = 0) -> MLPAdapter:
    torch.manual_seed(seed)
    return MLPAdapter.from_config(base.model.encoding_dim(), ADAPTER)


def fitted(base: Base, speech: UserSpeech, seed: int = 0, **settings: Any) -> Any:
    adapt = AdaptConfig(**{**vars(ADAPT), **settings})
    return fit_adapter(base.model, fresh_adapter(base), speech, base.vocabulary, adapt, seed=seed)


def test_training_helps_and_touches_no_weight_of_the_base(base: Base, speech: UserSpeech) -> None:
    before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    fit = fitted(base, speech)
    assert fit.loss_after < 0.7 * fit.loss_before
    assert fit.score_after.characters.rate() <= fit.score_before.characters.rate()
    for name, tensor in base.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_the_adapter_ends_with_its_best_weights(base: Base, speech: UserSpeech) -> None:
    adapter = fresh_adapter(base)
    fit = fit_adapter(base.model, adapter, speech, base.vocabulary, ADAPT, seed=0)
    assert all(torch.equal(fit.state[name], tensor) for name, tensor in adapter.state_dict().items())
    for state, loss in ((adapter, fit.loss_after), (None, fit.loss_before)):
        evaluation = evaluate_adapter(base.model, state, speech, base.vocabulary, ADAPT, LAST_LAYER)
        assert evaluation.loss == pytest.approx(loss, rel=1e-5)
    stops = [fitted(base, speech, num_epochs=ADAPT.num_epochs, patience_epochs=patience) for patience in (1, 12)]
    assert stops[0].loss_after >= stops[1].loss_after


def test_an_adapter_that_never_helps_stays_fresh_and_stops_early(base: Base, speech: UserSpeech) -> None:
    fit = fitted(base, speech, learning_rate=1e-30, patience_epochs=3)
    assert fit.epochs == 3
    assert fit.loss_after == pytest.approx(fit.loss_before, rel=1e-6)
    assert fit.state["output.weight"].abs().sum() == 0


def test_the_seed_alone_decides(base: Base, speech: UserSpeech) -> None:
    first = fitted(base, speech, seed=3)
    torch.rand(17)
    again, other = fitted(base, speech, seed=3), fitted(base, speech, seed=4)
    assert all(torch.equal(first.state[name], again.state[name]) for name in first.state)
    assert any(not torch.equal(first.state[name], other.state[name]) for name in first.state)


def test_steps_without_a_finite_loss_are_skipped(base: Base, speech: UserSpeech) -> None:
    encode, damaged = speech.encode, speech.parts[0].train[0]

    def with_damage(rows: Any) -> tuple[torch.Tensor, torch.Tensor]:
        encodings, lengths = encode(rows)
        return (encodings * float("nan") if damaged in rows else encodings), lengths

    fit = fitted(base, UserSpeech(**{**vars(speech), "encode": with_damage}))
    assert fit.bad_steps == fit.epochs
    assert fit.loss_after < fit.loss_before
    assert all(tensor.isfinite().all() for tensor in fit.state.values())


def test_an_epoch_without_any_finite_step_ends_training(base: Base, speech: UserSpeech) -> None:
    with pytest.raises(TrainingDivergedError, match="damaged audio"):
        fitted(base, speech, learning_rate=1e30, patience_epochs=12)


def test_fewer_steps_per_epoch(base: Base, speech: UserSpeech) -> None:
    calls = []
    encode = speech.encode

    def counting(rows: Any) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(len(rows))
        return encode(rows)

    counted = UserSpeech(**{**vars(speech), "encode": counting})
    adapt = replace(ADAPT, num_epochs=2, batch_size=5)
    fit_adapter(base.model, fresh_adapter(base), counted, base.vocabulary, adapt, seed=0, max_steps_per_epoch=1)
    # the base's evaluation, then a step and the held-out loss in each of two epochs, then the last evaluation
    assert calls == [4, 5, 4, 5, 4, 4]
