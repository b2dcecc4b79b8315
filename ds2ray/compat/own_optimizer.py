"""A torch optimizer that a caller has built over one adapter, as the optimizer of a stack of one."""

import torch
from torch import Tensor

from ds2ray.model.adapters.adapter import Adapter
from ds2ray.training.adapters.stack.bank import AdapterBank
from ds2ray.training.optim import clip_gradients, set_learning_rate


class OwnOptimizer:
    """Steps the caller's optimizer over the adapter's own parameters, and keeps the bank equal to them.

    Args:
        optimizer: over the parameters of `adapter`.
        bank: holds a copy of the adapter, and nothing else.
        max_grad_norm: gradients are clipped to this norm.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, adapter: Adapter, bank: AdapterBank, max_grad_norm: float
    ) -> None:
        self.optimizer, self.adapter, self.bank, self.max_grad_norm = optimizer, adapter, bank, max_grad_norm

    @torch.no_grad()
    def step(self, rates: Tensor, active: Tensor) -> Tensor:
        """A step at the rate `rates` [1], if the gradients are finite; returns whether it was made, bool [1]."""
        set_learning_rate(self.optimizer, float(rates[0]))
        for name, parameter in self.adapter.named_parameters():
            gradient = self.bank.stacked(name).grad
            parameter.grad = None if gradient is None else gradient[0]
        finite = clip_gradients(self.adapter.parameters(), self.max_grad_norm).isfinite()
        if finite:
            self.optimizer.step()
            for name, parameter in self.adapter.named_parameters():
                self.bank.stacked(name)[0] = parameter
        return finite.reshape(1)

    def keep(self, users: Tensor) -> None:
        """Keep the state of these users: here of the only one, who stays until the stack ends."""
