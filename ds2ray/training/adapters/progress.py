"""The progress of a cohort, and the time that its stages take."""

import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar, cast

import torch

T = TypeVar("T")
Event = TypeVar("Event")

ENCODING_SHARE = 0.1
"""Share of a cohort's work; less where adapters sit before the first layer, more after the last one."""


class Stage(Enum):
    """The stage of a cohort's trial."""

    starting = "starting workers"
    reading = "reading audio"
    encoding = "encoding"
    training = "training"


@dataclass(frozen=True)
class CohortProgress:
    """How far a cohort is.

    Attributes:
        stage: of the cohort's trial.
        encoded: utterances that the trunk has seen, or that cannot be used.
        share: of the cohort's work that is done, 0 to 1: a guess, in which encoding is ENCODING_SHARE.
    """

    stage: Stage
    encoded: int
    share: float

    @property
    def prepared(self) -> float:
        """The share of the cohort's speech that is encoded, 0 to 1."""
        return min(1.0, self.share / ENCODING_SHARE)

    @property
    def trained(self) -> float:
        """The share of the cohort's training that is done, 0 to 1."""
        return max(0.0, (self.share - ENCODING_SHARE) / (1 - ENCODING_SHARE))


def told(steps: Generator[int, None, T], told: Callable[[int], Event]) -> Generator[Event, None, T]:
    """The return value of a generator; yields what each value that it yields is told as."""
    while True:
        try:
            done = next(steps)
        except StopIteration as end:
            return cast(T, end.value)
        yield told(done)


def encoding_progress(done: int, num_utterances: int) -> CohortProgress:
    return CohortProgress(Stage.encoding, done, ENCODING_SHARE * min(1.0, done / max(1, num_utterances)))


def training_progress(trained: float, num_utterances: int) -> CohortProgress:
    """The progress of a cohort that has this share of its training done."""
    return CohortProgress(Stage.training, num_utterances, ENCODING_SHARE + (1 - ENCODING_SHARE) * trained)


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
