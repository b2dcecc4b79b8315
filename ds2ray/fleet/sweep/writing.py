"""What a sweep leaves in the store, and what it prints in the end."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from ds2ray import display, storage
from ds2ray.config import SweepJob, to_plain
from ds2ray.fleet.sweep.choice import Decision
from ds2ray.fleet.sweep.files import SUMMARY, best_bytes, csv_bytes, markdown_bytes, rows_of
from ds2ray.fleet.sweep.plot import plot_bytes
from ds2ray.fleet.sweep.report import TITLE, all_of, cells_of, conclusions, head_of, table_of
from ds2ray.naming import typed
from ds2ray.store import Store
from ds2ray.store.layout import sweep_uri
from ds2ray.store.records import encode_record

BEST = "best.yaml"


@dataclass(frozen=True)
class Sweep:
    """A sweep that has come to its end.

    Attributes:
        base: the id of its base, or the model.pt that the base was read from.
        names: the settings that it has varied.
    """

    job: SweepJob
    store: Store
    sweep_id: str
    base: str
    num_users: int
    names: Sequence[str]

    @property
    def folder_uri(self) -> str:
        """Its folder in the store."""
        return sweep_uri(self.store, self.sweep_id)


def write_sweep(sweep: Sweep, decision: Decision, exit_code: int, seconds: float) -> None:
    """Write all files of the sweep, the summary last, and print the table and what follows from it."""
    metric, names = sweep.job.adapt.gate_metric, sweep.names
    lines = conclusions(decision, names, metric, sweep.num_users)
    files = {"table.csv": csv_bytes(rows_of(decision, metric))}
    cells = [cells_of(one, names, metric, decision.chosen) for one in all_of(decision)]
    files["table.md"] = markdown_bytes(TITLE, head_of(names, metric), cells, lines)
    if decision.chosen is not None:
        for file_format in ("svg", "png"):
            files[f"pareto.{file_format}"] = plot_bytes(decision, names, metric, file_format)
        files[BEST] = best_bytes(sweep.job, sweep.store, sweep.base, decision.chosen, names, metric)
    summary = {
        "sweep_id": sweep.sweep_id,
        "base": sweep.base,
        "num_users": sweep.num_users,
        "sweep": to_plain(sweep.job.sweep),
        "trials": {"done": len(decision.ranked), "stopped": len(decision.stopped), "failed": len(decision.failed)},
        "best": decision.chosen.result.trial_id if decision.chosen else None,
        "same_as_best": [one.result.trial_id for one in decision.same],
        "seconds": seconds,
        "exit_code": exit_code,
    }
    files["summary.json"] = encode_record(SUMMARY, summary)
    for name, data in files.items():
        sweep.store.write_bytes(storage.join(sweep.folder_uri, name), data)
    if sweep.job.sweep.output_dir:
        for name, data in files.items():
            storage.write_bytes(storage.join(sweep.job.sweep.output_dir, name), data)
    display.show(lambda width: table_of(decision, names, metric))
    for line in lines:
        display.say(line)
    display.say(f"wrote {', '.join(files)} in {sweep.folder_uri}")
    if decision.chosen is not None:
        best_uri = storage.join(sweep.folder_uri, BEST)
        display.say(f"best: {typed('adapt_users')} --config {shlex.quote(best_uri)}")
