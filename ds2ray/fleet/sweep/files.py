"""The files of a sweep in the store: a record of every trial, the tables, and best.yaml, which a job takes whole."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ds2ray import storage
from ds2ray.config import ErrorMetric, SweepJob, adapter_to_plain, to_plain
from ds2ray.errors import ArtifactCorruptError
from ds2ray.fleet.fingerprints import ONLY_HOW
from ds2ray.fleet.sweep.choice import Decision, Judged
from ds2ray.fleet.sweep.points import TRIED, named, shown
from ds2ray.fleet.sweep.results import TrialResult
from ds2ray.store import Store
from ds2ray.store.layout import sweep_trial_uri
from ds2ray.store.records import read_record, write_record

TRIAL = "trial of a sweep"
"""What the record of a trial says that it is."""
SUMMARY = "summary of a sweep"
"""What summary.json says that it is."""

AGAIN = "delete it: the trial is then run again"


def write_trial(store: Store, sweep_id: str, result: TrialResult) -> None:
    """Keep the result of a trial."""
    write_record(store, sweep_trial_uri(store, sweep_id, result.trial_id), TRIAL, result)


def read_trial(store: Store, sweep_id: str, trial_id: str) -> TrialResult | None:
    """The kept result of a trial that went through; None where there is none, or one that failed.

    Raises:
        ArtifactCorruptError: it is damaged.
    """
    uri = sweep_trial_uri(store, sweep_id, trial_id)
    try:
        found = read_record(store, TrialResult, uri, kind=TRIAL, bound={"trial_id": trial_id}, remedy=AGAIN)
        _ = (found.of_users, found.rates(ErrorMetric.wer))
    except FileNotFoundError:
        return None
    except (TypeError, ZeroDivisionError) as error:
        raise ArtifactCorruptError(f"{uri}: its users are not those of a trial ({error}); {AGAIN}") from error
    return None if found.reason else found


def rows_of(decision: Decision, metric: ErrorMetric) -> list[dict[str, Any]]:
    """A row for every trial: those that went through, best first, then the stopped, then the failed."""
    return [
        *(_row(one, "done", metric) for one in decision.ranked),
        *(_row(one, "stopped", metric) for one in decision.stopped),
        *(_row(one, "failed", metric) for one in decision.failed),
    ]


def _row(one: Judged, status: str, metric: ErrorMetric) -> dict[str, Any]:
    result = one.result
    row: dict[str, Any] = {"trial_id": result.trial_id, "status": status}
    row |= {name: shown(result.settings[name]) if name in result.settings else "" for name in TRIED}
    row |= {"num_parameters": result.num_parameters or "", "size_bytes": result.size_bytes or ""}
    failed = bool(result.reason)
    row |= {
        "seconds_per_user": "" if failed else round(result.seconds_per_user, 3),
        "held_out_loss": "" if failed else result.loss,
        f"{metric.value}_before": "" if failed else one.error_before,
        metric.value: "" if failed else one.error,
        "low": one.within.low if one.within else "",
        "high": one.within.high if one.within else "",
        "more_than_best_low": one.more.low if one.more else "",
        "more_than_best_high": one.more.high if one.more else "",
        "same_as_best": one.same,
        "unbeaten": one.unbeaten,
        "users": len(result.users),
        "users_worse": "" if failed else one.num_worse(metric),
        "users_failed": one.num_failed,
        "reason": result.reason,
    }
    return row


def csv_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The rows as CSV, with a header."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def markdown_bytes(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> bytes:
    """A table as Markdown, below its title and above its notes."""
    lines = [f"# {title}", "", _cells(head), _cells(["---"] * len(head)), *map(_cells, rows), ""]
    return "\n".join([*lines, *(f"{note}\n" for note in notes)]).encode()


def _cells(values: Sequence[str]) -> str:
    return f"| {' | '.join(value.replace('|', '/') for value in values)} |"


def best_bytes(job: SweepJob, store: Store, base: str, one: Judged, names: Sequence[str], metric: ErrorMetric) -> bytes:
    """best.yaml: all settings by which the trial was measured, for `adapt_users --config`.

    How many run at once, and what ends a run, is left to the run.

    Args:
        base: the id of the base, or the model.pt that it was read from.
        names: the settings that the sweep has varied, for the comment.
    """
    point = one.trial.point
    adapt = {name: value for name, value in to_plain(point.adapt).items() if name not in ONLY_HOW}
    values: dict[str, Any] = {
        "users": storage.absolute(job.users),
        "base": base,
        "adapter": {"kind": point.adapter.kind.value, **adapter_to_plain(point.adapter)},
        "adapt": adapt,
        "data": to_plain(job.data),
        "storage": {**to_plain(job.storage), "root": store.root_uri},
    }
    num_users = len(one.result.users)
    error = f"{metric.name.upper()} {one.error:.1%} on held-out speech, the base's {one.error_before:.1%}"
    lines = [
        f"# {named(one.result.settings, names)}",
        f"# {error}, of {num_users} {'user' if num_users == 1 else 'users'}; trial {one.result.trial_id}",
    ]
    for name, value in values.items():
        if isinstance(value, dict):
            lines += [f"{name}:", *(f"  {key}: {_scalar(each)}" for key, each in value.items())]
        else:
            lines.append(f"{name}: {_scalar(value)}")
    return ("\n".join(lines) + "\n").encode()


def _scalar(value: object) -> str:
    """A value as YAML has it: JSON, but for numbers that JSON and YAML 1.1 write otherwise."""
    if isinstance(value, float):
        if math.isinf(value):
            return ".inf" if value > 0 else "-.inf"
        mantissa, exponent, power = repr(value).partition("e")
        return f"{mantissa}{'' if '.' in mantissa or not exponent else '.0'}{exponent}{power}"
    return json.dumps(value, ensure_ascii=False)
