"""Weights outside of modules: bytes, fingerprints, strict loading, and the single files `model.pt` and `*_adapter.pt`.

Published weights are safetensors. The single files hold tensors and plain values only and are opened with
`weights_only=True`: no code of a file is ever run.
"""

import hashlib
import io
import json
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ds2ray import storage
from ds2ray.config import Activation, AdapterConfig, AudioConfig, ModelConfig, from_plain, to_plain
from ds2ray.errors import ArtifactCorruptError, BaseMismatchError, ConfigError, InputError
from ds2ray.model.adapter import MLPAdapter
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.text import Vocabulary

MODEL_FORMAT = "ds2ray.model/1"
ADAPTER_FORMAT = "ds2ray.adapter/1"


@dataclass(frozen=True)
class Base:
    """A base with everything that it needs to recognise speech."""

    model: DeepSpeech2
    model_config: ModelConfig
    audio: AudioConfig
    vocabulary: Vocabulary
    fingerprint: str

    @classmethod
    def of(cls, model: DeepSpeech2, model_config: ModelConfig, audio: AudioConfig, vocabulary: Vocabulary) -> "Base":
        """A base from its parts; computes the fingerprint."""
        fingerprint = base_fingerprint(model.base_state(), audio, vocabulary)
        return cls(model, model_config, audio, vocabulary, fingerprint)

    @property
    def base_id(self) -> str:
        """First 16 hex digits of the fingerprint."""
        return self.fingerprint[:16]


def weights_fingerprint(state: Mapping[str, Tensor]) -> str:
    """sha256 over names, types, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def base_fingerprint(state: Mapping[str, Tensor], audio: AudioConfig, vocabulary: Vocabulary) -> str:
    """sha256 over the weights, the audio config and the vocabulary."""
    described = json.dumps([to_plain(audio), vocabulary.to_json()], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(f"{weights_fingerprint(state)}|{described}".encode()).hexdigest()


def to_bytes(state: Mapping[str, Tensor]) -> bytes:
    """A state dict as safetensors."""
    return safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})


def from_bytes(data: bytes, where: str) -> dict[str, Tensor]:
    """The inverse of `to_bytes`; `where` is named in the ArtifactCorruptError for bytes that are not safetensors."""
    try:
        return safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise ArtifactCorruptError(f"{where}: not readable as safetensors ({error}); publish it again") from error


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Load a state dict whose names, shapes and types are exactly the module's and whose values are finite.

    Raises:
        ArtifactCorruptError: all differences, with `where`.
    """
    own = module.state_dict()
    problems = [f"misses {name}" for name in own.keys() - state.keys()]
    problems += [f"has unknown {name}" for name in state.keys() - own.keys()]
    for name in own.keys() & state.keys():
        expected, found = own[name], state[name]
        if (expected.shape, expected.dtype) != (found.shape, found.dtype):
            problems.append(f"{name} is {found.dtype} {list(found.shape)}, not {expected.dtype} {list(expected.shape)}")
        elif found.is_floating_point() and not found.isfinite().all():
            problems.append(f"{name} holds values that are not finite")
    if problems:
        raise ArtifactCorruptError(f"{where} does not fit: {'; '.join(sorted(problems))}")
    module.load_state_dict(dict(state))


def save_model_file(uri: str, base: Base) -> None:
    """Write tensors, configs and vocabulary of a base into one file, `model.pt`."""
    content = {
        "format": MODEL_FORMAT,
        "fingerprint": base.fingerprint,
        "model": to_plain(base.model_config),
        "audio": to_plain(base.audio),
        "vocabulary": base.vocabulary.to_json(),
        "state": {name: tensor.detach().cpu() for name, tensor in base.model.base_state().items()},
    }
    storage.write_bytes(uri, _torch_bytes(content))


def load_model_file(uri: str, device: torch.device | str = "cpu") -> Base:
    """Open a `model.pt`. Raises InputError where there is none, ArtifactCorruptError where its content is wrong."""
    content = _read_torch_file(uri, MODEL_FORMAT, "train a base with jobs/train.py, or give the path of its model.pt")
    with _complete(uri):
        fingerprint, state = content["fingerprint"], content["state"]
        model_config, audio = from_plain(ModelConfig, content["model"]), from_plain(AudioConfig, content["audio"])
        vocabulary = Vocabulary.from_json(content["vocabulary"])
    base = build_base(model_config, audio, vocabulary, state, where=uri)
    if base.fingerprint != fingerprint:
        raise ArtifactCorruptError(f"{uri}: its weights are not those it was saved with (fingerprints differ)")
    base.model.to(device)
    return base


def build_base(
    model_config: ModelConfig, audio: AudioConfig, vocabulary: Vocabulary, state: Mapping[str, Tensor], where: str
) -> Base:
    """A base from configs and weights, strictly checked. Raises ArtifactCorruptError."""
    model = DeepSpeech2.from_config(model_config, audio.num_mels, len(vocabulary))
    load_strictly(model, state, where)
    return Base.of(model, model_config, audio, vocabulary)


class AdapterManager:
    """Saves and loads one user's adapter as a single file, `<folder>/<name>_adapter.pt`."""

    def save_adapter(self, model: DeepSpeech2, adapter_dir: str, adapter_name: str) -> str:
        """Write the model's adapter; returns the file's path.

        Raises:
            InputError: the model has none, or the name cannot be that of a file.
        """
        check_adapter_name(adapter_name)
        if model.adapter is None:
            raise InputError(f"adapter {adapter_name!r} cannot be saved: the model has none; build it with use_adapter")
        adapter = model.adapter
        content = {
            "format": ADAPTER_FORMAT,
            "adapter_name": adapter_name,
            "adapter": to_plain(adapter_config(model)),
            "base_weights_fingerprint": weights_fingerprint(model.base_state()),
            "state": {name: tensor.detach().cpu() for name, tensor in adapter.state_dict().items()},
        }
        path = storage.join(adapter_dir, f"{adapter_name}_adapter.pt")
        storage.write_bytes(path, _torch_bytes(content))
        return path

    def load_adapter(self, model: DeepSpeech2, adapter_path: str) -> DeepSpeech2:
        """Put the file's adapter into the model, in evaluation mode.

        Raises:
            InputError: there is no such file.
            BaseMismatchError: it was trained on another base; both fingerprints are named.
            ArtifactCorruptError: the file's content is wrong.
        """
        content = self._read(adapter_path)
        with _complete(adapter_path):
            expected, state = content["base_weights_fingerprint"], content["state"]
            config = from_plain(AdapterConfig, content["adapter"])
        found = weights_fingerprint(model.base_state())
        if found != expected:
            raise BaseMismatchError(
                f"{adapter_path}: trained on the base with weights {expected[:16]}, not on this one ({found[:16]}); "
                "load that base, or train the adapter again on this one"
            )
        adapter = MLPAdapter.from_config(model.encoding_dim(config.after_layer), config)
        load_strictly(adapter, state, adapter_path)
        model.add_adapter(config)
        assert model.adapter is not None
        model.adapter.load_state_dict(adapter.state_dict())
        model.adapter.eval()
        return model

    def get_adapter_info(self, adapter_path: str) -> dict[str, Any]:
        """Name, shape, number of parameters, size in bytes and base of a saved adapter."""
        content = self._read(adapter_path)
        with _complete(adapter_path):
            return {
                "adapter_name": content["adapter_name"],
                **content["adapter"],
                "num_parameters": sum(tensor.numel() for tensor in content["state"].values()),
                "size_bytes": len(storage.read_bytes(adapter_path)),
                "base_weights_fingerprint": content["base_weights_fingerprint"],
            }

    def _read(self, adapter_path: str) -> dict[str, Any]:
        return _read_torch_file(adapter_path, ADAPTER_FORMAT, "train it with jobs/train.py train=adapter_train")


def check_adapter_name(adapter_name: str) -> None:
    """Raise InputError for a name that cannot be that of a file in the adapters' folder."""
    if not adapter_name.strip() or {"/", "\\", "\0"} & set(adapter_name):
        raise InputError(f"adapter name {adapter_name!r} cannot name a file: leave out slashes")


def adapter_config(model: DeepSpeech2) -> AdapterConfig:
    """The shape of the model's adapter."""
    adapter = model.adapter
    assert adapter is not None
    return AdapterConfig(
        hidden_dims=[linear.out_features for linear in adapter.hidden],  # type: ignore[misc]
        activation=Activation(adapter.activation_name),
        dropout=adapter.dropout.p,
        after_layer=model.adapter_layer,
    )


@contextmanager
def _complete(uri: str) -> Iterator[None]:
    """What a file lacks, or holds in another form than it should, is an ArtifactCorruptError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError, InputError) as error:
        raise ArtifactCorruptError(f"{uri}: its description is damaged ({error!r}); save it again") from error


def _torch_bytes(content: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _read_torch_file(uri: str, expected_format: str, remedy: str) -> dict[str, Any]:
    try:
        content = torch.load(io.BytesIO(storage.read_bytes(uri)), map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{uri}: no such file; {remedy}") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ArtifactCorruptError(f"{uri}: not a readable file of tensors ({str(error).splitlines()[0]})") from error
    if not isinstance(content, dict) or content.get("format") != expected_format:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{uri}: is {found!r}, not {expected_format!r}; {remedy}")
    return content
