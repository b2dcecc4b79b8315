"""Whether pointers know the versions that the index names: what a plan calls unchanged has to be what users have.

A pointer of an earlier run that came late hides a newer one, whose version then is in no history. After a rollback the
newer version is in the history, and both agree.
"""

import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ds2ray.errors import ArtifactCorruptError
from ds2ray.store.adapters import read_pointer
from ds2ray.store.index import forget_users, read_rows, versions_in
from ds2ray.store.layout import late_marks_uri
from ds2ray.store.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE = 16
"""Users whose pointers are looked at in a night."""

_THREADS = 16


def disagreements(store: Store, versions: Mapping[str, str]) -> dict[str, str]:
    """The users whose pointer does not know the version that the index names, with the reason.

    Args:
        versions: by user key.
    """

    def look(key: str) -> str:
        return _disagreement(store, key, versions[key])

    with ThreadPoolExecutor(_THREADS) as pool:
        return {key: why for key, why in zip(versions, pool.map(look, versions), strict=True) if why}


def heal_index(store: Store, sample: int | None = SAMPLE, index: "pa.Table | None" = None) -> dict[str, str]:
    """Let the next plan train users again whose pointer does not know the version that the index names.

    Looked at are the users whom a run that had lost its lease has marked, and a sample of the others, drawn by chance.
    To be called with the lease held.

    Args:
        sample: number of users in it; None: everybody.
        index: its rows, where they have been read already.

    Returns:
        the reason, by user key.
    """
    marks = store.list_objects(late_marks_uri(store))
    late = {info.uri.rpartition("/")[2].removesuffix(".json") for info in marks}
    table = versions_in(read_rows(store) if index is None else index)
    keys, versions = table["user_key"], table["version"]
    num_users = table.num_rows
    drawn = range(num_users) if sample is None else random.sample(range(num_users), min(sample, num_users))
    looked_at = {keys[place].as_py(): versions[place].as_py() for place in drawn}
    if late:
        known = dict(zip(keys.to_pylist(), versions.to_pylist(), strict=True))
        looked_at |= {key: known[key] for key in sorted(late & known.keys())}
    found = disagreements(store, looked_at)
    forget_users(store, found.keys())
    for info in marks:
        store.delete(info.uri)
    return found


def healed_rows(store: Store, aside: list[str]) -> "pa.Table":
    """The rows of the index, after `heal_index`; where nothing is to be healed, it is read once.

    Args:
        aside: a line on each user who is planned again is added to it.
    """
    index = read_rows(store)
    healed = heal_index(store, index=index)
    aside.extend(f"{why}; the user is planned again" for why in healed.values())
    return read_rows(store) if healed else index


def _disagreement(store: Store, key: str, version: str) -> str:
    try:
        pointer = read_pointer(store, key)
    except ArtifactCorruptError as error:
        return str(error)
    if pointer is None:
        return f"users/{key}: there is no pointer to version {version}, which the index names"
    if version in (pointer.version, *(entry.get("version") for entry in pointer.history)):
        return ""
    return f"{pointer.where}: knows nothing of version {version}, which the index names"
