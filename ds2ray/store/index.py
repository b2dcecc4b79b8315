"""The index: a row per user, with the fingerprint of what the adapter was made of, so that a plan reads one object.

It is read and written in columns. A user whom the users table no longer names keeps the row, and the adapter.

Who was skipped for a cause in the data pipeline has the state of the pipeline in the row, and the time: when the state
is another one, or as long ago as the settings say, the user is tried again.

A run writes a mark when it begins and removes it when it ends. A crash leaves the mark behind: the next run then takes
the outcomes that the crashed run had written over into the index, and so does only what is unfinished.
"""

import time
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ds2ray import storage
from ds2ray.errors import InterruptedRunError
from ds2ray.store import lease
from ds2ray.store.layout import index_uri, run_mark_uri
from ds2ray.store.outcomes import Outcome, Status, read_outcomes
from ds2ray.store.recovery.aside import set_aside
from ds2ray.store.recovery.marks import mark_run, planned_users, run_marks
from ds2ray.store.recovery.published import write_published
from ds2ray.store.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

PIPELINE_VERSION = 1
"""Number of the way in which speech is read; it rises when what could not be read may be readable with a release."""

_OF_EARLIER_RELEASES = "0"
"""State of the pipeline in rows of skipped users that were written before there was one."""
_UNKNOWN_PIPELINE = "unknown"

_ROW = ("user_key", "fingerprint", "status", "version", "run_id")
_COLUMNS = (*_ROW, "pipeline", "tried_s")


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A user's row, as the last run left it: `fingerprint` is empty for a failed user, `version` without an adapter."""

    fingerprint: str
    status: Status
    version: str
    run_id: str


def read_index(store: Store) -> dict[str, IndexRow]:
    """The whole index by user key, for fleets that are small enough; empty for a new store."""
    table = _read(store)
    columns = (table.column(name).to_pylist() for name in _ROW)
    return {
        key: IndexRow(fingerprint, Status(status), version, run_id)
        for key, fingerprint, status, version, run_id in zip(*columns, strict=True)
    }


def read_fingerprints(store: Store) -> "pa.Table":
    """The columns user_key and fingerprint of the index."""
    return read_known(store).select(["user_key", "fingerprint"])


def read_known(store: Store) -> "pa.Table":
    """The index for a plan: columns user_key, fingerprint, version, pipeline and tried_s.

    `pipeline` is empty but for users who were skipped for a cause in the data pipeline: the state that it had then.
    `tried_s` is when that was, in seconds since 1970, and null for the others.
    """
    return _read(store).select(["user_key", "fingerprint", "version", "pipeline", "tried_s"])


def read_rows(store: Store) -> "pa.Table":
    """The whole index in columns (see `read_known` for the last two); empty for a new store."""
    return _read(store)


def edit_rows(store: Store, change: "Callable[[pa.Table], pa.Table]") -> None:
    """Write the index as `change` makes it of the rows that are there; the same rows are not written again.

    All that writes the index does it here, with the lease held, and where it still holds what was read.

    Args:
        change: from the rows, with the columns of `read_rows`, to the new ones.

    Raises:
        ArtifactCorruptError: the index is damaged.
        InterruptedRunError: another writer was at it, or the lease is lost.
    """
    uri = index_uri(store)
    seen = store.read_seen(uri)
    rows = _schema().empty_table() if seen.data is None else _with_all_columns(store.parse_table(uri, seen.data))
    changed = change(rows).select(list(_COLUMNS)).sort_by("user_key")
    if changed.equals(rows):
        return
    if not store.write_where_seen(uri, storage.table_bytes(changed), seen):
        raise InterruptedRunError(f"{uri} was changed by another writer at this moment; nothing is lost, run again")


def with_rows(index: "pa.Table", keys: "pa.Array", rows: "pa.Table") -> "pa.Table":
    """The index with these rows in place of those of the users with these keys."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pa.concat_tables([index.filter(pc.invert(pc.is_in(index["user_key"], value_set=keys))), rows])


def versions_in(index: "pa.Table") -> "pa.Table":
    """The columns user_key and version of the users whom a plan may take for unchanged, and who have an adapter."""
    import pyarrow.compute as pc

    wanted = pc.and_(pc.not_equal(index["version"], ""), pc.not_equal(index["fingerprint"], ""))
    return index.filter(wanted).select(["user_key", "version"])


def open_run(store: Store, run_id: str) -> None:
    """Mark the run as begun."""
    order = max((mark.order for mark in run_marks(store)), default=0) + 1
    mark_run(store, run_id, order)


def close_run(store: Store, run_id: str, outcomes: Iterable[Outcome], pipeline: str = _UNKNOWN_PIPELINE) -> None:
    """Take the outcomes over into the index, then remove the run's mark.

    Args:
        pipeline: state of the data pipeline that the run had (see `ds2ray.fleet.fingerprints.pipeline_state`).
    """
    _merge(store, run_id, outcomes, pipeline)
    store.delete(run_mark_uri(store, run_id))


def recover_runs(store: Store, aside: list[str] | None = None, stay: Callable[[], None] = lambda: None) -> list[str]:
    """Close the runs that a crash has left open, but not the run of another process that holds the lease.

    What is damaged of what they left is set aside and stops nobody. Of users whom such a run was to train, and of whom
    no outcome is left, the pointer is read: where the run has published for them, they are done, and get an outcome.
    The others are planned again, whatever the index says of them.

    To be called with the lease held: then no other process works on the store.

    Args:
        aside: a line on each damaged file is added to it.
        stay: called now and then, for the lease.

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
        left = planned_users(store, mark.run_id, aside)
        for outcome in found:
            left.pop(outcome.user_key, None)
        published = write_published(store, mark.run_id, left, stay)
        _merge(store, mark.run_id, [*found, *published], _UNKNOWN_PIPELINE)
        forget_users(store, left.keys() - {outcome.user_key for outcome in published})
        store.delete(mark.uri)
    return [mark.run_id for mark in marks]


def forget_users(store: Store, keys: Set[str]) -> None:
    """Let the next plan take these users for changed; to be called with the lease held."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not keys:
        return

    def forgotten(index: "pa.Table") -> "pa.Table":
        known = pc.is_in(index["user_key"], value_set=pa.array(sorted(keys), pa.string()))
        place = index.schema.get_field_index("fingerprint")
        return index.set_column(place, "fingerprint", pc.if_else(known, "", index["fingerprint"]))

    edit_rows(store, forgotten)


def _merge(store: Store, run_id: str, outcomes: Iterable[Outcome], pipeline: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    touched = {outcome.user_key: outcome for outcome in outcomes if outcome.status is not Status.unchanged}
    if not touched:
        return
    keys, schema = pa.array(touched, pa.string()), _schema()

    def merged(index: "pa.Table") -> "pa.Table":
        known = index["version"].combine_chunks().take(pc.index_in(keys, value_set=index["user_key"].combine_chunks()))
        before = zip(touched.values(), known.to_pylist(), strict=True)
        versions = [outcome.version or version or "" for outcome, version in before]
        # without a fingerprint the next plan takes a failed user for changed
        fingerprints = ["" if row.status is Status.failed else row.fingerprint for row in touched.values()]
        statuses = [outcome.status.value for outcome in touched.values()]
        pipelines = [pipeline if row.unusable else "" for row in touched.values()]
        tried_s = [time.time() if row.unusable else None for row in touched.values()]
        columns = [keys, fingerprints, statuses, versions, [run_id] * len(touched), pipelines, tried_s]
        rows = pa.table([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema)
        return with_rows(index, keys, rows)

    edit_rows(store, merged)


def _schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([(name, pa.float64() if name == "tried_s" else pa.string()) for name in _COLUMNS])


def _read(store: Store) -> "pa.Table":
    try:
        return _with_all_columns(store.read_table(index_uri(store)))
    except FileNotFoundError:
        return _schema().empty_table()


def _with_all_columns(table: "pa.Table") -> "pa.Table":
    """An index with the columns that those of earlier releases lack."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "pipeline" not in table.column_names:
        skipped = pc.equal(table["status"], Status.skipped_no_data.value)
        table = table.append_column("pipeline", pc.if_else(skipped, _OF_EARLIER_RELEASES, ""))
        table = table.append_column("tried_s", pa.nulls(len(table), pa.float64()))
    return table.select(list(_COLUMNS)).cast(_schema())
