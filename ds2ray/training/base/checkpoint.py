"""Checkpoints: all the state that a training needs to go on as if it had never stopped.

`<folder>/<step>-<digest>.pt` holds the state; no such file is ever overwritten. `<folder>/latest.json` names the kept
checkpoints with their sizes and sha256 and is written last, so that a checkpoint counts only when it is complete.
"""

import hashlib
import io
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

from ds2ray import storage
from ds2ray.errors import ArtifactCorruptError
from ds2ray.storage.sealed import MAX_RECORD_BYTES, seal, unseal

LATEST = "latest.json"
KIND = "checkpoints"
"""What it says that it is."""


def save_checkpoint(
    folder_uri: str, step: int, state: dict[str, Any], settings: str, keep: int, error: Sequence[float] | None = None
) -> str:
    """Write the state after `step` optimizer steps, make it the latest checkpoint, and delete those no longer kept.

    The newest `keep` checkpoints of these settings are kept, and the one with the lowest error; of every other settings
    the newest and the one with the lowest error. Checkpoints of the same settings with more steps are deleted: they are
    from before training was started afresh, or went on from an earlier checkpoint.

    Args:
        settings: fingerprint of all that must be equal for a training to go on from here.
        error: of the epoch that ends here, compared from left to right; None within an epoch.

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
    entry = {
        "name": name,
        "step": step,
        "sha256": digest,
        "size_bytes": len(data),
        "settings": settings,
        "error": None if error is None else list(error),
    }
    earlier = _entries(latest)
    kept = entries_to_keep([*earlier, entry], keep)
    storage.write_bytes(latest, seal(KIND, {"checkpoints": kept}))
    for name in {old["name"] for old in earlier} - {each["name"] for each in kept}:
        storage.delete(storage.join(folder_uri, name))
    return uri


def entries_to_keep(entries: Sequence[dict[str, Any]], keep: int) -> list[dict[str, Any]]:
    """The checkpoints to keep, of all in the order of writing: the newest `keep` and the best of the last settings.

    Of every other settings the newest and the best are kept, so that a training with them can still go on.
    """
    newest = entries[-1]
    settings = newest["settings"]
    valid = [
        entry
        for entry in entries[:-1]
        if entry["settings"] != settings or (entry["name"] != newest["name"] and entry["step"] <= newest["step"])
    ] + [newest]
    kept: list[dict[str, Any]] = []
    for each in {entry["settings"] for entry in valid}:
        own = [entry for entry in valid if entry["settings"] == each]
        best = best_entry(own, each)
        kept += own[-keep:] if each == settings else own[-1:]
        if best is not None:
            kept.append(best)
    return [entry for entry in valid if entry in kept]


def best_entry(entries: Sequence[dict[str, Any]], settings: str) -> dict[str, Any] | None:
    """The checkpoint with the lowest error, the earliest of equal ones; None where none was written after an epoch."""
    judged = [entry for entry in entries if entry["settings"] == settings and entry["error"] is not None]
    return min(judged, key=lambda entry: (entry["error"], entry["step"])) if judged else None


def has_checkpoint(folder_uri: str, settings: str) -> bool:
    """Whether a training of these settings has begun. Raises ArtifactCorruptError where their list is damaged."""
    return any(entry["settings"] == settings for entry in _entries(storage.join(folder_uri, LATEST)))


def load_latest(folder_uri: str, settings: str, say: Callable[[str], None]) -> dict[str, Any] | None:
    """The newest intact state that was saved under the same settings; None where there is none.

    Args:
        say: told of every checkpoint that is damaged or missing, and of checkpoints that are all of other settings.

    Raises:
        ArtifactCorruptError: there are checkpoints of these settings, but none is intact.
    """
    problems = []
    entries = _entries(storage.join(folder_uri, LATEST))
    for entry in reversed(entries):
        if entry["settings"] != settings:
            continue
        try:
            return _read(folder_uri, entry)
        except FileNotFoundError:
            problems.append(f"{storage.join(folder_uri, entry['name'])}: is missing")
        except ArtifactCorruptError as error:
            problems.append(str(error))
        say(f"checkpoint {problems[-1]}; trying the one before")
    if problems:
        raise ArtifactCorruptError(
            f"no checkpoint is left to go on from: {'; '.join(problems)}; restore one, or start afresh with "
            "train.resume=false"
        )
    if entries:
        say(
            f"starting afresh: the checkpoints in {folder_uri} (the newest after step {entries[-1]['step']}) are of "
            "other settings or other data. They are kept, and training goes on from them when it is started with those "
            "settings and data again. To begin with the weights of a finished training, give "
            "train.pretrained_model_path=<a copy of its model.pt>; to keep both model.pt, another train.output_dir"
        )
    return None


def load_best(folder_uri: str, settings: str) -> dict[str, Any] | None:
    """The state of the epoch with the lowest error; None where no epoch has ended in a checkpoint.

    Raises:
        ArtifactCorruptError: it is damaged.
        FileNotFoundError: it is missing.
    """
    best = best_entry(_entries(storage.join(folder_uri, LATEST)), settings)
    return None if best is None else _read(folder_uri, best)


class CheckpointWriter:
    """Writes checkpoints in a thread while training goes on, one at a time; the context ends when the last is written.

    Args:
        folder_uri, settings, keep: as for `save_checkpoint`.
    """

    def __init__(self, folder_uri: str, settings: str, keep: int) -> None:
        self.folder_uri, self.settings, self.keep = folder_uri, settings, keep
        self.thread = ThreadPoolExecutor(max_workers=1)
        self.under_way: Future[str] | None = None

    def __enter__(self) -> "CheckpointWriter":
        return self

    def __exit__(self, error_type: object, *error: object) -> None:
        try:
            if error_type is None:
                self.wait()
        finally:
            self.thread.shutdown()

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written."""
        return self.under_way is not None and not self.under_way.done()

    def save(self, step: int, state: dict[str, Any], error: Sequence[float] | None = None) -> None:
        """Wait for the checkpoint before, and raise its error; then copy the state and write it in the thread."""
        self.wait()
        copied = _copied(state)
        self.under_way = self.thread.submit(
            save_checkpoint, self.folder_uri, step, copied, self.settings, self.keep, error
        )

    def wait(self) -> None:
        """Wait until everything is written. Raises the error of writing, if any."""
        if self.under_way is not None:
            written, self.under_way = self.under_way, None
            written.result()


def _copied(state: Any) -> Any:
    """A nested state with copies of its tensors on the CPU."""
    if isinstance(state, torch.Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, dict):
        return {name: _copied(value) for name, value in state.items()}
    return [_copied(value) for value in state] if isinstance(state, list) else state


def _read(folder_uri: str, entry: dict[str, Any]) -> dict[str, Any]:
    uri = storage.join(folder_uri, entry["name"])
    data = storage.read_bytes(uri)
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise ArtifactCorruptError(
            f"{uri}: is damaged: {len(data)} bytes of {entry['size_bytes']}, with another sha256 than was written"
        )
    state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state


def _entries(latest_uri: str) -> list[dict[str, Any]]:
    """The checkpoints that latest.json lists. Raises ArtifactCorruptError where it is damaged."""
    remedy = "restore it, or delete it to start afresh"
    try:
        data = storage.read_bytes(latest_uri, max_bytes=MAX_RECORD_BYTES)
    except FileNotFoundError:
        return []
    entries = unseal(data, latest_uri, KIND, remedy).get("checkpoints")
    if not isinstance(entries, list) or not all(map(_is_entry, entries)):
        raise ArtifactCorruptError(f"{latest_uri}: lists no checkpoints, or impossible ones; {remedy}")
    return entries


def _is_entry(entry: Any) -> bool:
    """Whether this is an entry of latest.json that leads to a file of its own folder."""
    texts, numbers = ("name", "sha256", "settings"), ("step", "size_bytes")
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in texts):
        return False
    if not all(isinstance(entry.get(name), int) for name in numbers) or "error" not in entry:
        return False
    return bool(entry["name"] == f"{entry['step']:09d}-{entry['sha256'][:8]}.pt")
