"""Fingerprints, strict loading, and the single files that older tools exchange."""

from pathlib import Path

import pytest
import torch

from ds2ray.config import AdapterConfig, AudioConfig, ModelConfig, TextConfig
from ds2ray.errors import ArtifactCorruptError, BaseMismatchError, InputError
from ds2ray.model.adapter import MLPAdapter
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.model.weights import (
    AdapterManager,
    Base,
    base_fingerprint,
    from_bytes,
    load_model_file,
    load_strictly,
    save_model_file,
    to_bytes,
    weights_fingerprint,
)
from ds2ray.text import Vocabulary

MODEL = ModelConfig(conv_channels=2, num_rnn_layers=1, rnn_hidden_dim=6)
AUDIO = AudioConfig(num_mels=8)
VOCABULARY = Vocabulary.from_transcripts(["abc"], TextConfig())


def make_base(seed: int = 0) -> Base:
    torch.manual_seed(seed)
    return Base.of(DeepSpeech2.from_config(MODEL, AUDIO.num_mels, len(VOCABULARY)), MODEL, AUDIO, VOCABULARY)


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


def test_a_flipped_bit_in_a_model_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    save_model_file(str(path), make_base())
    content = torch.load(path, weights_only=True)
    content["state"]["output.bias"][0] += 1
    torch.save(content, path)
    with pytest.raises(ArtifactCorruptError, match="fingerprints differ"):
        load_model_file(str(path))


def test_a_model_file_is_the_same_base_again(tmp_path: Path) -> None:
    base, path = make_base(), str(tmp_path / "model.pt")
    save_model_file(path, base)
    opened = load_model_file(path)
    assert opened.fingerprint == base.fingerprint
    assert (opened.audio, opened.model_config, opened.vocabulary) == (AUDIO, MODEL, VOCABULARY)
    for name, tensor in base.model.state_dict().items():
        assert torch.equal(opened.model.state_dict()[name], tensor)


def test_missing_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_model_file(str(tmp_path / "none.pt"))
    torch.save({"weights": torch.zeros(1)}, tmp_path / "foreign.pt")
    with pytest.raises(InputError, match="not 'ds2ray.model/1'"):
        load_model_file(str(tmp_path / "foreign.pt"))
    (tmp_path / "noise.pt").write_bytes(b"noise")
    with pytest.raises(ArtifactCorruptError, match="not a readable file"):
        load_model_file(str(tmp_path / "noise.pt"))


def test_a_damaged_description_is_found(tmp_path: Path) -> None:
    path = str(tmp_path / "model.pt")
    save_model_file(path, make_base())
    content = torch.load(path, weights_only=True)
    changes: list[dict[str, object]] = [
        {"model": {**content["model"], "number_of_layers": 3}},
        {"audio": {**content["audio"], "num_mels": 0}},
        {"vocabulary": None},
        {"model": {**content["model"], "rnn_type": "transformer"}},
    ]
    for changed in changes:
        torch.save({**content, **changed}, path)
        with pytest.raises(ArtifactCorruptError, match="description is damaged"):
            load_model_file(path)
    del content["state"]
    torch.save(content, path)
    with pytest.raises(ArtifactCorruptError, match="description is damaged"):
        load_model_file(path)


@pytest.mark.parametrize("name", ["", " ", "../john", "a/b"])
def test_adapter_names_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    base = make_base()
    base.model.add_adapter(AdapterConfig(hidden_dims=[5], after_layer=-1))
    with pytest.raises(InputError, match="adapter name"):
        AdapterManager().save_adapter(base.model, str(tmp_path), name)


def test_no_code_of_a_file_is_run(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, ...]:
            return (open, (str(tmp_path / "was-here"), "w"))

    torch.save({"format": "ds2ray.model/1", "state": Attack()}, tmp_path / "model.pt")
    with pytest.raises(ArtifactCorruptError):
        load_model_file(str(tmp_path / "model.pt"))
    assert not (tmp_path / "was-here").exists()


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


def test_adapter_files(tmp_path: Path) -> None:
    base = make_base()
    base.model.add_adapter(AdapterConfig(hidden_dims=[5, 4], after_layer=0, dropout=0.0))
    assert base.model.adapter is not None
    torch.nn.init.normal_(base.model.adapter.output.weight)
    path = AdapterManager().save_adapter(base.model, str(tmp_path), "john")
    assert Path(path).name == "john_adapter.pt"
    fresh = make_base().model
    AdapterManager().load_adapter(fresh, path)
    assert fresh.adapter is not None
    assert torch.equal(fresh.adapter.output.weight, base.model.adapter.output.weight)
    assert fresh.adapter_layer == 0
    info = AdapterManager().get_adapter_info(path)
    assert info["adapter_name"] == "john"
    assert info["hidden_dims"] == [5, 4]
    assert info["num_parameters"] == base.model.count_parameters()["adapter"]
    with pytest.raises(BaseMismatchError, match="load that base"):
        AdapterManager().load_adapter(make_base(seed=1).model, path)
    with pytest.raises(InputError, match="has none"):
        AdapterManager().save_adapter(make_base().model, str(tmp_path), "john")
