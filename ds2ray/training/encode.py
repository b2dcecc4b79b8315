"""Encoding speech once with the frozen trunk, in large batches of like length across all users.

Shapes: T encoding frames of an utterance, D width of the encodings.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ds2ray.config import LAST_LAYER
from ds2ray.data.audio import read_waveform
from ds2ray.data.batches import batches_by_seconds, prefetched
from ds2ray.data.features import LogMel
from ds2ray.data.manifest import Utterance
from ds2ray.errors import InputError
from ds2ray.model.weights import Base

READ_THREADS = 4
"""Audio files read at a time: reading waits for storage more than it computes."""


@dataclass(frozen=True)
class Encoded:
    """Encodings in the order of the utterances: float32 [T, D] in host memory, or why there are none."""

    encodings: list[Tensor | None]
    problems: dict[int, str]


def encode_utterances(
    base: Base,
    utterances: Sequence[Utterance],
    *,
    after_layer: int = LAST_LAYER,
    max_padded_s: float,
    device: torch.device | str = "cpu",
) -> Encoded:
    """Read and encode utterances. One that cannot be read or has no finite encoding is a problem, not an error.

    Args:
        max_padded_s: seconds of padded audio per call of the trunk.
    """
    log_mel = LogMel(base.audio).to(device)
    encodings: list[Tensor | None] = [None] * len(utterances)
    problems: dict[int, str] = {}
    base.model.to(device).eval()

    def read(index: int) -> np.ndarray | str:
        try:
            return read_waveform(utterances[index].audio, base.audio.sample_rate_hz)
        except FileNotFoundError:
            return "there is no such file"
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor(READ_THREADS) as readers:

        def load(indices: list[int]) -> tuple[list[int], list[np.ndarray | str]]:
            return indices, list(readers.map(read, indices))

        batches = batches_by_seconds([utterance.duration_s or 0.0 for utterance in utterances], max_padded_s)
        for indices, loaded in prefetched(batches, load):
            problems.update({i: result for i, result in zip(indices, loaded, strict=True) if isinstance(result, str)})
            kept = [(i, result) for i, result in zip(indices, loaded, strict=True) if not isinstance(result, str)]
            if not kept:
                continue
            waveforms = [torch.from_numpy(np.ascontiguousarray(waveform)) for _, waveform in kept]
            rows = encode_waveforms(base, log_mel, waveforms, after_layer, device)
            for (index, _), row in zip(kept, rows, strict=True):
                if row.isfinite().all():
                    encodings[index] = row
                else:
                    problems[index] = "its encoding is not finite"
    return Encoded(encodings, problems)


@torch.no_grad()
def encode_waveforms(
    base: Base, log_mel: LogMel, waveforms: Sequence[Tensor], after_layer: int, device: torch.device | str
) -> list[Tensor]:
    """Waveforms float32 [S] → encodings [T, D] in host memory, in one call of the trunk.

    Where the device has too little memory the batch is halved, down to one utterance.
    """
    try:
        num_samples = torch.tensor([len(waveform) for waveform in waveforms], device=device)
        padded = torch.nn.utils.rnn.pad_sequence(list(waveforms), batch_first=True).to(device)
        features, feature_lengths = log_mel(padded, num_samples)
        encodings, lengths = base.model.trunk(features, feature_lengths, after_layer)
        # each row is copied out, so that the padded batch can be freed
        return [row[:length].cpu().clone() for row, length in zip(encodings, lengths.tolist(), strict=True)]
    except torch.cuda.OutOfMemoryError:
        if len(waveforms) == 1:
            raise
    half = len(waveforms) // 2
    first = encode_waveforms(base, log_mel, waveforms[:half], after_layer, device)
    return first + encode_waveforms(base, log_mel, waveforms[half:], after_layer, device)
