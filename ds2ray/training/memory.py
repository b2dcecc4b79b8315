"""How much of a GPU's memory a process may still take: trials share a GPU, each with a fraction of its own."""

import torch


def memory_left(device: torch.device) -> float:
    """Bytes that this process can still put on a GPU."""
    index = torch.cuda.current_device() if device.index is None else device.index
    free, total = torch.cuda.mem_get_info(index)
    reserved = torch.cuda.memory_reserved(index)
    allowed = torch.cuda.get_per_process_memory_fraction(index) * total
    # torch keeps what tensors have left, and uses it again: between two cohorts that is most of its share
    unused = reserved - torch.cuda.memory_allocated(index)
    return unused + max(0.0, min(free, allowed - reserved))
