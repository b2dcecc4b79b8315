"""Calibrations of a base in the store, calibration.json beside it: how sure its words are, a map for each decoder."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ds2ray.errors import ArtifactCorruptError
from ds2ray.naming import named
from ds2ray.store.layout import base_uri, calibrations_uri
from ds2ray.store.records import read_record, write_record
from ds2ray.store.store import Store

KIND = "calibrations"


@dataclass(frozen=True, kw_only=True)
class CalibrationRecord:
    """The record calibration.json of a base.

    Attributes:
        decoders: by the name of the decoder, the numbers of its map.
    """

    base_id: str
    decoders: dict[str, dict[str, float]]


def publish_calibrations(
    store: Store, base_id: str, decoders: Mapping[str, Mapping[str, float]], folder_uri: str = ""
) -> str:
    """Write maps of a base's decoders; those of other decoders stay. Returns the URI of the record.

    Args:
        folder_uri: of the base, where it is not in this store.
    """
    try:
        known = read_calibrations(store, base_id, folder_uri)
    except ArtifactCorruptError:  # made anew
        known = {}
    uri = calibrations_uri(folder_uri or base_uri(store, base_id))
    merged = {**known, **{name: dict(numbers) for name, numbers in decoders.items()}}
    write_record(store, uri, KIND, CalibrationRecord(base_id=base_id, decoders=merged))
    return uri


def read_calibrations(store: Store, base_id: str, folder_uri: str = "") -> dict[str, dict[str, float]]:
    """The maps of a base by the names of its decoders; empty where there are none, as beside bases of old releases.

    Args:
        folder_uri: of the base, where it is not in this store.

    Raises:
        ArtifactCorruptError: the record is damaged, or another base's.
    """
    uri = calibrations_uri(folder_uri or base_uri(store, base_id))
    remedy = f"restore it, or make it again with {named('calibrate')} <manifest>, or remove it"
    try:
        record = read_record(store, CalibrationRecord, uri, kind=KIND, bound={"base_id": base_id}, remedy=remedy)
    except FileNotFoundError:
        return {}
    for name, numbers in record.decoders.items():
        if not _is_map(numbers):
            raise ArtifactCorruptError(
                f"{uri}: decoder {name!r} needs a slope of at least 0 and an intercept, both finite, and has "
                f"{numbers!r}; {remedy}"
            )
    return record.decoders


def adopt_calibrations(store: Store, base_id: str, folder_uri: str) -> None:
    """Copy the maps of a base that is not in this store beside the one that is, where it has any."""
    found = read_calibrations(store, base_id, folder_uri)
    if found:
        publish_calibrations(store, base_id, found)


def _is_map(numbers: Any) -> bool:
    if not isinstance(numbers, dict) or not {"slope", "intercept"} <= numbers.keys():
        return False
    of_numbers = all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers.values())
    return of_numbers and all(map(math.isfinite, numbers.values())) and numbers["slope"] >= 0
