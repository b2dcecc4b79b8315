"""A night: one run of a fleet as the store has it, its summary, its plan and the outcomes of who was not unchanged."""

import calendar
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ds2ray.errors import Ds2RayError, InputError
from ds2ray.fleet.plan import Change
from ds2ray.store import Store
from ds2ray.store.layout import last_run_uri, plan_uri, summary_uri
from ds2ray.store.outcomes import Outcome, Status, read_outcomes
from ds2ray.store.records import SUMMARY, read_record, write_record

if TYPE_CHECKING:
    import pyarrow as pa

_LAST = "last run"
ENDED = "%Y-%m-%d %H:%M:%S UTC"
"""How a summary tells when its run ended."""
_PLAN_COLUMNS = ["user_key", "change", "speech_s"]


@dataclass(frozen=True)
class Night:
    """A run that has come to its end.

    Attributes:
        summary: summary.json; fields that came with later releases may be missing.
        plan: columns user_key, change and speech_s of all users; None where the run has no plan.
        outcomes: of all but the unchanged users.
    """

    summary: dict[str, Any]
    plan: "pa.Table | None"
    outcomes: tuple[Outcome, ...]

    @property
    def run_id(self) -> str:
        return str(self.summary.get("run_id", ""))

    @property
    def keys(self) -> set[str]:
        """The keys of all users whom the run knew."""
        return set() if self.plan is None else set(self.plan["user_key"].to_pylist())

    def new_users(self) -> list[str]:
        """The keys of the users whom no run had finished before."""
        import pyarrow.compute as pc

        if self.plan is None:
            return []
        new: list[str] = self.plan.filter(pc.equal(self.plan["change"], Change.new.value))["user_key"].to_pylist()
        return new

    def minutes(self) -> dict[str, float]:
        """Minutes of speech by user key, of the users with an outcome."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.plan is None:
            return {}
        wanted = pa.array([outcome.user_key for outcome in self.outcomes], pa.string())
        rows = self.plan.filter(pc.is_in(self.plan["user_key"], value_set=wanted))
        return dict(zip(rows["user_key"].to_pylist(), pc.divide(rows["speech_s"], 60.0).to_pylist(), strict=True))


def shipped_error(outcome: Outcome) -> float | None:
    """The held-out error of what the user has after the run; None where the run does not tell it."""
    if outcome.status is Status.adapted:
        return outcome.error_after
    current: float | None = getattr(outcome, "error_current", None)
    return current


def read_night(store: Store, run_id: str) -> Night:
    """A run by its id.

    Raises:
        InputError: it has no summary: there is no such run, it is at work, or it was killed.
        ArtifactCorruptError: a file of it is damaged.
    """
    try:
        summary: dict[str, Any] = read_record(store, dict, summary_uri(store, run_id), kind=SUMMARY)
    except FileNotFoundError:
        raise InputError(
            f"{store} has no summary of a run {run_id!r}: there is no such run, it is still at work, or it was killed; "
            "name another one"
        ) from None
    summary.setdefault("run_id", run_id)
    return Night(summary, _read_plan(store, run_id), tuple(read_outcomes(store, run_id, with_unchanged=False)))


def _read_plan(store: Store, run_id: str) -> "pa.Table | None":
    try:
        table = store.read_table(plan_uri(store, run_id))
    except FileNotFoundError:
        return None
    if not set(_PLAN_COLUMNS) <= set(table.column_names):
        return None
    return table.select(_PLAN_COLUMNS)


def nights_before(store: Store, run_id: str, most: int) -> Iterator[Night]:
    """The runs before this one, newest first, at most so many; `run_id` is of the run that `previous` of a summary, or
    the record of the last run, names. It ends where a run was collected or is damaged."""
    for _ in range(most):
        if not run_id:
            return
        try:
            night = read_night(store, run_id)
        except Ds2RayError:
            return
        yield night
        run_id = str(night.summary.get("previous") or "")


def summaries_before(store: Store, run_id: str, most: int) -> Iterator[dict[str, Any]]:
    """The summaries of `nights_before`: one small file each."""
    for _ in range(most):
        if not run_id:
            return
        try:
            summary: dict[str, Any] = read_record(store, dict, summary_uri(store, run_id), kind=SUMMARY)
        except (FileNotFoundError, Ds2RayError):
            return
        yield summary
        run_id = str(summary.get("previous") or "")


def last_good_s(summaries: Iterable[Mapping[str, Any]]) -> float | None:
    """When the newest of these runs ended that was complete, in seconds since 1970; None where none tells."""
    for summary in summaries:
        if summary.get("exit_code") != 0:
            continue
        try:
            return float(calendar.timegm(time.strptime(str(summary.get("ended")), ENDED)))
        except ValueError:  # a run of an earlier release
            continue
    return None


def read_last_run(store: Store) -> str:
    """The id of the last run that came to its end; empty where none is known."""
    try:
        record: dict[str, Any] = read_record(store, dict, last_run_uri(store), kind=_LAST)
    except (FileNotFoundError, Ds2RayError):
        return ""
    return str(record.get("run_id") or "")


def write_last_run(store: Store, run_id: str) -> None:
    """Make a run the last one, which the next run is compared with."""
    write_record(store, last_run_uri(store), _LAST, {"run_id": run_id})
