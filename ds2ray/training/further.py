"""Further recordings for adaptation: a user's utterances as other recordings would have them, two said in one breath
and clipped ones among them.

They are made of audio and not of encodings: those of utterances laid end to end lack what the base's convolutions hear
across the seam.

Shapes: S samples of a recording, L tokens of its transcript.
"""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ds2ray.config import AugmentConfig
from ds2ray.sound.audio import read_waveform
from ds2ray.tables.manifest import Utterance
from ds2ray.training.base.augmenting import LONGEST_JOINED_S, LONGEST_PAUSE_S
from ds2ray.training.hold_out import drawn_order
from ds2ray.training.seeds import derive_seed

JOINED = 2
"""Utterances of a further recording, where there are as many and they are not too long together."""

CLIP_DB = tuple(AugmentConfig().clip_db)
"""Least and most by which a recording is clipped below its peak: as in the training of a base."""


@dataclass(frozen=True)
class FurtherRecording:
    """A recording made of utterances.

    Attributes:
        rows: indices of the utterances, in the order in which they are said.
        pause_s: digital silence between two of them.
        clip_db: so far below its peak it is clipped; 0: it is not.
    """

    rows: Sequence[int]
    pause_s: float
    clip_db: float

    def waveform(self, spoken: Sequence[np.ndarray], sample_rate_hz: int) -> np.ndarray:
        """The recording, float32 [S], of the waveforms of its utterances."""
        pause = np.zeros(round(self.pause_s * sample_rate_hz), dtype=np.float32)
        parts = [part for waveform in spoken for part in (pause, waveform)][1:]
        waveform = np.concatenate(parts).astype(np.float32, copy=False)
        if not self.clip_db or not len(waveform):
            return waveform
        limit = float(np.abs(waveform).max()) * 10 ** (-self.clip_db / 20)
        return np.clip(waveform, -limit, limit)

    def tokens(self, spoken: Sequence[Tensor], space: int) -> Tensor:
        """The tokens of the recording, int64 [L], of those of its utterances.

        Args:
            space: the token between two transcripts; 0: the vocabulary has none.
        """
        between = torch.tensor([space] if space else [], dtype=torch.int64)
        return torch.cat([part for ids in spoken for part in (between, ids)][1:])


@dataclass(frozen=True)
class MadeOf:
    """A further recording, and the utterances that its audio is read from.

    Attributes:
        duration_s: seconds of audio.
    """

    recording: FurtherRecording
    utterances: Sequence[Utterance]
    duration_s: float

    def read(self, sample_rate_hz: int, max_duration_s: float) -> np.ndarray:
        """The waveform, float32 [S]. Raises what `read_waveform` does for any of the utterances."""
        spoken = [read_waveform(utterance.audio, sample_rate_hz, max_duration_s) for utterance in self.utterances]
        return self.recording.waveform(spoken, sample_rate_hz)


def further_recordings(
    utterance_ids: Sequence[str], durations_s: Sequence[float], groups: Sequence[Sequence[int]], seed: int
) -> list[FurtherRecording]:
    """Each utterance of the groups twice more, run together in pairs within its group, in one of the two clipped.

    An utterance that is left over, or too long for a pair, is clipped by itself. Half of the pairs have no pause. The
    utterances and the seed alone decide on all of it, not the order of rows.

    Args:
        durations_s: of the utterances.
        groups: indices of utterances, each in one group at most; no recording is made of two groups' utterances.
        seed: of the user.
    """
    places = [_places(utterance_ids, derive_seed(seed, *name)) for name in (["further"], ["further", "again"])]
    ordered = [sorted(group, key=places[0].__getitem__) for group in groups if group]
    recordings: list[FurtherRecording] = []

    def make(rows: Sequence[int], clips: bool) -> None:
        draws = random.Random(derive_seed(seed, "further", *(utterance_ids[row] for row in rows)))
        pause_s, clip_db = LONGEST_PAUSE_S * max(0.0, draws.uniform(-1, 1)), draws.uniform(*CLIP_DB)
        recordings.append(FurtherRecording(rows, pause_s, clip_db if clips else 0.0))

    is_clipped = itertools.cycle([False, True])
    for group in sorted(ordered, key=lambda group: places[0][group[0]]):
        heard: dict[bool, list[int]] = {False: [], True: []}
        for rows in _pairs(group, durations_s):
            clips = len(rows) < JOINED or next(is_clipped)
            heard[clips] += rows
            make(rows, clips)
        for clipped, own in heard.items():
            for rows in _pairs(sorted(own, key=places[1].__getitem__), durations_s):
                make(rows, len(rows) < JOINED or not clipped)
    return recordings


def _places(utterance_ids: Sequence[str], seed: int) -> dict[int, int]:
    """The place of each utterance in an order that the seed draws."""
    return {row: number for number, row in enumerate(drawn_order(utterance_ids, seed))}


def _pairs(rows: Sequence[int], durations_s: Sequence[float]) -> list[list[int]]:
    """Rows two by two, or alone where two would be too long."""
    pairs: list[list[int]] = []
    for row in rows:
        with_last = pairs and len(pairs[-1]) < JOINED
        if with_last and durations_s[pairs[-1][0]] + durations_s[row] + LONGEST_PAUSE_S <= LONGEST_JOINED_S:
            pairs[-1].append(row)
        else:
            pairs.append([row])
    return pairs
