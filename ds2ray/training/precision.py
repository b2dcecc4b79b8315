"""bfloat16 where it pays: in the frozen trunk and in the adapters' products. Norms, losses and updates stay float32."""

import copy
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ds2ray.config import Precision
from ds2ray.model.acoustic import AcousticModel


def uses_bfloat16(precision: Precision, device: torch.device | str) -> bool:
    """Whether products on this device are to be in bfloat16."""
    if precision is Precision.auto:
        return torch.device(device).type == "cuda"
    return precision is Precision.bfloat16


def products_in(precision: Precision, device: torch.device | str) -> AbstractContextManager[Any]:
    """A context in which linear layers compute as `precision` says."""
    if uses_bfloat16(precision, device):
        return torch.autocast(torch.device(device).type, torch.bfloat16)
    return nullcontext()


def bfloat16_trunk(model: AcousticModel) -> AcousticModel:
    """A copy of a frozen model whose modules compute in bfloat16 where the model allows it (`in_bfloat16`), such as
    DeepSpeech2's convolutions and recurrences.

    Autocast would not do: it casts the weights of a recurrence again at every frame.
    """
    half = copy.deepcopy(model)
    for module in half.modules():
        if half.in_bfloat16(module):
            module.bfloat16()
            module.register_forward_pre_hook(_to_bfloat16)
            module.register_forward_hook(_to_float32)
    return half


def _to_bfloat16(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(x.bfloat16() for x in inputs)


def _to_float32(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> Any:
    """The output in float32; of a recurrence's pair of outputs and states only the outputs, as states are not used."""
    return output.float() if isinstance(output, Tensor) else (output[0].float(), None)
