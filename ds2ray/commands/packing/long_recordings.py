"""The cutting of long recordings while they are packed, by the base that `prepare.base` names."""

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from ds2ray.config import PrepareJob
from ds2ray.errors import InputError, StorageError
from ds2ray.store import Store
from ds2ray.tables.manifest import Utterance
from ds2ray.tables.problems import Problem

if TYPE_CHECKING:
    from ds2ray.model.weights import Base


class LongRecordings:
    """Cuts recordings one at a time, whichever thread asks, as the base keeps all CPUs busy; counts what it did.

    Args:
        max_duration_s: longer recordings are cut, into segments that are no longer.
    """

    def __init__(self, base: "Base", max_duration_s: float) -> None:
        base.model.eval()
        self.base, self.max_duration_s = base, max_duration_s
        self.num_cut = self.num_segments = self.num_left_out = 0
        self._one_at_a_time = threading.Lock()

    def cut(self, utterance: Utterance, manifest_uri: str) -> list[Utterance] | Problem | None:
        """The segments of a long recording, or why there are none; None for one that is not long."""
        from ds2ray.training.long_recordings import cut_recording, is_long, problem_of  # imports torch

        # tables may be wrong about durations, and what is packed is measured
        if not is_long(replace(utterance, duration_s=None), self.max_duration_s):
            return None
        with self._one_at_a_time:
            try:
                found = cut_recording(utterance, self.base, self.max_duration_s)
            except (InputError, FileNotFoundError, StorageError) as error:
                return problem_of(utterance, manifest_uri, error)
            self.num_cut += 1
            self.num_segments += len(found.utterances)
            self.num_left_out += found.num_left_out
        return found.utterances

    def summary(self) -> str:
        """What was cut, as a line."""
        text = f"  long recordings: {self.num_cut} cut into {self.num_segments} utterances"
        return f"{text}; {self.num_left_out} segments left out, whose words are not credible"


def open_long_recordings(job: PrepareJob) -> LongRecordings | None:
    """None where long recordings are refused: without `data.segment_long`, or without a base.

    Raises:
        InputError: there is no such base.
    """
    if not job.data.segment_long or not job.prepare.base:
        return None
    from ds2ray.model.stored import open_base  # imports torch

    return LongRecordings(open_base(Store.of(job.storage), job.prepare.base), job.data.max_duration_s)
