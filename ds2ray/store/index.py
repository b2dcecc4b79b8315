"""The index: a row per user, with the fingerprint of what the adapter was made of, so that a plan reads one object.

It is read and written in columns. A user whom the users table no longer names keeps the row, and the adapter.

A run writes a mark when it begins and removes it when it ends. A crash leaves the mark behind: the next run then takes
the outcomes that the crashed run had written over into the index, and so does only what is unfinished.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ds2ray import storage
from ds2ray.errors import InterruptedRunError
from ds2ray.storage import Seen
from ds2ray.store import lease
from ds2ray.store.layout import index_uri, run_mark_uri
from ds2ray.store.outcomes import Outcome, Status, read_outcomes
from ds2ray.store.recovery.aside import set_aside
from ds2ray.store.recovery.marks import mark_run, planned_users, run_marks
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


def read_versions(store: Store) -> "pa.Table":
    """The columns user_key and version of the users whom a plan may take for unchanged, and who have an adapter."""
    import pyarrow.compute as pc

    index = _read(store, ("user_key", "fingerprint", "version"))
    wanted = pc.and_(pc.not_equal(index["version"], ""), pc.not_equal(index["fingerprint"], ""))
    return index.filter(wanted).select(["user_key", "version"])


def open_run(store: Store, run_id: str) -> None:
    """Mark the run as begun."""
    order = max((mark.order for mark in run_marks(store)), default=0) + 1
    mark_run(store, run_id, order)


def close_run(store: Store, run_id: str, outcomes: Iterable[Outcome]) -> None:
    """Take the outcomes over into the index, then remove the run's mark."""
    _merge(store, run_id, outcomes)
    store.delete(run_mark_uri(store, run_id))


def recover_runs(store: Store, aside: list[str] | None = None) -> list[str]:
    """Close the runs that a crash has left open, but not the run of another process that holds the lease.

    What is damaged of what they left is set aside and stops nobody. Users whom such a run was to train, and of whom no
    outcome is left, are planned again, whatever the index says of them: the run may have published for them.

    To be called with the lease held: then no other process works on the store.

    Args:
        aside: a line on each damaged file is added to it.

    Returns:
        the ids of the closed runs.
    """
    aside = [] if aside is None else aside
    alive = lease.held_elsewhere(store)
    marks = sorted((mark for mark in run_marks(store) if mark.run_id != alive), key=lambda mark: mark.order)
    for mark in marks:
        if mark.damage:
            aside.append(set_aside(store, mark.uri, mark.damage))
        found = read_outcomes(store, mark.run_id, with_unchanged=False, aside=aside)
        _merge(store, mark.run_id, found)
        forget_users(store, planned_users(store, mark.run_id, aside) - {outcome.user_key for outcome in found})
        store.delete(mark.uri)
    return [mark.run_id for mark in marks]


def forget_users(store: Store, keys: Set[str]) -> None:
    """Let the next plan take these users for changed; to be called with the lease held."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not keys:
        return
    index, seen = _read_seen(store)
    known = pc.and_(
        pc.is_in(index["user_key"], value_set=pa.array(sorted(keys))), pc.not_equal(index["fingerprint"], "")
    )
    if not pc.any(known).as_py():
        return
    place = index.schema.get_field_index("fingerprint")
    forgotten = pc.if_else(known, "", index["fingerprint"])
    _write(store, index.set_column(place, "fingerprint", forgotten), seen)


def _merge(store: Store, run_id: str, outcomes: Iterable[Outcome]) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    touched = {outcome.user_key: outcome for outcome in outcomes if outcome.status is not Status.unchanged}
    if not touched:
        return
    index, seen = _read_seen(store)
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
    _write(store, pa.concat_tables([others, rows]).sort_by("user_key"), seen)


def _read_seen(store: Store) -> "tuple[pa.Table, Seen]":
    """The whole index, and what was seen, for the write that depends on it."""
    import pyarrow as pa

    schema = pa.schema([(name, pa.string()) for name in _COLUMNS])
    seen = store.read_seen(index_uri(store))
    if seen.data is None:
        return schema.empty_table(), seen
    return store.parse_table(index_uri(store), seen.data, list(_COLUMNS)).cast(schema), seen


def _write(store: Store, index: "pa.Table", seen: Seen) -> None:
    if not store.write_where_seen(index_uri(store), storage.table_bytes(index), seen):
        raise InterruptedRunError(
            f"{index_uri(store)} was changed by another writer at this moment; nothing is lost, run again"
        )


def _read(store: Store, columns: Sequence[str]) -> "pa.Table":
    import pyarrow as pa

    schema = pa.schema([(name, pa.string()) for name in columns])
    try:
        return store.read_table(index_uri(store), list(columns)).cast(schema)
    except FileNotFoundError:
        return schema.empty_table()
