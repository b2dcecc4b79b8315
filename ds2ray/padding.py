"""Rows of different lengths in one tensor: where each has frames, and where it is padding."""

import torch
from torch import Tensor


def frame_mask(lengths: Tensor, num_frames: int) -> Tensor:
    """bool [B, num_frames]: true where a row has a frame. `lengths` is int64 [B]."""
    return torch.arange(num_frames, device=lengths.device) < lengths[:, None]
