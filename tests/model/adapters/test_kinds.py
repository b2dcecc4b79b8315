"""The contracts of adapters, over all kinds."""

from collections.abc import Sequence

import pytest
import torch
from architectures import ADAPTERS, randomise
from torch import Tensor, nn

from ds2ray.config import (
    Activation,
    AdapterConfig,
    AdapterKind,
    adapter_from_plain,
    adapter_to_plain,
    to_plain,
)
from ds2ray.errors import ConfigError
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.model.adapters.kinds import KINDS, build_adapter
from ds2ray.model.weights import from_bytes, load_strictly, to_bytes
from ds2ray.training.adapters.stack.bank import AdapterBank

WIDTH = 6
EVERY_KIND = pytest.mark.parametrize("config", ADAPTERS.values(), ids=ADAPTERS)
BOTH_WAYS = pytest.mark.parametrize("at_once", [False, True], ids=["each-user", "at-once"])


def random_adapter(config: AdapterConfig, seed: int = 0) -> Adapter:
    adapter = build_adapter(WIDTH, config)
    randomise(adapter, seed)
    return adapter


def test_every_kind_is_among_those_that_are_tested() -> None:
    assert {config.kind for config in ADAPTERS.values()} == set(AdapterKind) == set(KINDS)


@EVERY_KIND
def test_a_fresh_adapter_changes_nothing_bit_for_bit(config: AdapterConfig) -> None:
    adapter = build_adapter(WIDTH, config).eval()
    assert isinstance(adapter, KINDS[config.kind])
    for scale in (1e10, 1e-20, 1.0):
        encodings = torch.randn(3, 11, WIDTH, generator=torch.Generator().manual_seed(0)) * scale
        assert torch.equal(adapter(encodings), encodings)
        assert torch.equal(adapter.train()(encodings), encodings)
    randomise(adapter)
    assert not torch.equal(adapter(encodings), encodings)


@EVERY_KIND
def test_an_adapter_works_frame_by_frame(config: AdapterConfig) -> None:
    adapter = random_adapter(config).eval()
    encodings = torch.randn(3, 11, WIDTH, generator=torch.Generator().manual_seed(0))
    adapted = adapter(encodings)
    for row in range(3):
        for frame in (0, 7, 10):
            torch.testing.assert_close(adapter(encodings[row, frame]), adapted[row, frame], atol=1e-6, rtol=1e-5)


@EVERY_KIND
def test_an_adapter_is_parameters_and_nothing_else(config: AdapterConfig) -> None:
    adapter = random_adapter(config)
    assert set(adapter.state_dict()) == {name for name, _ in adapter.named_parameters()}
    again = build_adapter(WIDTH, adapter_from_plain(adapter_to_plain(config)))
    load_strictly(again, from_bytes(to_bytes(adapter.state_dict()), "here"), "here")
    encodings = torch.randn(2, 5, WIDTH)
    assert torch.equal(again.eval()(encodings), adapter.eval()(encodings))


@BOTH_WAYS
@EVERY_KIND
@pytest.mark.parametrize("own_way", [True, False], ids=["the-kinds-own", "of-any-kind"])
def test_a_stack_does_what_each_adapter_does_alone(config: AdapterConfig, own_way: bool, at_once: bool) -> None:
    adapters = [random_adapter(config, seed).eval() for seed in range(3)]
    bank = AdapterBank(adapters)
    draws = torch.Generator().manual_seed(0)
    users, counts = [2, 0, 1], [3, 7, 2]
    frames = torch.randn(12, WIDTH, generator=draws)
    for scales in ((), [torch.rand(12, width, generator=draws) for width in adapters[0].scale_widths]):
        parts = [scale.split(counts) for scale in scales]
        alone = [
            adapters[user](part, [part_of[place] for part_of in parts])
            for place, (user, part) in enumerate(zip(users, frames.split(counts), strict=True))
        ]
        expected = torch.cat(alone)
        stacked = _stacked(bank, own_way, frames, users, counts, scales, at_once)
        torch.testing.assert_close(stacked, expected, atol=1e-5, rtol=1e-5)
        weighting = torch.randn(12, WIDTH, generator=draws)
        gradients = torch.autograd.grad((stacked * weighting).sum(), list(bank.parameters()))
        for user, adapter in enumerate(adapters):
            own = torch.autograd.grad((expected * weighting).sum(), list(adapter.parameters()), retain_graph=True)
            for gradient, stack in zip(own, gradients, strict=True):
                torch.testing.assert_close(stack[user], gradient, atol=1e-4, rtol=1e-4)


def _stacked(
    bank: AdapterBank,
    own_way: bool,
    frames: Tensor,
    users: Sequence[int],
    counts: Sequence[int],
    scales: Sequence[Tensor],
    at_once: bool,
) -> Tensor:
    if own_way:
        return bank.like.stacked(bank.weights(), frames, users, counts, scales, at_once)
    return Adapter.stacked(bank.like, bank.weights(), frames, users, counts, scales, at_once)


@EVERY_KIND
def test_a_bank_knows_its_users_by_place(config: AdapterConfig) -> None:
    adapters = [random_adapter(config, seed) for seed in range(4)]
    bank = AdapterBank(adapters)
    bank.keep(torch.tensor([1, 3]))
    assert len(bank) == 2
    for place, user in enumerate((1, 3)):
        for name, tensor in adapters[user].state_dict().items():
            assert torch.equal(bank.state_of(place)[name], tensor)
    other = AdapterBank.of_states([adapters[0].state_dict()], bank)
    assert (len(other), len(bank)) == (1, 2)
    assert sum(p.numel() for p in other.parameters()) == sum(p.numel() for p in adapters[0].parameters())


def test_what_is_stored_of_an_mlp_is_what_was_before_there_were_kinds() -> None:
    config = AdapterConfig(hidden_dims=[8], activation=Activation.gelu, dropout=0.2, after_layer=1)
    assert adapter_to_plain(config) == {"hidden_dims": [8], "activation": "gelu", "dropout": 0.2, "after_layer": 1}
    assert adapter_from_plain(adapter_to_plain(config)) == config
    assert to_plain(config)["kind"] == "mlp"


def test_what_is_stored_of_another_kind_is_its_own() -> None:
    config = AdapterConfig(kind=AdapterKind.lhuc, after_layer=2)
    assert adapter_to_plain(config) == {"kind": "lhuc", "after_layer": 2}
    assert adapter_from_plain(adapter_to_plain(config)) == config


def test_settings_of_another_kind_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"adapter\.hidden_dims=\[64\].*adapter\.kind=lhuc has no such setting"):
        AdapterConfig(kind=AdapterKind.lhuc, hidden_dims=[64])


class TestLhuc:
    def test_it_takes_two_values_a_channel(self) -> None:
        adapter = build_adapter(1024, AdapterConfig(kind=AdapterKind.lhuc))
        assert len(to_bytes(adapter.state_dict())) < 9000

    def test_it_scales_and_shifts_each_channel(self) -> None:
        adapter = build_adapter(2, AdapterConfig(kind=AdapterKind.lhuc))
        adapter.load_state_dict({"log_odds": torch.tensor([100.0, -100.0]), "shift": torch.tensor([0.5, -1.0])})
        assert adapter(torch.tensor([[3.0, 7.0]])).tolist() == [[6.5, -1.0]]

    def test_it_learns_a_scale_that_was_applied(self) -> None:
        x = torch.randn(1, 200, 4, generator=torch.Generator().manual_seed(0))
        wanted = x * torch.tensor([0.5, 1.0, 1.5, 1.9]) + torch.tensor([0.0, 1.0, 0.0, -1.0])
        adapter = build_adapter(4, AdapterConfig(kind=AdapterKind.lhuc)).train()
        optimizer = torch.optim.Adam(adapter.parameters(), lr=0.05)
        for _ in range(300):
            optimizer.zero_grad()
            nn.functional.mse_loss(adapter(x), wanted).backward()
            optimizer.step()
        torch.testing.assert_close(adapter(x), wanted, atol=0.05, rtol=0.05)
