"""The index: what each user's adapter was made of, in one table, so that a plan reads one object and not millions.

A run leaves a mark while it goes on. A crash leaves the mark behind; the next run then takes over the outcomes that
the crashed one had written, so that running again does what is unfinished and no more.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ds2ray import storage
from ds2ray.fleet import lease
from ds2ray.fleet.outcomes import Outcome, Status, read_outcomes

_COLUMNS = ("user_key", "fingerprint", "status", "version", "run_id")


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A user as the last run left it. `fingerprint` is empty where that run failed, `version` without an adapter."""

    fingerprint: str
    status: Status
    version: str
    run_id: str


def read_index(root_uri: str) -> dict[str, IndexRow]:
    """All known users by key; empty for a new store."""
    try:
        table = storage.read_table(_index_uri(root_uri))
    except FileNotFoundError:
        return {}
    keys, fingerprints, statuses, versions, run_ids = (table.column(name).to_pylist() for name in _COLUMNS)
    rows = zip(keys, fingerprints, map(Status, statuses), versions, run_ids, strict=True)
    return {key: IndexRow(fingerprint, status, version, run_id) for key, fingerprint, status, version, run_id in rows}


def open_run(root_uri: str, run_id: str) -> None:
    """Mark the run as begun."""
    order = max((order for order, _ in _pending(root_uri)), default=0) + 1
    storage.write_json(_pending_uri(root_uri, run_id), {"run_id": run_id, "order": order})


def close_run(root_uri: str, run_id: str, outcomes: Iterable[Outcome]) -> None:
    """Take the outcomes over into the index, then remove the run's mark."""
    _merge(root_uri, run_id, outcomes)
    storage.delete(_pending_uri(root_uri, run_id))


def recover_runs(root_uri: str) -> list[str]:
    """Close the runs that a crash has left open, but for one that another process is at; returns their ids.

    Best called by who holds the lease: then nobody else is at it.
    """
    alive = lease.held_elsewhere(root_uri)
    recovered = [run_id for _, run_id in sorted(_pending(root_uri)) if run_id != alive]
    for run_id in recovered:
        close_run(root_uri, run_id, read_outcomes(root_uri, run_id))
    return recovered


def _merge(root_uri: str, run_id: str, outcomes: Iterable[Outcome]) -> None:
    import pyarrow as pa

    index = read_index(root_uri)
    changed = False
    for outcome in outcomes:
        if outcome.status is Status.unchanged:
            continue
        changed = True
        known = index.get(outcome.user_key)
        version = outcome.version or (known.version if known else "")
        # A failed user has no fingerprint that a plan could find unchanged.
        fingerprint = "" if outcome.status is Status.failed else outcome.fingerprint
        index[outcome.user_key] = IndexRow(fingerprint, outcome.status, version, run_id)
    if not changed:
        return
    rows = [(key, row.fingerprint, row.status.value, row.version, row.run_id) for key, row in sorted(index.items())]
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    storage.write_table(_index_uri(root_uri), pa.table(columns, names=list(_COLUMNS)))


def _pending(root_uri: str) -> list[tuple[int, str]]:
    marks = storage.list_objects(storage.join(root_uri, "index", "pending"))
    documents = [storage.read_json(info.uri) for info in marks]
    return [(int(document["order"]), str(document["run_id"])) for document in documents]


def _pending_uri(root_uri: str, run_id: str) -> str:
    return storage.join(root_uri, "index", "pending", f"{run_id}.json")


def _index_uri(root_uri: str) -> str:
    return storage.join(root_uri, "index", "users.parquet")
