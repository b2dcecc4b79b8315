"""Speech for training: decoded by threads, one batch ahead, and never missing where a rank needs some."""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ds2ray import storage
from ds2ray.batching.batches import Batch, Example, SpeechDataset, collate, prefetched
from ds2ray.batching.epoch_plan import Course
from ds2ray.errors import InputError
from ds2ray.packs.references import read_ahead
from ds2ray.store.keys import private
from ds2ray.tables.problems import named
from ds2ray.training.base.reports import StepSums

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedBatch:
    """A batch of one rank.

    Attributes:
        step: of the epoch's plan.
        last: whether it is the step's last.
        weight: 0 where the batch only stands in for utterances that are missing or cannot be decoded, else 1.
        unreadable: utterances that cannot be decoded.
        wait_s: seconds that the caller waited for it.
    """

    batch: Batch
    step: int
    last: bool
    weight: float
    unreadable: int
    wait_s: float = 0.0

    def sums(self) -> StepSums:
        """The batch's part of the step's sums, without the loss, which is not known here."""
        if not self.weight:
            return StepSums(unreadable=self.unreadable, wait_s=self.wait_s)
        return StepSums(
            utterances=len(self.batch),
            samples=int(self.batch.num_samples.sum()),
            padded_samples=self.batch.waveforms.numel(),
            unreadable=self.unreadable,
            wait_s=self.wait_s,
        )


class Loader:
    """Decodes the utterances of a data set, with threads that end with the context."""

    def __init__(self, dataset: SpeechDataset, num_threads: int) -> None:
        self.dataset = dataset
        self.pool = ThreadPoolExecutor(num_threads)
        self.reader = ThreadPoolExecutor(max_workers=1)  # of the next window

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *error: object) -> None:
        for pool in (self.reader, self.pool):
            pool.shutdown(cancel_futures=True)

    def rest_of_epoch(self, course: Course, rank: int) -> Iterator[LoadedBatch]:
        """The batches of this rank in the rest of an epoch, each loaded while the one before is computed on.

        Raises:
            InputError: there is not one utterance that can be decoded.
        """

        def own_batches() -> Iterator[tuple[int, list[int], bool, int]]:
            near = 0  # an utterance whose row group is at hand, for ranks that have none in a round
            for step in range(course.first_step, len(course.plan)):
                ahead = course.plan.windows_from(step, rank)
                self.read_ahead(ahead)
                near = int(ahead[0]) if len(ahead) else near
                batches = course.plan.batches(step, rank)
                for number, indices in enumerate(batches):
                    yield step, indices, number + 1 == len(batches), indices[-1] + 1 if indices else near
                    near = indices[0] if indices else near

        def load(place: tuple[int, list[int], bool, int]) -> LoadedBatch:
            step, indices, last, near = place
            batch, unreadable = self.decode(indices)
            if batch is None:
                batch, weight = self._stand_in(near), 0.0
            else:
                weight = 1.0
            return LoadedBatch(batch, step, last, weight, unreadable)

        asked_s = time.perf_counter()
        for loaded in prefetched(own_batches(), load):
            yield replace(loaded, wait_s=time.perf_counter() - asked_s)
            asked_s = time.perf_counter()

    def read_ahead(self, indices: Iterable[int]) -> None:
        """Begin to fetch the shards' row groups of some utterances, those of the window under way before the next's.

        The row groups of the window under way are in the cache already; asking for them again marks them as used just
        now, so that the next window's row groups replace older ones.
        """
        audio = [self.dataset.utterances[index].audio for index in indices]
        if audio:
            # what fails here fails again, and is told, where it is needed
            self.reader.submit(read_ahead, audio)

    def decode(self, indices: Sequence[int]) -> tuple[Batch | None, int]:
        """The utterances that can be decoded as a batch (None: there are none), and how many cannot."""
        decoded = list(self.pool.map(self._decode_one, indices))
        examples = [example for example in decoded if example is not None]
        return (collate(examples) if examples else None), len(decoded) - len(examples)

    def _decode_one(self, index: int) -> Example | None:
        audio = self.dataset.utterances[index].audio
        found = storage.asked(audio if isinstance(audio, str) else "", lambda: self.dataset[index])
        if isinstance(found, Example):
            return found
        left_out = self.dataset.utterances[index]
        log.warning("left out: %s: %s", named(left_out.utterance_id, left_out.line), private(found.reason))
        return None

    def _stand_in(self, index: int) -> Batch:
        """This utterance or the next that can be decoded: a rank needs something to do in every step."""
        total = len(self.dataset)
        for offset in range(total):
            batch, _ = self.decode([(index + offset) % total])
            if batch is not None:
                return batch
        raise InputError(f"none of the {total} training utterances can be decoded; the reasons are in the log")
