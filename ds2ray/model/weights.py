"""Weights outside of modules: bytes (safetensors), fingerprints and strict loading."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ds2ray.config import AudioConfig, ModelConfig, audio_to_plain, model_to_plain
from ds2ray.errors import ArtifactCorruptError
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.building import build_model
from ds2ray.shapes.architectures import shape_of
from ds2ray.shapes.fingerprints import FINGERPRINT_VERSION, require_known_version
from ds2ray.text import Vocabulary


@dataclass(frozen=True)
class Base:
    """A base: the model, its settings, those of its features, and the vocabulary."""

    model: AcousticModel
    model_config: ModelConfig
    audio: AudioConfig
    vocabulary: Vocabulary
    fingerprint: str
    fingerprint_version: int = FINGERPRINT_VERSION

    @classmethod
    def of(
        cls,
        model: AcousticModel,
        model_config: ModelConfig,
        audio: AudioConfig,
        vocabulary: Vocabulary,
        fingerprint_version: int = FINGERPRINT_VERSION,
    ) -> "Base":
        """A base from its parts, with its fingerprint; the model's features are set to those of `audio`."""
        model.shape = shape_of(model_config, audio)
        state = model.base_state()
        fingerprint = base_fingerprint(state, model_config, audio, vocabulary, fingerprint_version)
        return cls(model, model_config, audio, vocabulary, fingerprint, fingerprint_version)

    @property
    def base_id(self) -> str:
        """First 16 hex digits of the fingerprint."""
        return self.fingerprint[:16]


def weights_fingerprint(state: Mapping[str, Tensor]) -> str:
    """sha256 over the names, types, shapes and bytes of weights, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def base_fingerprint(
    state: Mapping[str, Tensor],
    model_config: ModelConfig,
    audio: AudioConfig,
    vocabulary: Vocabulary,
    version: int = FINGERPRINT_VERSION,
) -> str:
    """sha256 over the weights, the audio config, the vocabulary and, from version 2 on, architecture and model config.

    Raises:
        ValueError: the version is not known.
    """
    if not 1 <= version <= FINGERPRINT_VERSION:
        raise ValueError(f"fingerprints of version {version} are not known")
    parts = [audio_to_plain(audio), vocabulary.to_json(), model_to_plain(model_config)]
    described = json.dumps(parts[:2] if version == 1 else parts, sort_keys=True, ensure_ascii=False)
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
    """Load a state dict that `require_fitting` accepts, and raise as it does."""
    require_fitting(module, state, where)
    module.load_state_dict(dict(state))


def require_fitting(module: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Check that a state dict has exactly the module's names, shapes and types, and finite values.

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


def build_base(
    model_config: ModelConfig,
    audio: AudioConfig,
    vocabulary: Vocabulary,
    state: Mapping[str, Tensor],
    where: str,
    fingerprint_version: int = FINGERPRINT_VERSION,
) -> Base:
    """A base from configs and weights, strictly checked and in evaluation mode: training sets its own.

    Raises:
        NewerReleaseError, ArtifactCorruptError: they do not make up a base.
    """
    require_known_version(fingerprint_version, where)
    model = build_model(model_config, audio, len(vocabulary))
    load_strictly(model, state, where)
    return Base.of(model.eval(), model_config, audio, vocabulary, fingerprint_version)
