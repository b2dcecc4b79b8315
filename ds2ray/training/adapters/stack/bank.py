"""Many adapters of one kind and shape as one stack: one forward and one optimizer step for all users, each as if alone.

Shapes: U users of the stack, D width of the encodings, N frames of all users in a step (one user's after the other's),
P any parameter's own shape.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from ds2ray.model.adapters.adapter import Adapter

ADAM_BETAS = (0.9, 0.999)
ADAM_EPS = 1e-8
CLIP_EPS = 1e-6
"""As in torch.nn.utils.clip_grad_norm_, which one user's training uses."""


class AdapterBank(nn.Module):
    """U adapters of one kind and shape; parameters are stacked [U, P]. `state_of(user)` is a plain adapter's state.

    Attributes:
        at_once: whether one operation serves all users, as is faster on GPUs, or each user has one of its own.
    """

    def __init__(self, adapters: Sequence[Adapter]) -> None:
        super().__init__()
        self._like = (adapters[0],)  # in a tuple, so that it is no part of the bank
        self._stack([adapter.state_dict() for adapter in adapters])
        self.at_once = self.device.type == "cuda"

    @classmethod
    def of_states(cls, states: Sequence[Mapping[str, Tensor]], like: "AdapterBank") -> "AdapterBank":
        """A bank of these weights, of the kind and shape of another one."""
        bank = copy.copy(like)
        bank._parameters = {}
        bank._stack(states)
        return bank

    def _stack(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        self.names = list(states[0])
        for name in self.names:
            self._set(name, torch.stack([state[name] for state in states]))

    def __len__(self) -> int:
        return len(self.stacked(self.names[0]))

    @property
    def like(self) -> Adapter:
        """An adapter of the kind and shape of all of them, whose weights do not matter."""
        return self._like[0]

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.stacked(self.names[0]).device

    def stacked(self, name: str) -> nn.Parameter:
        """All users' parameter of that name in an adapter: [U, P]."""
        return cast(nn.Parameter, getattr(self, name.replace(".", "_")))

    def weights(self) -> dict[str, Tensor]:
        """All users' parameters, [U, P] each, by their names in an adapter."""
        return {name: self.stacked(name) for name in self.names}

    def _set(self, name: str, value: Tensor) -> None:
        setattr(self, name.replace(".", "_"), nn.Parameter(value))

    def state_of(self, user: int) -> dict[str, Tensor]:
        """A copy of one user's weights."""
        return {name: self.stacked(name)[user].detach().clone() for name in self.names}

    def keep(self, users: Tensor) -> None:
        """Leave all users out but these, int64 [kept]."""
        for name in self.names:
            self._set(name, self.stacked(name).detach()[users])

    def forward(self, frames: Tensor, users: Sequence[int], counts: Sequence[int], scales: Sequence[Tensor]) -> Tensor:
        """Each user's frames [N, D] through the user's own adapter: [N, D]; see `Adapter.stacked`."""
        return self.like.stacked(self.weights(), frames, users, counts, scales, self.at_once)


class BankAdamW:
    """AdamW over a bank: moments, step count, rate, gradient norm and skipped steps are each user's own.

    The formula and its order of operations are torch.optim.AdamW's (Loshchilov and Hutter, 2019).
    """

    def __init__(self, bank: AdapterBank, weight_decay: float, max_grad_norm: float) -> None:
        self.bank, self.weight_decay, self.max_grad_norm = bank, weight_decay, max_grad_norm
        self.first = {name: torch.zeros_like(bank.stacked(name)) for name in bank.names}
        self.second = {name: torch.zeros_like(bank.stacked(name)) for name in bank.names}
        self.steps = torch.zeros(len(bank), device=bank.device)

    def keep(self, users: Tensor) -> None:
        """Leave all users out but these; the bank must be told, too."""
        self.steps = self.steps[users]
        for moments in (self.first, self.second):
            for name in moments:
                moments[name] = moments[name][users]

    @torch.no_grad()
    def step(self, rates: Tensor, active: Tensor) -> Tensor:
        """One step of the `active` users, bool [U], at their learning `rates` [U].

        Returns:
            bool [U]: the users that stepped; an active user whose gradient is not finite does not.
        """
        gradients = {name: self.bank.stacked(name).grad for name in self.bank.names}
        present = {name: gradient for name, gradient in gradients.items() if gradient is not None}
        norms = self.norms(list(present.values()))
        stepped = active & norms.isfinite()
        clip = (self.max_grad_norm / (norms + CLIP_EPS)).clamp(max=1.0)
        self.steps += stepped
        update = self.update_together if self.bank.at_once else self.update_each
        update(present, rates, stepped, clip)
        return stepped

    def norms(self, gradients: Sequence[Tensor]) -> Tensor:
        """Each user's gradient norm [U], of the parameters' gradients [U, P]."""
        if self.bank.at_once:
            return torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0).sqrt()
        # one user's sum by itself: torch adds in another order where there are several
        each = [[g[user].flatten().square().sum() for g in gradients] for user in range(len(self.bank))]
        return torch.stack([torch.stack(own).sum() for own in each]).sqrt()

    def update_each(self, gradients: Mapping[str, Tensor], rates: Tensor, stepped: Tensor, clip: Tensor) -> None:
        """Update the users that step one by one, with torch's fused kernel."""
        for user in stepped.nonzero().flatten().tolist():
            own = [gradient[user] for gradient in gradients.values()]
            if clip[user] < 1:
                torch._foreach_mul_(own, clip[user])
            torch._fused_adamw_(
                [self.bank.stacked(name)[user] for name in gradients],
                own,
                [self.first[name][user] for name in gradients],
                [self.second[name][user] for name in gradients],
                [],
                [self.steps[user]] * len(own),
                lr=float(rates[user]),
                beta1=ADAM_BETAS[0],
                beta2=ADAM_BETAS[1],
                weight_decay=self.weight_decay,
                eps=ADAM_EPS,
                amsgrad=False,
                maximize=False,
            )

    def update_together(self, gradients: Mapping[str, Tensor], rates: Tensor, stepped: Tensor, clip: Tensor) -> None:
        """Update all users at once, and leave the users that do not step as they are."""
        counts = self.steps.clamp(min=1)
        correction1, correction2 = 1 - ADAM_BETAS[0] ** counts, (1 - ADAM_BETAS[1] ** counts).sqrt()
        for name, gradient in gradients.items():
            parameter, first, second = self.bank.stacked(name), self.first[name], self.second[name]
            shape = (-1,) + (1,) * (parameter.dim() - 1)
            who = stepped.view(shape)
            gradient = torch.where(who, gradient * clip.view(shape), 0.0)
            new_first = torch.lerp(first, gradient, 1 - ADAM_BETAS[0])
            new_second = second * ADAM_BETAS[1] + gradient.square() * (1 - ADAM_BETAS[1])
            first.copy_(torch.where(who, new_first, first))
            second.copy_(torch.where(who, new_second, second))
            decayed = parameter * (1 - rates * self.weight_decay).view(shape)
            denominator = second.sqrt() / correction2.view(shape) + ADAM_EPS
            updated = decayed - (rates / correction1).view(shape) * first / denominator
            parameter.copy_(torch.where(who, updated, parameter))


class StackOptimizer(Protocol):
    """The optimizer of a stack, as `BankAdamW`."""

    def step(self, rates: Tensor, active: Tensor) -> Tensor:
        """One step of the `active` adapters, bool [U], at their `rates` [U]; returns which stepped, bool [U]."""

    def keep(self, users: Tensor) -> None:
        """Leave all adapters out but these, int64 [kept]."""
