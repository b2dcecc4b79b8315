"""torch's optimizers without its compiler."""

import sys
from typing import Any

import pytest
import torch
from torch import nn

from ds2ray.config import OptimizerType
from ds2ray.training import uncompiled
from ds2ray.training.optim import build_optimizer, clip_gradients

OF_TORCH: dict[OptimizerType, type[torch.optim.Optimizer]] = {
    OptimizerType.sgd: torch.optim.SGD,
    OptimizerType.adam: torch.optim.Adam,
    OptimizerType.adamw: torch.optim.AdamW,
}


def steps(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> torch.Tensor:
    """The parameter after three steps, one of them from a loaded state."""
    for factor in (1.0, -2.0, 0.5):
        optimizer.zero_grad()
        (parameter * parameter * factor).sum().backward()
        clip_gradients([parameter], 1.0)
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
    return parameter.detach()


def without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[:2] == ["torch", "_dynamo"]]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # an import raises


@pytest.mark.parametrize("kind", OptimizerType)
def test_the_same_steps_without_the_compiler(kind: OptimizerType, monkeypatch: pytest.MonkeyPatch) -> None:
    start = torch.tensor([0.3, -1.2, 2.0])
    first, second = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    more: dict[str, Any] = {"momentum": 0.9, "nesterov": True} if kind is OptimizerType.sgd else {}
    of_torch = OF_TORCH[kind]([first], lr=0.1, weight_decay=0.01, **more)  # type: ignore[call-arg]
    expected = steps(of_torch, first)
    without_compiler(monkeypatch)
    ours = build_optimizer([second], kind, 0.1, 0.01)
    assert type(ours).__module__ == uncompiled.__name__
    assert torch.equal(steps(ours, second), expected)
    assert ours.state_dict()["param_groups"] == of_torch.state_dict()["param_groups"]
