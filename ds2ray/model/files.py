"""Single files of tensors and plain values, such as `model.pt`: opened with `weights_only=True`, so that no code in a
file is ever run."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ds2ray import storage
from ds2ray.config import audio_from_plain, audio_to_plain, model_from_plain, model_to_plain
from ds2ray.errors import ArtifactCorruptError, ConfigError, Ds2RayError, InputError, NewerReleaseError
from ds2ray.model.weights import Base, build_base
from ds2ray.naming import named
from ds2ray.text import Vocabulary

MODEL_FORMAT = "ds2ray.model/1"


def save_model_file(uri: str, base: Base) -> None:
    """Write tensors, configs and vocabulary of a base into one file, `model.pt`."""
    content = {
        "format": MODEL_FORMAT,
        "fingerprint": base.fingerprint,
        "fingerprint_version": base.fingerprint_version,
        "model": model_to_plain(base.model_config),
        "audio": audio_to_plain(base.audio),
        "vocabulary": base.vocabulary.to_json(),
        "state": {name: tensor.detach().cpu() for name, tensor in base.model.base_state().items()},
    }
    write_tensor_file(uri, content)


def load_model_file(uri: str, device: torch.device | str = "cpu") -> Base:
    """Open a `model.pt`. Raises InputError where there is none, ArtifactCorruptError where its content is wrong."""
    content = read_tensor_file(
        uri, MODEL_FORMAT, f"train a base with {named('train')}, or give the path of its model.pt"
    )
    with complete(uri):
        fingerprint, state = content["fingerprint"], content["state"]
        version = int(content.get("fingerprint_version", 1))
        model_config = model_from_plain(content["model"], uri)
        audio = audio_from_plain(content["audio"], uri)
        vocabulary = Vocabulary.from_json(content["vocabulary"], uri)
    base = build_base(model_config, audio, vocabulary, state, uri, version)
    if base.fingerprint != fingerprint:
        raise ArtifactCorruptError(f"{uri}: its weights are not those it was saved with (fingerprints differ)")
    base.model.to(device)
    return base


@contextmanager
def complete(uri: str) -> Iterator[None]:
    """A context that turns errors from missing or malformed values of a file into an ArtifactCorruptError."""
    try:
        yield
    except NewerReleaseError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError, InputError) as error:
        raise ArtifactCorruptError(f"{uri}: its description is damaged ({error!r}); save it again") from error


def write_tensor_file(uri: str, content: dict[str, Any]) -> None:
    """Write tensors and plain values into one file."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    storage.write_bytes(uri, buffer.getvalue())


def read_tensor_file(uri: str, expected_format: str, remedy: str) -> dict[str, Any]:
    """The content that `write_tensor_file` wrote. Raises InputError for another file, ArtifactCorruptError for damage.

    Args:
        expected_format: the value of "format" in the content.
        remedy: the last part of the message of an InputError.
    """
    try:
        content = torch.load(io.BytesIO(storage.read_bytes(uri)), map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{uri}: no such file; {remedy}") from error
    except Ds2RayError:
        raise
    except Exception as error:  # where its bytes are damaged, torch raises errors of any kind
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArtifactCorruptError(f"{uri}: not a readable file of tensors ({said}); save it again") from error
    if not isinstance(content, dict) or content.get("format") != expected_format:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{uri}: is {found!r}, not {expected_format!r}; {remedy}")
    return content
