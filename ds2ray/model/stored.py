"""Bases and adapters as modules of torch, read from the store, which holds bytes, and written to it."""

from typing import Any

import torch

from ds2ray.config import adapter_from_plain, audio_from_plain, audio_to_plain, model_from_plain, model_to_plain
from ds2ray.errors import ArtifactCorruptError, BaseMismatchError, ConfigError
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.model.adapters.kinds import build_adapter
from ds2ray.model.files import load_model_file
from ds2ray.model.weights import Base, build_base, from_bytes, require_fitting, to_bytes
from ds2ray.store import (
    AdapterPointer,
    BaseRecord,
    Store,
    list_bases,
    read_adapter,
    read_base,
    read_pointer,
    sha256,
    shown_user,
)
from ds2ray.store import publish_base as publish_weights
from ds2ray.text import Vocabulary

MODEL_FILE_SUFFIX = ".pt"


def describe_base(base: Base, run_id: str, metrics: dict[str, Any] | None = None) -> BaseRecord:
    """The record under which the store keeps a base."""
    return _record(base, base_to_bytes(base), run_id, metrics or {})


def base_to_bytes(base: Base) -> bytes:
    """The weights of a base as the store keeps them (safetensors)."""
    return to_bytes(base.model.base_state())


def publish_base(store: Store, base: Base, run_id: str, metrics: dict[str, Any]) -> str:
    """Write a base to the store and make it the newest; returns its URI."""
    weights = base_to_bytes(base)
    return publish_weights(store, weights, _record(base, weights, run_id, metrics))


def ensure_base(store: Store, base: Base, run_id: str) -> None:
    """Write the base unless the store has it. It becomes the newest only where the store had no base."""
    known = list_bases(store)
    if base.base_id not in known:
        weights = base_to_bytes(base)
        publish_weights(store, weights, _record(base, weights, run_id, {}), make_newest=not known)


def _record(base: Base, weights: bytes, run_id: str, metrics: dict[str, Any]) -> BaseRecord:
    return BaseRecord(
        base_id=base.base_id,
        fingerprint=base.fingerprint,
        sha256=sha256(weights),
        size_bytes=len(weights),
        model=model_to_plain(base.model_config),
        audio=audio_to_plain(base.audio),
        vocabulary=base.vocabulary.to_json(),
        run_id=run_id,
        metrics=metrics,
        fingerprint_version=base.fingerprint_version,
    )


def open_base(store: Store, base: str = "", device: torch.device | str = "cpu") -> Base:
    """Open a base for recognition: in evaluation mode, without an adapter.

    Args:
        base: a base id in the store, the URI of a base folder on the same server, or that of a model.pt; empty: the
            store's newest.

    Raises:
        InputError: there is no such base.
        ArtifactCorruptError: its files are missing or have changed since they were published.
    """
    if base.endswith(MODEL_FILE_SUFFIX):
        return load_model_file(base, device)
    record, weights = read_base(store, base)
    return base_from_bytes(record, weights, device)


def base_from_bytes(record: BaseRecord, weights: bytes, device: torch.device | str = "cpu") -> Base:
    """A base from its record and its weights. Raises ArtifactCorruptError where they do not belong together."""
    where = f"base {record.base_id}"
    base = build_base(
        model_from_plain(record.model, record.where),
        audio_from_plain(record.audio, record.where),
        Vocabulary.from_json(record.vocabulary, record.where),
        from_bytes(weights, where),
        where,
        record.fingerprint_version,
    )
    if base.fingerprint != record.fingerprint:
        raise ArtifactCorruptError(f"{where}: its weights have fingerprint {base.base_id}; publish the base again")
    base.model.to(device)
    return base


def open_adapter(store: Store, user_key: str, base: Base) -> tuple[AdapterPointer, Adapter] | None:
    """A user's current adapter in evaluation mode; None where the user has none.

    Raises:
        BaseMismatchError: it belongs to another base; both are named.
        NewerReleaseError: its settings are not known to this release.
        ArtifactCorruptError: its files are missing or have changed since they were published, or are another user's.
    """
    pointer = read_pointer(store, user_key)
    if pointer is None:
        return None
    if pointer.user_key != user_key:
        raise ArtifactCorruptError(
            f"users/{user_key}/current.json: it is the pointer of user {shown_user(pointer.user_key)}, who is another "
            "one; delete it, or adapt the user again"
        )
    if pointer.base_fingerprint != base.fingerprint:
        raise BaseMismatchError(
            f"the adapter of user {shown_user(user_key)} belongs to base {pointer.base_fingerprint[:16]}, not to "
            f"{base.base_id}; open that base, or adapt the user to this one"
        )
    where = f"adapter {pointer.version} of user {shown_user(user_key)}"
    adapter = _without_weights(base, pointer)
    try:
        weights = read_adapter(store, pointer)
    except ArtifactCorruptError:
        now = read_pointer(store, user_key)
        if now == pointer:
            raise
        # erased, or published again and collected, between the two requests
        return open_adapter(store, user_key, base) if now else None
    state = from_bytes(weights, where)
    require_fitting(adapter, state, where)
    adapter.load_state_dict(state, assign=True)
    return pointer, adapter.to(base.model.device).eval()


def _without_weights(base: Base, pointer: AdapterPointer) -> Adapter:
    """An adapter of the kind and shape that a pointer names, on the meta device: nothing is drawn or allocated."""
    config = adapter_from_plain(pointer.adapter, pointer.where)
    try:
        with torch.device("meta"):
            return build_adapter(base.model.encoding_dim(config.after_layer), config)
    except (ConfigError, TypeError, ValueError, RuntimeError) as error:
        raise ArtifactCorruptError(
            f"{pointer.where}: base {base.base_id} cannot have such an adapter ({error}); adapt the user again"
        ) from error
