"""Fingerprints and strict loading."""

from dataclasses import replace

import pytest
import torch
from tiny_base import AUDIO, MODEL, VOCABULARY, make_base

from ds2ray.config import AudioConfig, RnnType, TextConfig
from ds2ray.errors import ArtifactCorruptError, NewerReleaseError
from ds2ray.model.adapters.mlp import MLPAdapter
from ds2ray.model.stored import base_from_bytes, describe_base
from ds2ray.model.weights import Base, base_fingerprint, from_bytes, load_strictly, to_bytes, weights_fingerprint
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
    base = [base_fingerprint(state, MODEL, AUDIO, VOCABULARY)]
    base.append(base_fingerprint(state, replace(MODEL, rnn_type=RnnType.lstm), AUDIO, VOCABULARY))
    base.append(base_fingerprint(state, MODEL, AudioConfig(num_mels=8, hop_s=0.011), VOCABULARY))
    base.append(base_fingerprint(state, MODEL, AUDIO, Vocabulary.from_transcripts(["abd"], TextConfig())))
    assert len({same, *(weights_fingerprint(other) for other in others)}) == 5
    assert len(set(base)) == 4


def test_a_fingerprint_of_version_1_knows_nothing_of_the_model_config() -> None:
    state = {"a": torch.zeros(2, 3)}
    other = replace(MODEL, dropout=0.5)
    first, second = (base_fingerprint(state, model, AUDIO, VOCABULARY, version=1) for model in (MODEL, other))
    assert first == second != base_fingerprint(state, MODEL, AUDIO, VOCABULARY)


def test_a_base_keeps_the_version_of_its_fingerprint_and_refuses_one_of_the_future() -> None:
    new = make_base()
    old = Base.of(new.model, MODEL, AUDIO, VOCABULARY, fingerprint_version=1)
    assert (old.fingerprint_version, new.fingerprint_version) == (1, 2)
    assert old.fingerprint != new.fingerprint
    record, weights = describe_base(old, "run"), to_bytes(old.model.base_state())
    assert record.fingerprint_version == 1
    assert base_from_bytes(record, weights).fingerprint == old.fingerprint
    with pytest.raises(NewerReleaseError, match="newer release"):
        base_from_bytes(replace(record, fingerprint_version=3), weights)


def test_a_base_without_a_name_is_a_deepspeech2_and_one_of_another_name_is_refused() -> None:
    base = make_base()
    record, weights = describe_base(base, "run"), to_bytes(base.model.base_state())
    assert record.model["architecture"] == "deepspeech2"
    nameless = {name: value for name, value in record.model.items() if name != "architecture"}
    assert base_from_bytes(replace(record, model=nameless), weights).fingerprint == base.fingerprint
    with pytest.raises(NewerReleaseError, match="whisper"):
        base_from_bytes(replace(record, model={**record.model, "architecture": "whisper"}), weights)


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
