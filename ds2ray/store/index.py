"""The index: a row per user, with the fingerprint of what the adapter was made of, so that a plan reads one object.

It is read and written in columns. A user whom the users table no longer names keeps the row, and the adapter.

Who was skipped for a cause in the data pipeline has the state of the pipeline in the row, and the time: when the state
is another one, or as long ago as the settings say, the user is tried again.

A run writes a mark when it begins and removes it when it ends. A crash leaves the mark behind: the next run then takes
the outcomes that the crashed run had written over into the index, and so does only what is unfinished.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ds2ray.store import lease
from ds2ray.store.layout import index_uri, run_mark_uri, run_marks_uri
from ds2ray.store.outcomes import Outcome, Status, read_outcomes
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


def open_run(store: Store, run_id: str) -> None:
    """Mark the run as begun."""
    order = max((order for order, _ in _pending(store)), default=0) + 1
    store.write_json(run_mark_uri(store, run_id), {"run_id": run_id, "order": order})


def close_run(store: Store, run_id: str, outcomes: Iterable[Outcome], pipeline: str = _UNKNOWN_PIPELINE) -> None:
    """Take the outcomes over into the index, then remove the run's mark.

    Args:
        pipeline: state of the data pipeline that the run had (see `ds2ray.fleet.fingerprints.pipeline_state`).
    """
    _merge(store, run_id, outcomes, pipeline)
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


def _merge(store: Store, run_id: str, outcomes: Iterable[Outcome], pipeline: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    touched = {outcome.user_key: outcome for outcome in outcomes if outcome.status is not Status.unchanged}
    if not touched:
        return
    index = _read(store)
    keys = pa.array(touched, pa.string())
    known = index["version"].combine_chunks().take(pc.index_in(keys, value_set=index["user_key"].combine_chunks()))
    before = zip(touched.values(), known.to_pylist(), strict=True)
    versions = [outcome.version or version or "" for outcome, version in before]
    # without a fingerprint the next plan takes a failed user for changed
    fingerprints = ["" if row.status is Status.failed else row.fingerprint for row in touched.values()]
    statuses = [outcome.status.value for outcome in touched.values()]
    pipelines = [pipeline if row.unusable else "" for row in touched.values()]
    tried_s = [time.time() if row.unusable else None for row in touched.values()]
    columns = [keys, fingerprints, statuses, versions, [run_id] * len(touched), pipelines, tried_s]
    schema = _schema()
    rows = pa.table([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema)
    others = index.filter(pc.invert(pc.is_in(index["user_key"], value_set=keys)))
    store.write_table(index_uri(store), pa.concat_tables([others, rows]).sort_by("user_key"))


def _schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([(name, pa.float64() if name == "tried_s" else pa.string()) for name in _COLUMNS])


def _read(store: Store) -> "pa.Table":
    """The index, with the columns that those of earlier releases lack."""
    import pyarrow as pa
    import pyarrow.compute as pc

    schema = _schema()
    try:
        table = store.read_table(index_uri(store))
    except FileNotFoundError:
        return schema.empty_table()
    if "pipeline" not in table.column_names:
        skipped = pc.equal(table["status"], Status.skipped_no_data.value)
        table = table.append_column("pipeline", pc.if_else(skipped, _OF_EARLIER_RELEASES, ""))
        table = table.append_column("tried_s", pa.nulls(len(table), pa.float64()))
    return table.select(list(_COLUMNS)).cast(schema)


def _pending(store: Store) -> list[tuple[int, str]]:
    marks = store.list_objects(run_marks_uri(store))
    documents = [store.read_json(info.uri) for info in marks]
    return [(int(document["order"]), str(document["run_id"])) for document in documents]
