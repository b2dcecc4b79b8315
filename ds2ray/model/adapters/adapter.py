"""The seam between adapters and the code that trains, stores and uses them.

Shapes: B utterances, T encoding frames, D width of the encodings, U adapters of a stack, N frames of all users of a
step (one user's after another's), P the shape of any parameter.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ds2ray.config import AdapterConfig


def dropout_scale(shape: tuple[int, ...], p: float, generator: torch.Generator | None = None) -> Tensor:
    """Factors of dropout: 0 with probability `p`, else 1/(1-p).

    They are drawn on the CPU, so that they are the same for every device.

    Args:
        generator: None: torch's default generator.
    """
    return (torch.rand(shape, generator=generator) >= p).float() / (1 - p)


def padded_by_user(flat: Tensor, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Frames [N, D] of users with `counts` frames each → [len(counts), max(counts), D], and bool: which are frames."""
    present = torch.arange(max(counts), device=flat.device) < torch.tensor(counts, device=flat.device)[:, None]
    return flat.new_zeros(*present.shape, flat.shape[1]).masked_scatter(present.unsqueeze(2), flat), present


ALIGNMENT = 64
"""Bytes; where torch begins a tensor of its own on a CPU."""


class Adapter(nn.Module, ABC):
    """An adapter at one place of a base: frames in, frames of the same width out.

    A fresh adapter changes nothing, bit for bit. It works frame by frame, so that padding changes nothing, and holds
    parameters only, no buffers, so that the adapters of several users can be stacked.

    Attributes:
        config: its settings, but for `after_layer`, which has no meaning here.
        scale_widths: widths of the random factors of training (dropout), in the order in which they are drawn. A
            factor is drawn per utterance and channel and is the same for all frames: so it does not depend on how far a
            batch is padded, and a user trained alone and one trained in a stack get the same factors (Gal and
            Ghahramani, 2016, use it for recurrent networks).
    """

    config: AdapterConfig
    scale_widths: Sequence[int] = ()

    @classmethod
    @abstractmethod
    def from_config(cls, input_dim: int, config: AdapterConfig) -> Self:
        """A fresh adapter for encodings of width `input_dim`."""

    @abstractmethod
    def adapt(self, encodings: Tensor, scales: Sequence[Tensor]) -> Tensor:
        """[…, D] → […, D]; `scales` are factors for each of `scale_widths`, or none."""

    def forward(self, encodings: Tensor, scales: Sequence[Tensor] | None = None) -> Tensor:
        """[…, D] → […, D].

        Args:
            scales: as for `adapt`; None: in training they are drawn from torch's generator for rows [B, T, D].
        """
        if scales is None:
            scales = self._draws(encodings) if self.training and self.config.dropout else ()
        return self.adapt(encodings, scales)

    def _draws(self, encodings: Tensor) -> list[Tensor]:
        rows, p = encodings.shape[0], self.config.dropout
        return [dropout_scale((rows, 1, width), p).to(encodings.device) for width in self.scale_widths]

    def stacked(
        self,
        weights: Mapping[str, Tensor],
        frames: Tensor,
        users: Sequence[int],
        counts: Sequence[int],
        scales: Sequence[Tensor],
        at_once: bool,
    ) -> Tensor:
        """Each user's frames through the user's own adapter of this kind and shape.

        This method serves every kind; a kind whose products can be arranged better for many users overrides it.

        Args:
            weights: the users' parameters by name, [U, P].
            frames: [N, D], the frames of `users[0]`, then of `users[1]`, …; they need no gradient.
            counts: number of frames of each of `users`.
            scales: the factors of each of `scale_widths`, [N, width]; empty: none.
            at_once: whether one operation serves all users, which is faster on GPUs, or one each.

        Returns:
            [N, D].
        """
        if at_once:
            rows = torch.tensor(users, device=frames.device)
            padded, present = padded_by_user(frames, counts)
            padded_scales = [padded_by_user(scale, counts)[0] for scale in scales]
            own = {name: stack[rows] for name, stack in weights.items()}
            adapted: Tensor = torch.vmap(lambda w, x, s: functional_call(self, w, (x, s)))(own, padded, padded_scales)
            return adapted[present]
        # unbound once, since each indexing of a stack would cost a gradient of the stack's size
        each = {name: stack.unbind() for name, stack in weights.items()}
        outputs = []
        for user, x, own_scales in zip(users, frames.split(list(counts)), _by_user(scales, counts), strict=True):
            own = {name: aligned(stack[user]) for name, stack in each.items()}
            outputs.append(with_aligned_gradient(functional_call(self, own, (aligned(x), own_scales))))
        return torch.cat(outputs)


def aligned(part: Tensor) -> Tensor:
    """The part of a larger tensor, copied where it does not begin at a multiple of `ALIGNMENT`.

    MKL rounds a product otherwise where its factors begin elsewhere, and where a user's part begins depends on the
    users before it.
    """
    return part if part.data_ptr() % ALIGNMENT == 0 else part.clone()


def with_aligned_gradient(output: Tensor) -> Tensor:
    """The same tensor, whose gradient is `aligned` before it is passed on."""
    if output.requires_grad:
        output.register_hook(aligned)
    return output


def _by_user(scales: Sequence[Tensor], counts: Sequence[int]) -> list[list[Tensor]]:
    """The factors of each user's frames."""
    pieces = [scale.split(list(counts)) for scale in scales]
    return [[aligned(piece[place]) for piece in pieces] for place in range(len(counts))]
