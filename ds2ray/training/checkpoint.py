"""Checkpoints: everything that a run needs to go on as if it had never stopped.

`<folder>/<step>.pt` holds the state, `<folder>/latest.json` names the newest with its size and sha256 and is written
last. The step gives the learning rate, the data order and the seeds, so that neither schedule, sampler nor random
state needs saving.
"""

import hashlib
import io
from typing import Any

import torch

from ds2ray import storage
from ds2ray.errors import ArtifactCorruptError

LATEST = "latest.json"


def save_checkpoint(folder_uri: str, step: int, state: dict[str, Any], settings: str, keep: int) -> str:
    """Write the state after `step` optimizer steps, make it the latest, and delete all but the newest `keep`.

    Args:
        settings: fingerprint of whatever must be equal for a run to go on from here.

    Returns:
        the checkpoint's URI.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data = buffer.getvalue()
    name = f"{step:09d}.pt"
    uri = storage.join(folder_uri, name)
    storage.write_bytes(uri, data)
    latest = storage.join(folder_uri, LATEST)
    kept = [entry for entry in _entries(latest) if entry["name"] != name][-(keep - 1) :] if keep > 1 else []
    dropped = [entry["name"] for entry in _entries(latest) if entry not in kept and entry["name"] != name]
    entry = {
        "name": name,
        "step": step,
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
        "settings": settings,
    }
    storage.write_json(latest, {"checkpoints": [*kept, entry]})
    for old in dropped:
        storage.delete(storage.join(folder_uri, old))
    return uri


def load_latest(folder_uri: str, settings: str) -> dict[str, Any] | None:
    """The newest state that was saved under the same settings; None where there is none.

    Raises:
        ArtifactCorruptError: its bytes are not those that were written.
    """
    for entry in reversed(_entries(storage.join(folder_uri, LATEST))):
        if entry["settings"] != settings:
            continue
        uri = storage.join(folder_uri, entry["name"])
        data = storage.read_bytes(uri)
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise ArtifactCorruptError(
                f"{uri}: {len(data)} bytes do not match the recorded sha256; delete it to start from an older state"
            )
        state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        return state
    return None


def _entries(latest_uri: str) -> list[dict[str, Any]]:
    try:
        entries: list[dict[str, Any]] = storage.read_json(latest_uri)["checkpoints"]
    except FileNotFoundError:
        return []
    return entries
