"""Outcomes: what became of each user in a run, one row per user, written in parts as trials finish them."""

import itertools
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from enum import Enum
from typing import TYPE_CHECKING

from ds2ray import storage
from ds2ray.errors import ArtifactCorruptError, InputError
from ds2ray.storage import ObjectInfo
from ds2ray.store.layout import outcomes_part_uri, outcomes_uri
from ds2ray.store.leases.fence import LateWriteError
from ds2ray.store.recovery.aside import set_aside
from ds2ray.store.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

_THREADS = 16  # parts that are read at once


class Status(Enum):
    adapted = "adapted"  # a new adapter was published
    unchanged = "unchanged"  # neither data nor base nor settings have changed since the last run
    kept_previous = "kept_previous"  # the new adapter did not pass the gate; the user has what they had
    skipped_no_data = "skipped_no_data"  # too few usable utterances
    failed = "failed"  # tried, in vain; the next run tries again


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of one user in one run. Errors are held-out error rates, None where nothing was trained."""

    user_key: str
    status: Status
    reason: str = ""
    attempts: int = 1
    seconds: float = 0.0
    utterances_used: int = 0
    utterances_dropped: int = 0
    error_before: float | None = None
    error_after: float | None = None
    version: str = ""  # of the adapter that was published …
    sha256: str = ""  # … and its digest
    fingerprint: str = ""  # of data, base and settings: while it stays the same, the user is not trained again
    unusable: bool = False  # skipped for a cause in the data pipeline: there would be enough, were it all readable
    improvement: float | None = None  # the probability that the trained adapter improves on the base
    error_current: float | None = None  # held-out error of the adapter that the user had before
    anchor_error_before: float | None = None  # on ordinary speech by the base alone, where there is an anchor …
    anchor_error_after: float | None = None  # … and through the trained adapter
    utterances_heard: int = 0  # without a transcript, of which the adapter has learned something, too

    @property
    def has_drifted(self) -> bool:
        """Whether the user keeps an adapter that errs more than the base alone on the newest held-out speech."""
        if self.status is not Status.kept_previous or self.error_current is None or self.error_before is None:
            return False
        return self.error_current > self.error_before


def write_part(
    store: Store, run_id: str, part_name: str, outcomes: Iterable[Outcome], unchanged: "pa.Table | None" = None
) -> None:
    """Write a part of a run's outcomes; an earlier part of the same name is replaced.

    A run that had lost its lease when the part was written takes it back.

    Args:
        unchanged: columns user_key, fingerprint, num_dropped, version and unusable of unchanged users, who get a row
            each, too.
    """
    import pyarrow as pa

    table = _to_table(outcomes)
    if unchanged is not None:
        table = pa.concat_tables([table, _unchanged_rows(unchanged)])
    uri = outcomes_part_uri(store, run_id, part_name)
    try:
        store.write_table(uri, table)
    except LateWriteError:
        storage.delete(uri, store.server)  # the run that has the lease now has counted these users already
        raise


def read_part(store: Store, run_id: str, part_name: str) -> list[Outcome] | None:
    """The outcomes of a part, none where it is damaged and set aside; None where no such part was written."""
    uri = outcomes_part_uri(store, run_id, part_name)
    try:
        return _read_part(store, uri)
    except FileNotFoundError:
        return None
    except (InputError, ArtifactCorruptError) as error:
        set_aside(store, uri, str(error))
        return []


def read_outcomes(
    store: Store, run_id: str, *, with_unchanged: bool = True, aside: list[str] | None = None
) -> list[Outcome]:
    """The outcomes of a run by user key, one per user: that of the last attempt, and of its parts the later one's.

    Args:
        with_unchanged: whether the outcomes of unchanged users are wanted, too.
        aside: damaged parts are set aside, and a line on each is added to it; None: they are errors.

    Raises:
        InputError, ArtifactCorruptError: a part is damaged.
    """

    def read(info: ObjectInfo) -> list[Outcome]:
        try:
            return _read_part(store, info.uri, with_unchanged)
        except FileNotFoundError:
            return []
        except (InputError, ArtifactCorruptError) as error:
            if aside is None:
                raise
            aside.append(set_aside(store, info.uri, str(error)))
            return []

    last: dict[str, Outcome] = {}
    parts = [info for info in store.list_objects(outcomes_uri(store, run_id)) if _is_part(info)]
    with ThreadPoolExecutor(_THREADS) as pool:
        for outcome in itertools.chain.from_iterable(pool.map(read, parts)):
            known = last.get(outcome.user_key)
            if known is None or outcome.attempts >= known.attempts:
                last[outcome.user_key] = outcome
    return [last[key] for key in sorted(last)]


def _read_part(store: Store, uri: str, with_unchanged: bool = True) -> list[Outcome]:
    import pyarrow as pa
    import pyarrow.compute as pc

    table = store.read_table(uri)
    try:
        if not with_unchanged:
            table = table.filter(pc.not_equal(table["status"], Status.unchanged.value))
        return _from_table(table)
    except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise ArtifactCorruptError(f"{uri}: holds no outcomes: {error!r}; restore it or delete it") from error


def _is_part(info: ObjectInfo) -> bool:
    return info.uri.endswith(".parquet")


def _schema() -> "pa.Schema":
    import pyarrow as pa

    types = {
        "attempts": pa.int32(),
        "seconds": pa.float64(),
        "utterances_used": pa.int32(),
        "utterances_dropped": pa.int32(),
        "error_before": pa.float64(),
        "error_after": pa.float64(),
        "unusable": pa.bool_(),
        "improvement": pa.float64(),
        "error_current": pa.float64(),
        "anchor_error_before": pa.float64(),
        "anchor_error_after": pa.float64(),
        "utterances_heard": pa.int32(),
    }
    return pa.schema([(field.name, types.get(field.name, pa.string())) for field in fields(Outcome)])


def _to_table(outcomes: Iterable[Outcome]) -> "pa.Table":
    import pyarrow as pa

    rows = [{**vars(outcome), "status": outcome.status.value} for outcome in outcomes]
    return pa.Table.from_pylist(rows, schema=_schema())


def _unchanged_rows(unchanged: "pa.Table") -> "pa.Table":
    """The outcomes of unchanged users, made in columns, as there may be a million of them."""
    import pyarrow as pa

    schema, length = _schema(), unchanged.num_rows
    given = {
        "user_key": unchanged["user_key"],
        "utterances_dropped": unchanged["num_dropped"],
        "fingerprint": unchanged["fingerprint"],
    }
    given |= {name: unchanged[name] for name in ("version", "unusable") if name in unchanged.column_names}
    plain = vars(Outcome(user_key="", status=Status.unchanged, attempts=0)) | {"status": Status.unchanged.value}
    columns = [
        given[field.name] if field.name in given else pa.repeat(pa.scalar(plain[field.name], field.type), length)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _from_table(table: "pa.Table") -> list[Outcome]:
    # columns that came with later releases are missing in the tables of earlier ones
    names = [field.name for field in fields(Outcome) if field.name in table.column_names]
    return [
        Outcome(**{name: row[name] for name in names} | {"status": Status(row["status"])}) for row in table.to_pylist()
    ]
