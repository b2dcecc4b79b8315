"""Adapters of different users in one batch: each row through its own.

Shapes: B rows, T encoding frames, D width of the encodings, U users, P the shape of any parameter.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ds2ray.model.adapters.adapter import Adapter

KEPT_STACKS = 4
"""Stacks of users that are kept for batches of the same users: of 32 default adapters each takes 42 MB."""


@dataclass(frozen=True)
class RowAdapter:
    """An adapter, its place in the base, and the rows of the batch that pass it, int64 [rows]."""

    adapter: Adapter
    after_layer: int
    rows: Tensor


@dataclass
class RowAdapters:
    """The adapters of a batch at one place of the base, applied to it.

    Attributes:
        at_once: whether adapters of one kind and shape are stacked, so that one operation serves all rows, which is
            faster on GPUs, or each adapter has an operation of its own; None: as the device of the batch is.
    """

    at_once: bool | None = None
    _stacks: OrderedDict[tuple[int, ...], "_Stack"] = field(default_factory=OrderedDict)

    def __call__(self, encodings: Tensor, adapters: Sequence[RowAdapter]) -> Tensor:
        """Encodings [B, T, D] with the rows of each adapter through it, and all others as they are: [B, T, D]."""
        if not adapters:
            return encodings
        at_once = encodings.device.type == "cuda" if self.at_once is None else self.at_once
        adapted = encodings.clone()
        for alike in _by_shape(adapters):
            if at_once and len(alike) > 1:
                rows = torch.cat([one.rows for one in alike])
                adapted.index_copy_(0, rows, self._stacked(encodings[rows], alike))
            else:
                for one in alike:
                    adapted.index_copy_(0, one.rows, one.adapter(encodings[one.rows]))
        return adapted

    def _stacked(self, encodings: Tensor, alike: Sequence[RowAdapter]) -> Tensor:
        """The rows of the adapters, one adapter's after another's, through them: [rows, T, D]."""
        rows, frames, width = encodings.shape
        # each row is a user of its own, so that nothing is padded to the user who has the most rows
        users = [user for user, one in enumerate(alike) for _ in range(len(one.rows))]
        weights = self._stack([one.adapter for one in alike]).weights
        flat = encodings.reshape(rows * frames, width)
        adapted = alike[0].adapter.stacked(weights, flat, users, [frames] * rows, (), at_once=True)
        return adapted.view(rows, frames, width)

    def _stack(self, adapters: Sequence[Adapter]) -> "_Stack":
        """The stack of these adapters: one that is kept, or a new one."""
        key = tuple(map(id, adapters))  # a kept stack holds its adapters, so that no other one gets their ids
        if key not in self._stacks:
            self._stacks[key] = _Stack.of(adapters)
        self._stacks.move_to_end(key)
        while len(self._stacks) > KEPT_STACKS:
            self._stacks.popitem(last=False)
        return self._stacks[key]


@dataclass(frozen=True)
class _Stack:
    """Adapters of one kind and shape, and their parameters by name, [U, P]."""

    adapters: Sequence[Adapter]
    weights: dict[str, Tensor]

    @classmethod
    def of(cls, adapters: Sequence[Adapter]) -> "_Stack":
        states = [adapter.state_dict() for adapter in adapters]
        return cls(adapters, {name: torch.stack([state[name] for state in states]) for name in states[0]})


def _by_shape(adapters: Sequence[RowAdapter]) -> list[list[RowAdapter]]:
    """The adapters in groups of one kind and shape."""
    groups: defaultdict[str, list[RowAdapter]] = defaultdict(list)
    for one in adapters:
        groups[repr(one.adapter.config)].append(one)
    return list(groups.values())
