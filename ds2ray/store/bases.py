"""Bases in the store. base.json is written after the weights, and is the commit; every read is verified."""

import re
from pathlib import PurePosixPath
from typing import Any

from ds2ray.errors import ArtifactCorruptError, InputError
from ds2ray.naming import named
from ds2ray.store.calibrations import adopt_calibrations
from ds2ray.store.language_models import adopt_language_model
from ds2ray.store.layout import (
    base_id_of,
    base_record_uri,
    base_uri,
    base_weights_uri,
    bases_uri,
    canary_uri,
    newest_base_uri,
)
from ds2ray.store.records import BaseRecord, read_record, write_record
from ds2ray.store.store import Store
from ds2ray.store.verify import ID_LENGTH, read_verified, require_size

KIND = "base"
NEWEST_KIND = "newest base"
CANARY_KIND = "canary"
"""What base.json, current.json and canary.json say that they are."""

_BASE_ID = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}").fullmatch


def publish_base(store: Store, weights: bytes, record: BaseRecord, *, make_newest: bool = True) -> str:
    """Write a base and, with `make_newest`, name it as the store's newest; returns the URI of its folder."""
    folder_uri = base_uri(store, record.base_id)
    store.write_bytes(base_weights_uri(folder_uri), weights)
    write_record(store, base_record_uri(folder_uri), KIND, record)
    if make_newest:
        make_current(store, record.base_id)
    return folder_uri


def read_base_record(store: Store, base: str = "") -> BaseRecord:
    """A base's record alone; arguments and errors are those of `read_base`."""
    return located_base(store, base)[1]


def read_complete_record(store: Store, base: str = "") -> BaseRecord:
    """A base's record, for a plan, which does not read the weights: their size alone is checked.

    Raises:
        ArtifactCorruptError: the weights are missing, or have another size than those that were published.
    """
    folder_uri, record = located_base(store, base)
    weights_uri = base_weights_uri(folder_uri)
    sizes = {info.uri: info.size_bytes for info in store.list_objects(folder_uri)}
    require_size(weights_uri, sizes.get(weights_uri), record.size_bytes)
    return record


def adopt_base(store: Store, folder_uri: str) -> None:
    """Publish the base of another folder on the store's server in this store, where it is not there yet, and with it
    its language model and its calibrations, if it has any."""
    if read_base_record(store, folder_uri).base_id not in list_bases(store):
        record, weights = read_base(store, folder_uri)
        publish_base(store, weights, record)
        adopt_language_model(store, record.base_id, folder_uri.rstrip("/"))
        adopt_calibrations(store, record.base_id, folder_uri.rstrip("/"))


def read_base(store: Store, base: str = "") -> tuple[BaseRecord, bytes]:
    """A base's record and its weights (safetensors), verified.

    Args:
        base: a base id in the store, or the URI of a base folder on the same server; empty: the store's newest.

    Raises:
        InputError: there is no such base; the message names those that there are.
        ArtifactCorruptError: the weights are missing or have changed since they were published.
    """
    folder_uri, record = located_base(store, base)
    return record, read_verified(store, base_weights_uri(folder_uri), record.size_bytes, record.sha256)


def located_base(store: Store, base: str = "") -> tuple[str, BaseRecord]:
    """The URI of a base's folder, and its record; arguments and errors are those of `read_base`."""
    base_id = base or current_base_id(store)
    folder_uri = base_id.rstrip("/") if "/" in base_id else base_uri(store, base_id)
    record_uri = base_record_uri(folder_uri)
    name = PurePosixPath(folder_uri).name  # a folder under another name than its base's is a mistake or a trick
    try:
        record = read_record(store, BaseRecord, record_uri, kind=KIND, bound={"base_id": name})
    except FileNotFoundError:
        known = list_bases(store)
        there = f"bases there: {', '.join(known)}" if known else f"there are none; train one with {named('train')}"
        raise InputError(f"no base {base_id!r} in {store} ({record_uri} is missing); {there}") from None
    if record.fingerprint[:ID_LENGTH] != record.base_id:
        described = f"base {record.base_id} with fingerprint {record.fingerprint[:ID_LENGTH]}…"
        raise ArtifactCorruptError(f"{record_uri}: describes {described}; restore it or publish the base again")
    return folder_uri, record


def make_current(store: Store, base_id: str) -> None:
    """Make a base of the store the current one."""
    write_record(store, newest_base_uri(store), NEWEST_KIND, {"base_id": base_id})


def list_bases(store: Store) -> list[str]:
    """Ids of the bases in the store."""
    found = store.list_objects(bases_uri(store), recursive=True)
    return [base_id for info in found if (base_id := base_id_of(info.uri))]


def write_canary(store: Store, base_id: str, found: dict[str, Any]) -> None:
    """Record beside a base what the users gained who tried it before the others: it is not tried so again."""
    write_record(store, canary_uri(base_uri(store, base_id)), CANARY_KIND, {**found, "base_id": base_id})


def read_canary(store: Store, base_id: str) -> dict[str, Any] | None:
    """The record of `write_canary`; None where there is none.

    Raises:
        ArtifactCorruptError: it is damaged, or another base's.
    """
    uri, remedy = canary_uri(base_uri(store, base_id)), "remove it: the base is then tried by some users first again"
    try:
        found: dict[str, Any] = read_record(
            store, dict, uri, kind=CANARY_KIND, bound={"base_id": base_id}, remedy=remedy
        )
    except FileNotFoundError:
        return None
    return found


def current_base_id(store: Store) -> str:
    """The id of the base that is current. Raises InputError where the store has none."""
    uri = newest_base_uri(store)
    try:
        found: dict[str, Any] = read_record(store, dict, uri, kind=NEWEST_KIND, remedy="publish the base again")
    except FileNotFoundError:
        raise InputError(
            f"no base in {store}: train one with {named('train')}, or correct storage.root, or name one with base="
        ) from None
    base_id = found.get("base_id")
    if not (isinstance(base_id, str) and _BASE_ID(base_id)):
        raise ArtifactCorruptError(f"{uri}: names no base, but {base_id!r:.60}; publish the base again")
    return base_id
