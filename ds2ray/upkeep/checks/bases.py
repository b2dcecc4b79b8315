"""The check of the bases of a store: records, weights, language models, calibrations, and which is the newest."""

from collections.abc import Callable

from ds2ray.config import Checked
from ds2ray.errors import Ds2RayError
from ds2ray.store import (
    Store,
    list_bases,
    read_base,
    read_calibrations,
    read_complete_record,
    read_language_model,
    read_language_model_record,
)
from ds2ray.store.bases import read_canary
from ds2ray.store.layout import base_uri, language_model_record_uri, newest_base_uri
from ds2ray.upkeep.checks.faults import Checkup, Fault, Kind
from ds2ray.upkeep.checks.users import require_tensors


def check_bases(store: Store, depth: Checked, found: Checkup) -> set[str]:
    """Check every base; returns the ids of those that there are."""
    base_ids = list_bases(store)
    for base_id in base_ids:
        _try(found, f"bases/{base_id}", lambda base_id=base_id: _check_weights(store, base_id, depth, found))  # type: ignore[misc]
        _try(found, f"bases/{base_id}/calibration.json", lambda base_id=base_id: read_calibrations(store, base_id))  # type: ignore[misc]
        _try(found, f"bases/{base_id}/canary.json", lambda base_id=base_id: read_canary(store, base_id))  # type: ignore[misc]
        if store.exists(language_model_record_uri(base_uri(store, base_id))):
            read = read_language_model_record if depth is Checked.sizes else read_language_model
            _try(found, f"bases/{base_id}/lm", lambda base_id=base_id, read=read: read(store, base_id))  # type: ignore[misc]
    if store.exists(newest_base_uri(store)):
        _try(found, "bases/current.json", lambda: _check_newest(store, set(base_ids), found))
    return set(base_ids)


def _check_weights(store: Store, base_id: str, depth: Checked, found: Checkup) -> None:
    if depth is Checked.sizes:
        read_complete_record(store, base_id)
        return
    _, weights = read_base(store, base_id)
    found.size_bytes += len(weights)
    if depth is Checked.deep:
        require_tensors(weights, base_uri(store, base_id))


def _check_newest(store: Store, base_ids: set[str], found: Checkup) -> None:
    document = store.read_json(newest_base_uri(store))
    newest = document.get("base_id") if isinstance(document, dict) else None
    if newest not in base_ids:
        what = f"names base {newest!r}, and there is none: publish it again, or train one"
        found.faults.append(Fault(Kind.disagrees, "bases/current.json", what))


def _try(found: Checkup, where: str, read: Callable[[], object]) -> None:
    found.objects += 1
    try:
        read()
    except Ds2RayError as error:
        found.faults.append(Fault(Kind.damaged, where, str(error)))
