"""Files that an earlier commit wrote still open: a store, model.pt and an adapter file (tests/fixtures)."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ds2ray import AdapterManager, Transcriber, store
from ds2ray.config import AdaptConfig, Vad
from ds2ray.model.adapters.mlp import MLPAdapter
from ds2ray.model.files import load_model_file
from ds2ray.model.stored import open_adapter, open_base
from ds2ray.model.weights import Base
from ds2ray.sound.audio import read_waveform
from ds2ray.sound.features import LogMel
from ds2ray.store import Store
from ds2ray.store.index import read_fingerprints, read_index, recover_runs
from ds2ray.store.outcomes import Status, read_outcomes
from ds2ray.training.adapters.judging.split import split_rule

FOLDER = Path(__file__).resolve().parent / "fixtures" / "stored"
ROOT = str(FOLDER / "store")
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
SPEECH = sorted(EXPECTED)
NEWEST, FIRST = "dfa11ae6dd677ab5", "6fc5b70e9eaea43d"


def log_probs_sum(base: Base, name: str) -> float:
    waveform = torch.from_numpy(read_waveform(str(FOLDER / name), base.audio.sample_rate_hz))[None]
    with torch.no_grad():
        features, lengths = LogMel(base.audio)(waveform, torch.tensor([waveform.shape[1]]))
        log_probs, _ = base.model.eval()(features, lengths)
    return float(log_probs.sum())


@pytest.mark.parametrize("name", SPEECH)
def test_the_base_of_the_store_and_model_pt_hear_what_they_heard(name: str) -> None:
    stored, file = open_base(Store(ROOT)), load_model_file(str(FOLDER / "model.pt"))
    assert stored.fingerprint == file.fingerprint == store.read_base_record(Store(ROOT)).fingerprint
    for base in (stored, file):
        assert log_probs_sum(base, name) == pytest.approx(EXPECTED[name]["log_probs_sum"], rel=1e-4)


@pytest.mark.parametrize("name", SPEECH)
def test_a_user_is_recognised_with_the_adapter_and_the_others_by_the_base(name: str) -> None:
    transcriber = Transcriber.open(ROOT, device="cpu", vad=Vad.off)  # the voices are tones
    (hypothesis,) = transcriber.transcribe([str(FOLDER / name)], user="john")
    (alone,) = transcriber.transcribe([str(FOLDER / name)])
    expected = EXPECTED[name]
    assert (hypothesis.text, alone.text) == (expected["text"], expected["text_of_base"])
    assert hypothesis.adapter == expected["adapter"] == NEWEST
    assert hypothesis.score == pytest.approx(expected["score"], rel=1e-3)
    assert alone.score == pytest.approx(expected["score_of_base"], rel=1e-3)


def test_both_versions_of_the_adapter_open() -> None:
    base = open_base(Store(ROOT))
    found = open_adapter(Store(ROOT), "john", base)
    assert found is not None
    pointer, _ = found
    assert (pointer.version, pointer.seq, pointer.run_id) == (NEWEST, 2, "second")
    assert [entry["version"] for entry in store.history(Store(ROOT), "john")] == [NEWEST, FIRST]
    earlier = store.AdapterPointer(**pointer.history[0], history=())
    assert len(store.read_adapter(Store(ROOT), earlier)) == earlier.size_bytes


def test_the_sentence_of_a_split_s_rule_is_read_as_its_code() -> None:
    assert "holds out a share of 0.2" in (FOLDER / "store/users/john/current.json").read_text(encoding="utf-8")
    pointer = store.read_pointer(Store(ROOT), "john")
    assert pointer is not None
    assert pointer.split == split_rule(20, AdaptConfig()) == "hold_out:0.2:0"
    assert [entry["split"] for entry in store.history(Store(ROOT), "john")] == ["hold_out:0.2:0"] * 2


def test_index_and_outcomes_are_read() -> None:
    row = read_index(Store(ROOT))["john"]
    assert (row.status, row.version, row.run_id) == (Status.adapted, NEWEST, "second")
    assert read_fingerprints(Store(ROOT)).to_pydict() == {"user_key": ["john"], "fingerprint": [row.fingerprint]}
    assert recover_runs(Store(ROOT)) == []
    for run_id, version in (("first", FIRST), ("second", NEWEST)):
        (outcome,) = read_outcomes(Store(ROOT), run_id)
        assert (outcome.user_key, outcome.status, outcome.version) == ("john", Status.adapted, version)
    assert read_outcomes(Store(ROOT), "second")[0].fingerprint == row.fingerprint


def test_an_adapter_file_is_loaded_into_its_base() -> None:
    model = load_model_file(str(FOLDER / "model.pt")).model
    path = str(FOLDER / "john_adapter.pt")
    assert AdapterManager().get_adapter_info(path)["hidden_dims"] == [8]
    AdapterManager().load_adapter(model, path)
    assert isinstance(model.adapter, MLPAdapter)
    assert model.adapter.output.weight.count_nonzero() > 0
