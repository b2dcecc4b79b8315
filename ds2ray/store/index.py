"""The index: a row per user, with the fingerprint of what the adapter was made of, so that a plan reads one object.

It is read and written in columns. A user whom the users table no longer names keeps the row, and the adapter.

A run writes a mark when it begins and removes it when it ends. A crash leaves the mark behind: the next run then takes
the outcomes that the crashed run had written over into the index, and so does only what is unfinished.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ds2ray.store import lease
from ds2ray.store.layout import index_uri, run_mark_uri, run_marks_uri
from ds2ray.store.outcomes import Outcome, Status, read_outcomes
from ds2ray.store.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = ("user_key", "fingerprint", "status", "version", "run_id")


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A user's row, as the last run left it: `fingerprint` is empty for a failed user, `version` without an adapter."""

    fingerprint: str
    status: Status
    version: str
    run_id: str


def read_index(store: Store) -> dict[str, IndexRow]:
    """The whole index by user key, for fleets that are small enough; empty for a new store."""
    columns = (_read(store, _COLUMNS).column(name).to_pylist() for name in _COLUMNS)
    return {
        key: IndexRow(fingerprint, Status(status), version, run_id)
        for key, fingerprint, status, version, run_id in zip(*columns, strict=True)
    }


def read_fingerprints(store: Store) -> "pa.Table":
    """The columns user_key and fingerprint of the index, which are all that a plan needs."""
    return _read(store, ("user_key", "fingerprint"))


def read_rows(store: Store) -> "pa.Table":
    """The whole index in columns: user_key, fingerprint, status, version and run_id; empty for a new store."""
    return _read(store, _COLUMNS)


def write_rows(store: Store, rows: "pa.Table") -> None:
    """Write the whole index, with the columns of `read_rows`; to be called with the lease held."""
    store.write_table(index_uri(store), rows.select(list(_COLUMNS)).sort_by("user_key"))


def open_run(store: Store, run_id: str) -> None:
    """Mark the run as begun."""
    order = max((order for order, _ in _pending(store)), default=0) + 1
    store.write_json(run_mark_uri(store, run_id), {"run_id": run_id, "order": order})


def close_run(store: Store, run_id: str, outcomes: Iterable[Outcome]) -> None:
    """Take the outcomes over into the index, then remove the run's mark."""
    _merge(store, run_id, outcomes)
    store.delete(run_mark_uri(store, run_id))


def recover_runs(store: Store) -> list[str]:
    """Close the runs that a crash has left open, but not the run of another process that holds the lease.

    To be called with the lease held: then no other process works on the store.

    Returns:
        the ids of the closed runs.
    """
    alive = lease.held_elsewhere(store)
    recovered = [run_id for _, run_id in sorted(_pending(store)) if run_id != alive]
    for run_id in recovered:
        close_run(store, run_id, read_outcomes(store, run_id, with_unchanged=False))
    return recovered


def _merge(store: Store, run_id: str, outcomes: Iterable[Outcome]) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    touched = {outcome.user_key: outcome for outcome in outcomes if outcome.status is not Status.unchanged}
    if not touched:
        return
    index = _read(store, _COLUMNS)
    keys = pa.array(touched, pa.string())
    known = index["version"].combine_chunks().take(pc.index_in(keys, value_set=index["user_key"].combine_chunks()))
    before = zip(touched.values(), known.to_pylist(), strict=True)
    versions = [outcome.version or version or "" for outcome, version in before]
    # without a fingerprint the next plan takes a failed user for changed
    fingerprints = ["" if row.status is Status.failed else row.fingerprint for row in touched.values()]
    statuses = [outcome.status.value for outcome in touched.values()]
    columns = [keys, fingerprints, statuses, versions, [run_id] * len(touched)]
    rows = pa.table([pa.array(column, pa.string()) for column in columns], names=list(_COLUMNS))
    others = index.filter(pc.invert(pc.is_in(index["user_key"], value_set=keys)))
    store.write_table(index_uri(store), pa.concat_tables([others, rows]).sort_by("user_key"))


def _read(store: Store, columns: Sequence[str]) -> "pa.Table":
    import pyarrow as pa

    schema = pa.schema([(name, pa.string()) for name in columns])
    try:
        return store.read_table(index_uri(store), list(columns)).cast(schema)
    except FileNotFoundError:
        return schema.empty_table()


def _pending(store: Store) -> list[tuple[int, str]]:
    marks = store.list_objects(run_marks_uri(store))
    documents = [store.read_json(info.uri) for info in marks]
    return [(int(document["order"]), str(document["run_id"])) for document in documents]
