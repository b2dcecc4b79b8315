"""The time of a cohort, by stage."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class StageClock:
    """Sums seconds by stage: `read` (waiting for audio), `mel`, `encode`, `train`, `gate`.

    Args:
        device: a GPU works on while the host goes on; with one, every stage waits for it, so that each is charged
            the time that it caused. That costs some overlap, so it is for measuring.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Charge the time spent inside the context to `stage`."""
        started_s = time.perf_counter()
        try:
            yield
        finally:
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            self.seconds[stage] += time.perf_counter() - started_s
