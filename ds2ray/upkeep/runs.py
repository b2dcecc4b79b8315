"""The runs of a store: their folders, their age, and whom each has published."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ds2ray import storage
from ds2ray.errors import InputError
from ds2ray.store import Store
from ds2ray.store.index import read_rows
from ds2ray.store.layout import outcomes_uri, plan_uri, runs_uri
from ds2ray.store.outcomes import Status
from ds2ray.upkeep.working import at_once

if TYPE_CHECKING:
    import pyarrow as pa

LAST_RUN = "last"
"""The name of the newest run, whatever its id is."""

_TO_TRAIN = ("new", "changed")  # of a plan
_MAX_SHOWN = 5


@dataclass
class RunFolder:
    """The folder of a run: its objects, and when the first and the last of them was written (seconds since 1970)."""

    run_id: str
    uris: list[str]
    size_bytes: int = 0
    first_s: float = 0.0
    last_s: float = 0.0


def run_folders(store: Store) -> list[RunFolder]:
    """The runs that have a folder, the newest first."""
    root = runs_uri(store) + "/"
    folders: dict[str, RunFolder] = {}
    for page in storage.walk(runs_uri(store), store.server):
        for found in page:
            run_id, slash, _ = found.uri.removeprefix(root).partition("/")
            if not slash:
                continue
            folder = folders.setdefault(run_id, RunFolder(run_id, [], first_s=found.modified_s))
            folder.uris.append(found.uri)
            folder.size_bytes += found.size_bytes
            folder.first_s = min(folder.first_s, found.modified_s)
            folder.last_s = max(folder.last_s, found.modified_s)
    return sorted(folders.values(), key=lambda folder: (-folder.last_s, folder.run_id))


def known_run(store: Store, run_id: str) -> str:
    """The id of a run as it is meant: `last` is the newest. Raises InputError where there is none."""
    if run_id != LAST_RUN:
        return run_id
    folders = run_folders(store)
    if not folders:
        raise InputError(f"{store} has no run")
    return folders[0].run_id


def published_by(store: Store, run_id: str) -> list[str]:
    """The keys of the users for whom a run may have published: those that its outcomes call adapted, those of its plan
    without an outcome, as a killed run leaves some, and those that the index knows from it.

    Raises:
        InputError: nothing is known of such a run.
    """
    import pyarrow.compute as pc

    index = read_rows(store)
    mine = index.filter(pc.and_(pc.equal(index["run_id"], run_id), pc.not_equal(index["version"], "")))
    keys = set(mine["user_key"].to_pylist())
    done: set[str] = set()
    known = bool(keys)
    for part in _outcome_parts(store, run_id):
        known = True
        done.update(part["user_key"].to_pylist())
        keys.update(part.filter(pc.equal(part["status"], Status.adapted.value))["user_key"].to_pylist())
    plan = _planned(store, run_id)
    if plan is None and not known:
        raise _unknown(store, run_id)
    return sorted(keys | ((plan or set()) - done))


def _outcome_parts(store: Store, run_id: str) -> "Iterator[pa.Table]":
    parts = [info.uri for info in store.list_objects(outcomes_uri(store, run_id)) if info.uri.endswith(".parquet")]
    for _, part in at_once(lambda uri: store.read_table(uri, ["user_key", "status"]), parts):
        yield part


def _planned(store: Store, run_id: str) -> set[str] | None:
    """The users that a run was to train; None where it has no plan."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        plan = store.read_table(plan_uri(store, run_id), ["user_key", "change"])
    except FileNotFoundError:
        return None
    return set(plan.filter(pc.is_in(plan["change"], value_set=pa.array(_TO_TRAIN)))["user_key"].to_pylist())


def _unknown(store: Store, run_id: str) -> InputError:
    there = [folder.run_id for folder in run_folders(store)]
    close = difflib.get_close_matches(run_id, there, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    shown = ", ".join(there[:_MAX_SHOWN]) + (" …" if len(there) > _MAX_SHOWN else "") if there else "none"
    return InputError(f"{store} has no run {run_id!r}{hint}; runs there, the newest first: {shown}")
