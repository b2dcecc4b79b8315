"""A GPU that is not there, as far as its memory goes."""

from dataclasses import dataclass

import pytest
import torch

GB = 1e9


@dataclass
class ToyGpu:
    """The figures of torch.cuda for memory, in bytes: of the GPU all and free, then of this process."""

    total: float = 80 * GB
    free: float = 80 * GB
    fraction: float = 1.0
    reserved: float = 0.0
    allocated: float = 0.0

    def put_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answers = {
            "mem_get_info": lambda: (int(self.free), int(self.total)),
            "memory_reserved": lambda: int(self.reserved),
            "memory_allocated": lambda: int(self.allocated),
            "get_per_process_memory_fraction": lambda: self.fraction,
        }
        for name, answer in answers.items():
            # some of these refuse a device without its number
            monkeypatch.setattr(torch.cuda, name, lambda index, answer=answer: answer() if index == 3 else None)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
