"""Bases and adapters between the store, which holds bytes, and torch, which holds modules."""

from typing import Any

import torch

from ds2ray import store
from ds2ray.config import AudioConfig, adapter_from_plain, from_plain, model_from_plain, model_to_plain, to_plain
from ds2ray.errors import ArtifactCorruptError, BaseMismatchError
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.model.adapters.kinds import build_adapter
from ds2ray.model.files import load_model_file
from ds2ray.model.weights import Base, build_base, from_bytes, load_strictly, to_bytes
from ds2ray.text import Vocabulary

MODEL_FILE_SUFFIX = ".pt"


def describe_base(base: Base, run_id: str, metrics: dict[str, Any] | None = None) -> store.BaseRecord:
    """The record under which the store keeps a base."""
    return _record(base, to_bytes(base.model.base_state()), run_id, metrics or {})


def publish_base(root_uri: str, base: Base, run_id: str, metrics: dict[str, Any]) -> str:
    """Write a base to the store and make it the newest; returns its URI."""
    weights = to_bytes(base.model.base_state())
    return store.publish_base(root_uri, weights, _record(base, weights, run_id, metrics))


def ensure_base(root_uri: str, base: Base, run_id: str) -> None:
    """See that the store has this base. It becomes the newest only where there was none."""
    known = store.list_bases(root_uri)
    if base.base_id not in known:
        weights = to_bytes(base.model.base_state())
        store.publish_base(root_uri, weights, _record(base, weights, run_id, {}), make_newest=not known)


def _record(base: Base, weights: bytes, run_id: str, metrics: dict[str, Any]) -> store.BaseRecord:
    return store.BaseRecord(
        base_id=base.base_id,
        fingerprint=base.fingerprint,
        sha256=store.sha256(weights),
        size_bytes=len(weights),
        model=model_to_plain(base.model_config),
        audio=to_plain(base.audio),
        vocabulary=base.vocabulary.to_json(),
        run_id=run_id,
        metrics=metrics,
        fingerprint_version=base.fingerprint_version,
    )


def open_base(root_uri: str, base: str = "", device: torch.device | str = "cpu") -> Base:
    """Open a base for recognition: in evaluation mode, without an adapter.

    Args:
        base: a base id in the store, the URI of a base folder or of a model.pt; empty: the store's newest.

    Raises:
        InputError: there is no such base.
        ArtifactCorruptError: what is stored is not what was published.
    """
    if base.endswith(MODEL_FILE_SUFFIX):
        opened = load_model_file(base, device)
    else:
        record, weights = store.read_base(root_uri, base)
        opened = base_from_bytes(record, weights, device)
    opened.model.eval()
    return opened


def base_from_bytes(record: store.BaseRecord, weights: bytes, device: torch.device | str = "cpu") -> Base:
    """A base from its record and its weights. Raises ArtifactCorruptError where they do not belong together."""
    where = f"base {record.base_id}"
    base = build_base(
        model_from_plain(record.model, record.where),
        from_plain(AudioConfig, record.audio, record.where),
        Vocabulary.from_json(record.vocabulary, record.where),
        from_bytes(weights, where),
        where,
        record.fingerprint_version,
    )
    if base.fingerprint != record.fingerprint:
        raise ArtifactCorruptError(f"{where}: its weights have fingerprint {base.base_id}; publish the base again")
    base.model.to(device)
    return base


def open_adapter(root_uri: str, user_key: str, base: Base) -> tuple[store.AdapterPointer, Adapter] | None:
    """A user's current adapter in evaluation mode; None where the user has none.

    Raises:
        BaseMismatchError: it belongs to another base; both are named.
        ArtifactCorruptError: what is stored is not what was published.
    """
    pointer = store.read_pointer(root_uri, user_key)
    if pointer is None:
        return None
    if pointer.base_fingerprint != base.fingerprint:
        raise BaseMismatchError(
            f"the adapter of user {user_key} belongs to base {pointer.base_fingerprint[:16]}, not to {base.base_id}; "
            "open that base, or adapt the user to this one"
        )
    where = f"adapter {pointer.version} of user {user_key}"
    config = adapter_from_plain(pointer.adapter, pointer.where)
    adapter = build_adapter(base.model.encoding_dim(config.after_layer), config)
    load_strictly(adapter, from_bytes(store.read_adapter(root_uri, pointer), where), where)
    return pointer, adapter.to(base.model.device).eval()
