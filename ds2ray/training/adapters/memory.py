"""How much of a GPU's memory a process may still take, and how much audio a call of the trunk has room for in it.

Trials share a GPU, each with a fraction of its own.
"""

import torch

from ds2ray.shapes.shape import Shape

CPU_BATCH_S = 60.0
"""Seconds of audio per call of the trunk on a CPU: more at a time is no faster there."""

MAX_BATCH_S = 3600.0
"""Seconds of audio per call on a GPU: a recurrence has rows enough by then, and reading has to come first."""

TRUNK_SHARE = 0.25
"""Share of the GPU memory left to this process that a call of the trunk may take, beside the encodings."""

TYPICAL_ROW_S = 15.0
"""Seconds of a row where it is not known how long they are: it matters where a model compares each frame with all."""

SAFETY = 2.0
"""Memory in use per byte counted: workspaces of cuDNN, bfloat16 copies and gaps between blocks are not counted."""


def memory_left(device: torch.device) -> float:
    """Bytes that this process can still put on a GPU."""
    index = torch.cuda.current_device() if device.index is None else device.index
    free, total = torch.cuda.mem_get_info(index)
    reserved = torch.cuda.memory_reserved(index)
    allowed = torch.cuda.get_per_process_memory_fraction(index) * total
    # torch keeps the memory of freed tensors for new ones: between two cohorts that is most of this process's share
    unused = reserved - torch.cuda.memory_allocated(index)
    return unused + max(0.0, min(free, allowed - reserved))


def auto_batch_s(shape: Shape, after_layer: int, device: torch.device, row_s: float = TYPICAL_ROW_S) -> float:
    """Seconds of padded audio for a call of the trunk, in rows of `row_s` seconds.

    A GPU spends about as long on a few rows as on hundreds, so there it gets what memory allows.
    """
    if device.type != "cuda":
        return CPU_BATCH_S
    seconds = TRUNK_SHARE * memory_left(device) / (SAFETY * shape.batch_bytes(1, row_s, after_layer) / row_s)
    return min(MAX_BATCH_S, max(CPU_BATCH_S, seconds))
