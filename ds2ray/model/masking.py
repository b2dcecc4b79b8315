"""Normalisation that padding does not change."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class MaskedBatchNorm(nn.Module):
    """Batch normalisation whose statistics leave padding out and are summed over all ranks.

    The input must be zero in padding; the output is zeroed there.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_channels: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.register_buffer("running_mean", torch.zeros(num_channels))
        self.register_buffer("running_var", torch.ones(num_channels))

    def forward(self, x: Tensor, mask: Tensor, channel_dim: int) -> Tensor:
        """`x` of any shape with the channels at `channel_dim`; `mask` broadcasts against it."""
        mean, var = self._batch_statistics(x, mask, channel_dim) if self.training else self._running_statistics()
        scale = self.weight * torch.rsqrt(var + self.eps)
        shift = self.bias - mean * scale
        shape = [1] * x.dim()
        shape[channel_dim] = -1
        return (x * scale.view(shape) + shift.view(shape)) * mask

    def _running_statistics(self) -> tuple[Tensor, Tensor]:
        return self.running_mean, self.running_var

    def _batch_statistics(self, x: Tensor, mask: Tensor, channel_dim: int) -> tuple[Tensor, Tensor]:
        others = [dim for dim in range(x.dim()) if dim != channel_dim]
        x = x.float()  # the eight bits of a bfloat16 are too few to count frames and for variances
        per_channel = mask.float().sum() * (x.numel() / x.shape[channel_dim] / mask.numel())
        sums = torch.stack([x.sum(others), x.square().sum(others), per_channel.expand(x.shape[channel_dim])])
        if dist.is_initialized() and dist.get_world_size() > 1:
            sums = all_reduce(sums)
        mean = sums[0] / sums[2]
        var = (sums[1] / sums[2] - mean.square()).clamp(min=0)
        with torch.no_grad():
            count = sums[2]
            unbiased = var * (count / (count - 1).clamp(min=1))
            # the trainer skips the step of a batch that is not finite: its statistics are left out, too
            finite = sums.isfinite().all()
            self.running_mean.copy_(torch.where(finite, self.running_mean.lerp(mean, self.momentum), self.running_mean))
            self.running_var.copy_(
                torch.where(finite, self.running_var.lerp(unbiased, self.momentum), self.running_var)
            )
        return mean, var
