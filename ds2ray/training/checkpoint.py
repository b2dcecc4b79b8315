"""Checkpoints: everything that a run needs to go on as if it had never stopped.

`<folder>/<step>-<digest>.pt` holds the state; nothing is ever overwritten. `<folder>/latest.json` names the newest ones
with their sizes and sha256 and is written last. The step gives the learning rate, the data order and the seeds, so that
neither schedule, sampler nor random state needs saving.
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
    digest = hashlib.sha256(data).hexdigest()
    name = f"{step:09d}-{digest[:8]}.pt"
    uri = storage.join(folder_uri, name)
    storage.write_bytes(uri, data)
    latest = storage.join(folder_uri, LATEST)
    earlier = [entry for entry in _entries(latest) if entry["name"] != name]
    kept = earlier[-(keep - 1) :] if keep > 1 else []
    entry = {
        "name": name,
        "step": step,
        "sha256": digest,
        "size_bytes": len(data),
        "settings": settings,
    }
    storage.write_json(latest, {"checkpoints": [*kept, entry]})
    for old in earlier[: len(earlier) - len(kept)]:
        storage.delete(storage.join(folder_uri, old["name"]))
    return uri


def load_latest(folder_uri: str, settings: str) -> dict[str, Any] | None:
    """The newest state that was saved under the same settings and is still there; None where there is none.

    Raises:
        ArtifactCorruptError: its bytes are not those that were written.
    """
    for entry in reversed(_entries(storage.join(folder_uri, LATEST))):
        if entry["settings"] != settings:
            continue
        uri = storage.join(folder_uri, entry["name"])
        try:
            data = storage.read_bytes(uri)
        except FileNotFoundError:
            continue
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise ArtifactCorruptError(
                f"{uri}: {len(data)} bytes do not match the recorded sha256; delete it to go on from an "
                "older state, or start afresh with train.resume=false"
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
