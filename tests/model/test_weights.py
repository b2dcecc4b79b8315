"""Fingerprints and strict loading."""

import pytest
import torch
from tiny_base import AUDIO, VOCABULARY, make_base

from ds2ray.config import AudioConfig, TextConfig
from ds2ray.errors import ArtifactCorruptError
from ds2ray.model.adapter import MLPAdapter
from ds2ray.model.weights import base_fingerprint, from_bytes, load_strictly, to_bytes, weights_fingerprint
from ds2ray.text import Vocabulary


def test_the_fingerprint_names_everything_that_matters() -> None:
    state = {"a": torch.zeros(2, 3), "b": torch.ones(4, dtype=torch.int64)}
    same = weights_fingerprint(dict(reversed(state.items())))
    assert weights_fingerprint(state) == same
    others = [
        {**state, "a": torch.zeros(3, 2)},
        {**state, "a": torch.zeros(2, 3, dtype=torch.float64)},
        {**state, "a": torch.full((2, 3), 1e-30)},
        {"c": state["a"], "b": state["b"]},
    ]
    base = [base_fingerprint(state, AUDIO, VOCABULARY)]
    base.append(base_fingerprint(state, AudioConfig(num_mels=8, hop_s=0.011), VOCABULARY))
    base.append(base_fingerprint(state, AUDIO, Vocabulary.from_transcripts(["abd"], TextConfig())))
    assert len({same, *(weights_fingerprint(other) for other in others)}) == 5
    assert len(set(base)) == 3


def test_strict_loading_names_every_difference() -> None:
    adapter = MLPAdapter(4, [3])
    state = dict(adapter.state_dict())
    del state["norm.weight"]
    state["extra"] = torch.zeros(1)
    state["output.bias"] = torch.zeros(5)
    state["norm.bias"] = torch.full((4,), float("nan"))
    state["hidden.0.bias"] = torch.zeros(3, dtype=torch.float64)
    with pytest.raises(ArtifactCorruptError) as caught:
        load_strictly(adapter, state, "adapter 12ab of user john")
    message = str(caught.value)
    for part in ("user john", "misses norm.weight", "unknown extra", "output.bias is", "norm.bias holds", "float64"):
        assert part in message


def test_safetensors_round_trip_and_noise() -> None:
    state = make_base().model.base_state()
    again = from_bytes(to_bytes(state), "here")
    assert weights_fingerprint(again) == weights_fingerprint(state)
    with pytest.raises(ArtifactCorruptError, match="here"):
        from_bytes(b"not tensors", "here")
