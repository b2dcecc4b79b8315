"""Adapters of different users in one batch: stacked or one by one, each row passes its own and no other."""

from typing import Any

import pytest
import torch
from architectures import randomise

from ds2ray.config import AdapterConfig, AdapterKind
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.model.adapters.kinds import build_adapter
from ds2ray.model.adapters.mlp import MLPAdapter
from ds2ray.model.adapters.rows import KEPT_STACKS, RowAdapter, RowAdapters

WIDTH = 6
MLP, WIDE = AdapterConfig(hidden_dims=[4]), AdapterConfig(hidden_dims=[5, 3])
LHUC = AdapterConfig(kind=AdapterKind.lhuc)


def random_adapter(config: AdapterConfig, seed: int) -> Adapter:
    torch.manual_seed(seed)
    adapter = build_adapter(WIDTH, config)
    randomise(adapter)
    return adapter.eval()


def of_rows(configs: list[AdapterConfig], rows: list[list[int]]) -> list[RowAdapter]:
    return [
        RowAdapter(random_adapter(config, seed), 0, torch.tensor(own))
        for seed, (config, own) in enumerate(zip(configs, rows, strict=True))
    ]


@pytest.mark.parametrize("at_once", [True, False, None])
@pytest.mark.parametrize(
    ("configs", "rows"),
    [
        ([MLP], [[0, 1, 2, 3, 4]]),
        ([MLP, MLP, MLP], [[0], [4], [2]]),
        ([MLP, MLP], [[3], [0, 4, 1]]),
        ([LHUC, LHUC], [[1, 2], [0]]),
        ([MLP, LHUC, WIDE, MLP, LHUC], [[0], [1], [2], [3], [4]]),
    ],
)
@torch.no_grad()
def test_each_row_passes_its_own_adapter(
    configs: list[AdapterConfig], rows: list[list[int]], at_once: bool | None
) -> None:
    adapters = of_rows(configs, rows)
    encodings = torch.randn(5, 7, WIDTH)
    before = encodings.clone()
    adapted = RowAdapters(at_once)(encodings, adapters)
    expected = before.clone()
    for one in adapters:
        for row in one.rows.tolist():
            expected[row] = one.adapter(before[row])
            assert not torch.equal(expected[row], before[row])
    torch.testing.assert_close(adapted, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(encodings, before)


def test_without_adapters_nothing_is_copied() -> None:
    encodings = torch.randn(2, 3, WIDTH)
    assert RowAdapters()(encodings, []) is encodings


@torch.no_grad()
def test_the_stacks_of_users_that_return_are_kept_and_few(monkeypatch: pytest.MonkeyPatch) -> None:
    stacks: list[object] = []
    real = MLPAdapter.stacked

    def stacked(self: MLPAdapter, weights: dict[str, torch.Tensor], *args: Any, **kwargs: Any) -> torch.Tensor:
        stacks.append(weights["output.weight"])
        return real(self, weights, *args, **kwargs)

    monkeypatch.setattr(MLPAdapter, "stacked", stacked)
    adapt, encodings = RowAdapters(at_once=True), torch.randn(2, 3, WIDTH)
    pairs = [of_rows([MLP, MLP], [[0], [1]]) for _ in range(KEPT_STACKS + 1)]
    for pair in (pairs[0], pairs[0], *pairs[1:], pairs[0]):
        adapt(encodings, pair)
    assert stacks[0] is stacks[1]
    assert stacks[0] is not stacks[-1]
