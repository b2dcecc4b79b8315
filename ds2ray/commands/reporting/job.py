"""jobs/report.py: the runs of a store in the terminal, and any two of them compared."""

from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from ds2ray import display, storage
from ds2ray.config import ReportJob
from ds2ray.errors import ConfigError, Ds2RayError, InputError
from ds2ray.naming import typed
from ds2ray.nights.compared import Comparison, compared, cost, gpu_hours
from ds2ray.nights.night import Night, nights_before, read_night
from ds2ray.nights.page import naming, page
from ds2ray.nights.tables import compared_table, runs_table
from ds2ray.store import Store, require_salt
from ds2ray.store.layout import summary_uri
from ds2ray.store.records import SUMMARY, read_record
from ds2ray.upkeep.runs import known_run, run_folders

if TYPE_CHECKING:
    from typing import Any


def run(job: ReportJob) -> int:
    """List runs, or compare one with the run before it or with another; returns the exit code.

    Raises:
        ConfigError: a page is wanted, and no run is named.
        InputError: there is no such run, or it has no summary.
        StorageError: the store cannot be reached.
    """
    store = Store.of(job.storage)
    require_salt(store)
    if not job.runs:
        if job.output:
            raise ConfigError(f"output={job.output}: of which run? `{typed('report')} last output={job.output}`")
        return _list(job, store)
    comparison = _compared(job, store)
    display.show(partial(compared_table, comparison, naming(job.report)))
    _say_cost(job, comparison)
    if job.output:
        storage.write_bytes(job.output, page(comparison, job.report).encode())
        display.say(f"written to {job.output}")
    return 0


def _list(job: ReportJob, store: Store) -> int:
    display.doing("looking for runs")
    folders = run_folders(store)
    if not folders:
        display.say(f"{store} has no run")
        return 0
    summaries = [(f.run_id, f.last_s, _summary(store, f.run_id)) for f in islice(folders, job.num_runs)]
    display.show(partial(runs_table, summaries))
    if len(folders) > job.num_runs:
        display.say(f"… and {len(folders) - job.num_runs} more; num_runs={len(folders)} lists all")
    return 0


def _summary(store: Store, run_id: str) -> "dict[str, Any] | str":
    """The summary of a run, or why there is none."""
    try:
        return read_record(store, dict, summary_uri(store, run_id), kind=SUMMARY)
    except FileNotFoundError:
        return "no summary: at work, or killed"
    except Ds2RayError as error:
        return str(error)


def _compared(job: ReportJob, store: Store) -> Comparison:
    *others, name = (known_run(store, run_id) for run_id in job.runs)
    display.doing("reading runs")
    night = read_night(store, name)
    if others:
        return compared(night, [read_night(store, others[0])])
    return compared(night, _earlier(job, store, night))


def _earlier(job: ReportJob, store: Store, night: Night) -> Sequence[Night]:
    """The runs before a run; of one that an earlier release made, the one that ended before it."""
    previous = night.summary.get("previous")
    if previous is not None:
        return list(nights_before(store, str(previous), job.report.num_nights))
    names = [folder.run_id for folder in run_folders(store)]
    for name in names[names.index(night.run_id) + 1 :] if night.run_id in names else ():
        try:
            return [read_night(store, name)]
        except InputError:  # it was killed
            continue
    return []


def _say_cost(job: ReportJob, comparison: Comparison) -> None:
    for night in filter(None, (comparison.before, comparison.night)):
        hours, price = gpu_hours(night), cost(night, job.report)
        told = ["GPU-hours not recorded" if hours is None else f"{hours:.2f} GPU-hours"]
        told += [] if price is None else [f"{price:.2f} {job.report.currency}"]
        display.say(f"run {night.run_id}: {', '.join(told)}")
