"""A base and one adapter as one file, which runs with torch alone.

Shapes: B utterances, S samples, T encoding frames, V size of the vocabulary with the blank.
"""

import io
import json
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from ds2ray.errors import InputError
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.stored import open_adapter
from ds2ray.model.weights import Base
from ds2ray.sound.features import LogMel
from ds2ray.store import Store, stored_key

DESCRIPTION = "ds2ray.json"
"""The name of the description within the file."""

_SHOWN_S = (1.0, 0.75)  # seconds of the noise that the program is traced with: no length of it is kept


class _Recogniser(nn.Module):
    """Waveforms float32 [B, S] and their lengths int64 [B] → log-probabilities [B, T, V] and their lengths."""

    def __init__(self, model: AcousticModel) -> None:
        super().__init__()
        self.log_mel, self.model = LogMel(model.shape.audio), model

    def forward(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        features, lengths = self.log_mel(waveforms, num_samples)
        log_probs, lengths = self.model(features, lengths)
        return log_probs, lengths


def exported(store: Store, base: Base, user: str = "") -> bytes:
    """A base with the user's adapter as a `.pt2` file of `torch.export`, for any number of utterances of any lengths.

    The program takes waveforms float32 [B, S], zero after each row's end, and their lengths int64 [B], and returns
    log-probabilities [B, T, V] for CTC and their lengths int64 [B]. `ds2ray.json` in the file describes it.

    Args:
        base: on the CPU; it keeps the adapter.
        user: whose adapter becomes a part of it; empty: the base alone.

    Raises:
        InputError: the user has no adapter, or one of another base.
        ArtifactCorruptError: the adapter is damaged.
    """
    version = _put_in_adapter(store, base, user) if user else ""
    recogniser = _Recogniser(base.model).eval().requires_grad_(False)
    rate_hz = base.audio.sample_rate_hz
    num_samples = torch.tensor([round(seconds * rate_hz) for seconds in _SHOWN_S])
    noise = torch.randn(len(_SHOWN_S), int(num_samples.max()), generator=torch.Generator().manual_seed(0)) * 0.1
    shapes = ({0: Dim.DYNAMIC, 1: Dim.DYNAMIC}, {0: Dim.DYNAMIC})
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", category=UserWarning, module="torch|contextlib")  # of torch to itself
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        program = torch.export.export(recogniser, (noise, num_samples), dynamic_shapes=shapes)
        torch.export.save(program, buffer, extra_files={DESCRIPTION: json.dumps(_described(base, user, version))})
    return buffer.getvalue()


def _put_in_adapter(store: Store, base: Base, user: str) -> str:
    """The version of the user's adapter, which becomes the model's."""
    found = open_adapter(store, stored_key(store, user), base)
    if found is None:
        raise InputError(f"user {user} has no adapter; adapt the user, or leave user out to export the base alone")
    pointer, adapter = found
    base.model.adapter_layer = base.model.layer_index(pointer.adapter["after_layer"])
    base.model.adapter = adapter
    return pointer.version


def _described(base: Base, user: str, version: str) -> dict[str, Any]:
    return {
        "base_id": base.base_id,
        "base_fingerprint": base.fingerprint,
        "user": user,
        "adapter": version,
        "sample_rate_hz": base.audio.sample_rate_hz,
        "frame_s": base.model.shape.frame_s,
        "vocabulary": base.vocabulary.to_json(),
    }
