"""The ranks of a torch process group, and exchanges between them; without a group there is one rank."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ds2ray.errors import Ds2RayError

T = TypeVar("T")


def rank_and_world_size() -> tuple[int, int]:
    """The rank of this process, and the number of ranks."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def summed(values: Sequence[float], device: torch.device) -> list[float]:
    """Each value summed over all ranks."""
    if rank_and_world_size()[1] == 1:
        return list(values)
    tensor = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(tensor)
    return cast(list[float], tensor.tolist())


def from_rank_zero(make: Callable[[], T], device: torch.device) -> T:
    """The result of `make` on rank 0, returned on every rank; a Ds2RayError that it raises is raised on every rank."""
    rank, world_size = rank_and_world_size()
    if world_size == 1:
        return make()
    result: list[Any] = [None, None]
    if rank == 0:
        try:
            result[0] = make()
        except Ds2RayError as error:
            result[1] = error
    dist.broadcast_object_list(result, src=0, device=device)
    if result[1] is not None:
        raise cast(Ds2RayError, result[1])
    return cast(T, result[0])


def data_parallel(model: nn.Module) -> nn.Module:
    """The model, with gradients averaged over ranks where there are several."""
    if rank_and_world_size()[1] == 1:
        return model
    # statistics are already equal on all ranks (MaskedBatchNorm sums over them), so buffers need no broadcast
    return DistributedDataParallel(model, broadcast_buffers=False, gradient_as_bucket_view=True)
