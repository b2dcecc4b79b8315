"""AdapterManager: an adapter as a single file, as in KoSpeech."""

from dataclasses import replace
from typing import Any, TypeVar

from ds2ray import storage
from ds2ray.compat.names import check_adapter_name
from ds2ray.config import AdapterConfig, adapter_from_plain, adapter_to_plain
from ds2ray.errors import BaseMismatchError, InputError
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.adapters.kinds import build_adapter
from ds2ray.model.files import complete, read_tensor_file, write_tensor_file
from ds2ray.model.weights import load_strictly, weights_fingerprint
from ds2ray.naming import named

Model = TypeVar("Model", bound=AcousticModel)

ADAPTER_FORMAT = "ds2ray.adapter/1"


class AdapterManager:
    """Saves and loads one user's adapter as a single file, `<folder>/<name>_adapter.pt`."""

    def save_adapter(self, model: AcousticModel, adapter_dir: str, adapter_name: str) -> str:
        """Write the model's adapter; returns the file's path.

        Raises:
            InputError: the model has no adapter, or the name cannot name a file and a user.
        """
        check_adapter_name(adapter_name)
        if model.adapter is None:
            raise InputError(f"adapter {adapter_name!r} cannot be saved: the model has none; build it with use_adapter")
        adapter = model.adapter
        content = {
            "format": ADAPTER_FORMAT,
            "adapter_name": adapter_name,
            "adapter": adapter_to_plain(adapter_config(model)),
            "base_weights_fingerprint": weights_fingerprint(model.base_state()),
            "state": {name: tensor.detach().cpu() for name, tensor in adapter.state_dict().items()},
        }
        path = storage.join(adapter_dir, f"{adapter_name}_adapter.pt")
        write_tensor_file(path, content)
        return path

    def load_adapter(self, model: Model, adapter_path: str) -> Model:
        """Put the file's adapter into the model, in evaluation mode.

        Raises:
            InputError: there is no such file.
            BaseMismatchError: it was trained on another base; both fingerprints are named.
            ArtifactCorruptError: the file's content is wrong.
        """
        content = self._read(adapter_path)
        with complete(adapter_path):
            expected, state = content["base_weights_fingerprint"], content["state"]
            config = adapter_from_plain(content["adapter"], adapter_path)
        found = weights_fingerprint(model.base_state())
        if found != expected:
            raise BaseMismatchError(
                f"{adapter_path}: trained on the base with weights {expected[:16]}, not on this one ({found[:16]}); "
                "load that base, or train the adapter again on this one"
            )
        adapter = build_adapter(model.encoding_dim(config.after_layer), config)
        load_strictly(adapter, state, adapter_path)
        model.add_adapter(config)
        assert model.adapter is not None
        model.adapter.load_state_dict(adapter.state_dict())
        model.adapter.eval()
        return model

    def get_adapter_info(self, adapter_path: str) -> dict[str, Any]:
        """Name, shape, number of parameters, size in bytes and base of a saved adapter."""
        content = self._read(adapter_path)
        with complete(adapter_path):
            return {
                "adapter_name": content["adapter_name"],
                **content["adapter"],
                "num_parameters": sum(tensor.numel() for tensor in content["state"].values()),
                "size_bytes": len(storage.read_bytes(adapter_path)),
                "base_weights_fingerprint": content["base_weights_fingerprint"],
            }

    def _read(self, adapter_path: str) -> dict[str, Any]:
        return read_tensor_file(adapter_path, ADAPTER_FORMAT, f"train it with {named('train')} train=adapter_train")


def adapter_config(model: AcousticModel) -> AdapterConfig:
    """Kind, settings and place of the model's adapter."""
    assert model.adapter is not None
    return replace(model.adapter.config, after_layer=model.adapter_layer)
