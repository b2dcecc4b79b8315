"""model.pt: the same base again, and what is refused."""

from pathlib import Path

import pytest
import torch
from tiny_base import AUDIO, MODEL, VOCABULARY, make_base

from ds2ray.errors import ArtifactCorruptError, InputError, NewerReleaseError
from ds2ray.model.files import load_model_file, save_model_file


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
    assert not any(module.training for module in opened.model.modules())


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
        {"audio": {**content["audio"], "num_mels": 0}},
        {"vocabulary": None},
        {"model": "ds2"},
    ]
    for changed in changes:
        torch.save({**content, **changed}, path)
        with pytest.raises(ArtifactCorruptError, match="description is damaged"):
            load_model_file(path)
    del content["state"]
    torch.save(content, path)
    with pytest.raises(ArtifactCorruptError, match="description is damaged"):
        load_model_file(path)


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [("model", "number_of_layers", 3), ("audio", "dither", 0.1), ("model", "rnn_type", "transformer")],
)
def test_a_file_of_a_newer_release_is_told_as_such(tmp_path: Path, section: str, name: str, value: object) -> None:
    path = str(tmp_path / "model.pt")
    save_model_file(path, make_base())
    content = torch.load(path, weights_only=True)
    torch.save({**content, section: {**content[section], name: value}}, path)
    with pytest.raises(NewerReleaseError, match=f"model.pt: unknown .*{section}.{name}.*newer release"):
        load_model_file(path)


def test_no_code_of_a_file_is_run(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, ...]:
            return (open, (str(tmp_path / "was-here"), "w"))

    torch.save({"format": "ds2ray.model/1", "state": Attack()}, tmp_path / "model.pt")
    with pytest.raises(ArtifactCorruptError):
        load_model_file(str(tmp_path / "model.pt"))
    assert not (tmp_path / "was-here").exists()
