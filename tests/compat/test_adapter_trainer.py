"""AdapterTrainer: optimizers, criteria, what it saves and what it refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from toy_speech import make_utterances

from ds2ray.batching.batches import SpeechDataset
from ds2ray.compat.adapter_manager import AdapterManager
from ds2ray.compat.adapter_trainer import AdapterTrainer
from ds2ray.config import AdaptConfig, AdapterConfig
from ds2ray.errors import ConfigError
from ds2ray.model.weights import Base

CONFIG = AdaptConfig(learning_rate=0.01, patience_epochs=3)


@pytest.fixture
def base(fresh_base: Callable[[], Base]) -> Base:
    base = fresh_base()
    torch.manual_seed(0)
    base.model.add_adapter(AdapterConfig(hidden_dims=[16], after_layer=-1))
    return base


@pytest.fixture
def data_sets(base: Base, tmp_path: Path) -> tuple[SpeechDataset, SpeechDataset]:
    utterances = make_utterances(tmp_path, 12, seed=7, pitch=1.3)
    return (
        SpeechDataset(utterances[:8], base.vocabulary, base.audio),
        SpeechDataset(utterances[8:], base.vocabulary, base.audio),
    )


def trained(base: Base, data_sets: tuple[SpeechDataset, SpeechDataset], folder: Path, **options: Any) -> AdapterTrainer:
    trainer = AdapterTrainer(
        trainset_list=[data_sets[0]],
        validset=data_sets[1],
        vocab=base.vocabulary,
        adapter_save_dir=str(folder),
        config=CONFIG,
        **options,
    )
    model = trainer.train(model=base.model, batch_size=4, epoch_time_step=1000, num_epochs=6, adapter_name="john")
    assert model is base.model
    return trainer


def test_it_trains_the_adapter_alone_and_saves_it(base: Base, data_sets: Any, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in base.model.base_state().items()}
    trainer = trained(base, data_sets, tmp_path)
    assert trainer.fit is not None
    assert trainer.fit.loss_after < trainer.fit.loss_before
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.model.base_state().items())
    info = AdapterManager().get_adapter_info(str(tmp_path / "john_adapter.pt"))
    assert info["adapter_name"] == "john"
    assert info["num_parameters"] == base.model.count_parameters(trainable_only=True)["adapter"]


@pytest.mark.parametrize("reduction", ["mean", "none", "sum"])
def test_criteria_of_every_reduction_train(base: Base, data_sets: Any, tmp_path: Path, reduction: str) -> None:
    trainer = trained(base, data_sets, tmp_path, criterion=nn.CTCLoss(reduction=reduction, zero_infinity=True))
    assert trainer.fit is not None
    assert trainer.fit.loss_after < trainer.fit.loss_before


def test_the_mean_of_torchs_criterion_is_the_default(base: Base, data_sets: Any, tmp_path: Path) -> None:
    assert base.model.adapter is not None
    start = {name: tensor.clone() for name, tensor in base.model.adapter.state_dict().items()}
    default = trained(base, data_sets, tmp_path).fit
    base.model.adapter.load_state_dict(start)
    given = trained(base, data_sets, tmp_path, criterion=nn.CTCLoss(zero_infinity=True)).fit
    assert default is not None
    assert given is not None
    for name, tensor in default.state.items():
        torch.testing.assert_close(given.state[name], tensor, atol=2e-3, rtol=1e-2)


def test_the_given_optimizer_is_used_with_its_rate_as_the_highest(base: Base, data_sets: Any, tmp_path: Path) -> None:
    assert base.model.adapter is not None
    optimizer = torch.optim.SGD(base.model.adapter.parameters(), lr=0.5)
    rates: list[float] = []
    optimizer.register_step_pre_hook(lambda *_: rates.append(optimizer.param_groups[0]["lr"]))
    trained(base, data_sets, tmp_path, optimizer=optimizer)
    assert len(rates) % 2 == 0  # two steps in each epoch
    assert 0.3 < max(rates) <= 0.5


def test_what_is_missing_is_named(base: Base, data_sets: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trainset_list, validset and vocab"):
        AdapterTrainer(trainset_list=[data_sets[0]], vocab=base.vocabulary)
    base.model.adapter = None
    with pytest.raises(ConfigError, match="use_adapter=True"):
        trained(base, data_sets, tmp_path)
