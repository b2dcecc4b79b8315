"""Many adapters of one shape as one stack: one forward and one optimizer step for all users, each as if alone.

Shapes: U users of the stack, D width of the encodings, N frames of all users in a step (one user's after the other's),
P any parameter's own shape.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ds2ray.model.adapter import MLPAdapter

ADAM_BETAS = (0.9, 0.999)
ADAM_EPS = 1e-8
CLIP_EPS = 1e-6
"""As in torch.nn.utils.clip_grad_norm_, which one user's training uses."""


class AdapterBank(nn.Module):
    """U adapters of one shape; parameters are stacked [U, P]. `state_of(user)` is a plain MLPAdapter's state dict.

    Attributes:
        at_once: whether one operation serves all users, as is faster on GPUs, or each user has one of its own.
    """

    def __init__(self, adapters: Sequence[MLPAdapter]) -> None:
        super().__init__()
        self.num_hidden = len(adapters[0].hidden)
        self.activation = adapters[0].activation
        self.at_once = adapters[0].output.weight.is_cuda
        self._stack([adapter.state_dict() for adapter in adapters])

    @classmethod
    def of_states(cls, states: Sequence[Mapping[str, Tensor]], like: "AdapterBank") -> "AdapterBank":
        """A bank of these weights, of the shape of another one."""
        bank = copy.copy(like)
        bank._parameters = {}
        bank._stack(states)
        return bank

    def _stack(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        self.names = list(states[0])
        for name in self.names:
            self._set(name, torch.stack([state[name] for state in states]))

    def __len__(self) -> int:
        return len(self.stacked("norm.weight"))

    def stacked(self, name: str) -> nn.Parameter:
        """All users' parameter of that name in an MLPAdapter: [U, P]."""
        return cast(nn.Parameter, getattr(self, name.replace(".", "_")))

    def hidden_widths(self) -> list[int]:
        """Width of each hidden layer."""
        return [self.stacked(f"hidden.{layer}.bias").shape[1] for layer in range(self.num_hidden)]

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
        """Each user's frames through the user's own adapter.

        Frames need no gradient, so the layer norm's scale and shift are folded into the first product: its gradient
        then costs no product of its own, and normalising no backward pass.

        Args:
            frames: [N, D], the frames of `users[0]`, then of `users[1]`, …
            counts: how many frames each of them has.
            scales: per hidden layer, factors of its outputs, [N, width], for dropout; empty: no dropout.

        Returns:
            [N, D].
        """
        product = self.by_padded_product if self.at_once else self.by_loop
        return product(frames, users, counts, scales)

    def by_loop(self, frames: Tensor, users: Sequence[int], counts: Sequence[int], scales: Sequence[Tensor]) -> Tensor:
        """`forward` with one product per user and layer."""
        # unbound once, since each indexing of a stack would cost a gradient of the stack's size
        own = {name: self.stacked(name).unbind() for name in self.names}
        normalised = functional.layer_norm(frames, frames.shape[1:])
        outputs = []
        start = 0
        for user, count in zip(users, counts, strict=True):
            part = slice(start, start + count)
            start += count
            y = normalised[part]
            for layer in range(self.num_hidden):
                weight, bias = own[f"hidden.{layer}.weight"][user], own[f"hidden.{layer}.bias"][user]
                if layer == 0:
                    bias = bias + weight @ own["norm.bias"][user]
                    weight = weight * own["norm.weight"][user]
                y = self.activation(functional.linear(y, weight, bias))
                if scales:
                    y = y * scales[layer][part]
            outputs.append(functional.linear(y, own["output.weight"][user], own["output.bias"][user]))
        return frames + torch.cat(outputs)

    def by_padded_product(
        self, frames: Tensor, users: Sequence[int], counts: Sequence[int], scales: Sequence[Tensor]
    ) -> Tensor:
        """`forward` with one batched product per layer, over users padded to the most frames."""
        rows = torch.tensor(users, device=frames.device)
        present = torch.arange(max(counts), device=frames.device) < torch.tensor(counts, device=frames.device)[:, None]

        def padded(flat: Tensor) -> Tensor:
            return flat.new_zeros(*present.shape, flat.shape[1]).masked_scatter(present.unsqueeze(2), flat)

        y = padded(functional.layer_norm(frames, frames.shape[1:]))
        for layer in range(self.num_hidden):
            weight, bias = self.stacked(f"hidden.{layer}.weight")[rows], self.stacked(f"hidden.{layer}.bias")[rows]
            if layer == 0:
                bias = bias + (weight @ self.stacked("norm.bias")[rows].unsqueeze(2)).squeeze(2)
                weight = weight * self.stacked("norm.weight")[rows].unsqueeze(1)
            y = self.activation(torch.baddbmm(bias.unsqueeze(1), y, weight.transpose(1, 2)))
            if scales:
                y = y * padded(scales[layer])
        weight, bias = self.stacked("output.weight")[rows], self.stacked("output.bias")[rows]
        y = torch.baddbmm(bias.unsqueeze(1), y, weight.transpose(1, 2))
        return frames + y[present]


class BankAdamW:
    """AdamW over a bank: moments, step count, rate, gradient norm and skipped steps are each user's own.

    The formula and its order of operations are torch.optim.AdamW's (Loshchilov and Hutter, 2019).
    """

    def __init__(self, bank: AdapterBank, weight_decay: float, max_grad_norm: float) -> None:
        self.bank, self.weight_decay, self.max_grad_norm = bank, weight_decay, max_grad_norm
        self.first = {name: torch.zeros_like(bank.stacked(name)) for name in bank.names}
        self.second = {name: torch.zeros_like(bank.stacked(name)) for name in bank.names}
        self.steps = torch.zeros(len(bank), device=bank.stacked("norm.weight").device)

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
        norms = torch.stack([g.flatten(1).square().sum(1) for g in present.values()]).sum(0).sqrt()
        stepped = active & norms.isfinite()
        clip = (self.max_grad_norm / (norms + CLIP_EPS)).clamp(max=1.0)
        self.steps += stepped
        update = self.update_together if self.bank.at_once else self.update_each
        update(present, rates, stepped, clip)
        return stepped

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
