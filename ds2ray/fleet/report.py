"""The report of a run, for people and schedulers: plan, summary, table and exit code."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ds2ray.config import AdaptConfig
from ds2ray.display.titles import titled
from ds2ray.fleet.cohorts import Room
from ds2ray.fleet.plan import Change, Plan, num_with_adapter
from ds2ray.fleet.tally import SHORT
from ds2ray.store.keys import shown_user
from ds2ray.store.outcomes import Outcome, Status
from ds2ray.tables.problems import Problem, cause

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import RenderableType

COMPLETE, TOO_MANY_FAILED = 0, 3
MAX_CAUSES = 10
MAX_TABLE_ROWS = 40

DRIFTED = "the adapter that is kept errs more than the base alone on the newest speech"
TAKE_BACK = "`python jobs/store.py rollback` takes an adapter back"

WIDE = 120
"""Columns from which a table has room for everything."""

_FIRST_IN_TABLE = (
    Status.failed,
    Status.kept_previous,
    Status.adapted,
    Status.skipped_no_data,
    Status.unchanged,
)
"""Order of the table: the outcomes that need attention come first."""


def exit_code(
    outcomes: Sequence[Outcome],
    max_failed_ratio: float,
    num_unchanged: int = 0,
    *,
    max_unusable_ratio: float = AdaptConfig.max_unusable_ratio,
    num_unusable: int = 0,
) -> int:
    """0: complete; 3: complete, but a larger share of the users failed than is accepted, or had no usable speech for a
    cause in the data pipeline, or nobody at all had any.

    That is a lost mount, a moved folder or a broken export far more often than a fleet that fell silent.

    Args:
        num_unchanged: unchanged users that `outcomes` does not hold …
        num_unusable: … and those of them whose speech was unusable before and is not due to be tried again.
    """
    num_users = len(outcomes) + num_unchanged
    num_unusable += sum(outcome.unusable for outcome in outcomes)
    failed = sum(outcome.status is Status.failed for outcome in outcomes)
    silent = sum(outcome.status is Status.skipped_no_data for outcome in outcomes)
    if num_users and silent == num_users:
        return TOO_MANY_FAILED
    if failed + num_unusable > max(max_failed_ratio, max_unusable_ratio) * num_users:
        return TOO_MANY_FAILED
    return TOO_MANY_FAILED if failed > max_failed_ratio * num_users else COMPLETE


def plan_text(plan: Plan, users_uri: str, root_uri: str) -> str:
    """The plan in words: users, hours of speech, bad rows by cause with an example of each, cohorts."""
    counts = " · ".join(f"{plan.count(change)} {change.value}" for change in Change)
    lines = [f"{users_uri}: {_plural(plan.num_users, 'user')}, {_speech(plan.speech_s)} of speech", f"  {counts}"]
    if plan.count(Change.unchanged):
        lines.append(f"  of the unchanged: {unchanged_text(plan)}")
    lines += [f"  {note}" for note in plan.notes]
    lines += _problem_lines(plan.problems)
    if not plan.cohorts:
        lines.append("  nothing to train")
    else:
        num_users = sum(map(len, plan.cohorts))
        speech_s = sum(user.speech_s for user in plan.users if user.to_train)
        lines.append(
            f"  to train: {_plural(num_users, 'user')}, {_speech(speech_s)} of speech, in "
            f"{_cohorts(plan.cohorts, plan)}"
        )
    return "\n".join([*lines, f"  store: {root_uri}"])


def unchanged_text(plan: Plan) -> str:
    """`4 with an adapter, 1 without`"""
    have, lack = (plan.count_unchanged(with_adapter=with_adapter) for with_adapter in (True, False))
    return f"{have} with an adapter, {lack} without"


def repacked_text(cohorts: Sequence[Sequence[int]], plan: Plan, room: Room) -> str:
    """The message that the plan's users were packed anew, for the size of the cluster."""
    memory = f", with {room.memory_bytes / 1e9:.1f} GB of memory each" if math.isfinite(room.memory_bytes) else ""
    return f"{_cohorts(cohorts, plan)} instead: the cluster has room for {room.trials} at once{memory}"


def _cohorts(cohorts: Sequence[Sequence[int]], plan: Plan) -> str:
    most_s = max(sum(plan.users[number].speech_s for number in cohort) for cohort in cohorts)
    most_users = _plural(max(map(len, cohorts)), "user")
    return f"{_plural(len(cohorts), 'cohort')} of up to {most_users} and {_speech(most_s)}"


def summarise(
    outcomes: Sequence[Outcome],
    *,
    run_id: str,
    base_fingerprint: str,
    seconds: float,
    max_failed_ratio: float,
    max_unusable_ratio: float = AdaptConfig.max_unusable_ratio,
    interrupted: bool = False,
    unchanged: "pa.Table | None" = None,
    num_erased: int = 0,
) -> dict[str, Any]:
    """summary.json. Mean errors are over the trained users; without a new adapter the error after is that before.
    `drifted` counts the users who keep an adapter that errs more than the base on the newest held-out speech.

    Args:
        unchanged: the unchanged users that `outcomes` does not hold; needs a column num_dropped, and should have
            version and unusable.
        num_erased: users of the table who were refused, as they were erased from the store; they are in no other count.
    """
    import pyarrow.compute as pc

    num_unchanged = 0 if unchanged is None else int(unchanged.num_rows)
    dropped = 0 if unchanged is None else int(pc.sum(unchanged["num_dropped"], min_count=0).as_py())
    trained = [o for o in outcomes if o.error_before is not None and o.error_after is not None]
    before = [o.error_before for o in trained if o.error_before is not None]
    after = [_error_shipped(o) for o in trained]
    statuses = Counter(outcome.status.value for outcome in outcomes)
    statuses[Status.unchanged.value] += num_unchanged
    with_adapter = num_with_adapter(unchanged) if unchanged is not None else 0
    with_adapter += sum(o.status is Status.unchanged and bool(o.version) for o in outcomes)
    waiting = num_unusable(unchanged)
    code = exit_code(
        outcomes, max_failed_ratio, num_unchanged, max_unusable_ratio=max_unusable_ratio, num_unusable=waiting
    )
    return {
        "run_id": run_id,
        "base_fingerprint": base_fingerprint,
        "interrupted": interrupted,
        "exit_code": code,
        "users": len(outcomes) + num_unchanged,
        "statuses": {status.value: statuses[status.value] for status in Status},
        "unchanged_with_adapter": with_adapter,
        "unchanged_without_adapter": statuses[Status.unchanged.value] - with_adapter,
        "unusable": waiting + sum(outcome.unusable for outcome in outcomes),
        "erased": num_erased,
        "trained": len(trained),
        "held_out_error_before": sum(before) / len(before) if before else None,
        "held_out_error_after": sum(after) / len(after) if after else None,
        "drifted": sum(o.has_drifted for o in outcomes),
        "utterances_used": sum(outcome.utterances_used for outcome in outcomes),
        "utterances_dropped": dropped + sum(outcome.utterances_dropped for outcome in outcomes),
        "failures": dict(Counter(o.reason for o in outcomes if o.status is Status.failed).most_common(MAX_CAUSES)),
        "unusable_causes": dict(Counter(o.reason for o in outcomes if o.unusable).most_common(MAX_CAUSES)),
        "seconds": round(seconds, 3),
    }


def num_unusable(unchanged: "pa.Table | None") -> int:
    """How many of these unchanged users have no usable speech for a cause in the data pipeline."""
    import pyarrow.compute as pc

    if unchanged is None or "unusable" not in unchanged.column_names:
        return 0
    return int(pc.sum(unchanged["unusable"], min_count=0).as_py())


def outcome_table(outcomes: Sequence[Outcome], width: int, max_rows: int = MAX_TABLE_ROWS) -> "RenderableType":
    """The users of a run for a terminal, failures first; users beyond `max_rows` are counted only.

    Args:
        width: columns of the terminal; where they are few, reasons stand below the table.
    """
    from rich.table import Table
    from rich.text import Text

    wide = width >= WIDE
    table = Table()
    table.add_column("user", overflow="fold")
    table.add_column("outcome")
    numbers = ("likely", "utterances", "dropped", "seconds") if wide else ()
    for heading in ("held-out error", "→", *numbers):
        table.add_column(heading, justify="right")
    if wide:
        table.add_column("why", overflow="fold")
    ordered = sorted(outcomes, key=lambda outcome: (_FIRST_IN_TABLE.index(outcome.status), outcome.user_key))
    for outcome in ordered[:max_rows]:
        cells: list[str | Text] = [
            Text(shown_user(outcome.user_key)),  # plain text: an id or a reason may look like markup
            outcome.status.value if wide else SHORT[outcome.status],
            _percent(outcome.error_before),
            _percent(outcome.error_after),
        ]
        if wide:
            cells += [
                _likely(outcome.improvement),
                str(outcome.utterances_used),
                str(outcome.utterances_dropped),
                f"{outcome.seconds:.1f}",
            ]
            cells.append(Text(outcome.reason))
        table.add_row(*cells)
    if len(ordered) > max_rows:
        table.caption = f"… and {_plural(len(ordered) - max_rows, 'more user')}"
    reasons = [Text(f"{shown_user(o.user_key)}: {o.reason}") for o in ordered[:max_rows] if o.reason and not wide]
    drifted = [shown_user(o.user_key) for o in ordered if o.has_drifted]
    if drifted:
        more = f" … and {_plural(len(drifted) - max_rows, 'more user')}" if len(drifted) > max_rows else ""
        reasons.append(Text(f"{DRIFTED}: {', '.join(drifted[:max_rows])}{more}; {TAKE_BACK}"))
    return titled(" · ".join(_status_counts(outcomes)), table, *reasons)


def _error_shipped(outcome: Outcome) -> float:
    error = outcome.error_after if outcome.status is Status.adapted else outcome.error_before
    return error if error is not None else 0.0


def _status_counts(outcomes: Sequence[Outcome]) -> list[str]:
    counts = Counter(outcome.status for outcome in outcomes)
    unusable = sum(outcome.unusable for outcome in outcomes)
    return [
        _plural(len(outcomes), "user"),
        *(f"{counts[status]} {SHORT[status]}" for status in Status if counts[status]),
        *([f"{unusable} of them unusable"] if unusable else []),
    ]


def _problem_lines(problems: Sequence[Problem]) -> list[str]:
    if not problems:
        return []
    by_cause: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        by_cause[cause(problem)].append(problem)
    lines = [f"  bad rows, left out: {len({(p.manifest_uri, p.line) for p in problems})}"]
    ordered = sorted(by_cause.items(), key=lambda item: (-len(item[1]), item[0]))
    for name, alike in ordered[:MAX_CAUSES]:
        lines.append(f"    {len(alike)} × {name}, as in {alike[0]}")
    if len(ordered) > MAX_CAUSES:
        lines.append(f"    … and {_plural(len(ordered) - MAX_CAUSES, 'more cause')}")
    return lines


def _speech(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def _likely(probability: float | None) -> str:
    return "–" if probability is None else f"{probability:.0%}"


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.1f} %"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
