import io
import json
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from ds2ray.config import AdaptConfig, AdapterConfig, DataConfig
from ds2ray.fleet.cohorts import CohortSize, Room
from ds2ray.fleet.plan import Plan, plan_run
from ds2ray.fleet.report import exit_code, outcome_table, plan_text, repacked_text, summarise
from ds2ray.store import user_key
from ds2ray.store.outcomes import Outcome, Status
from ds2ray.tables.manifest import Manifest, Utterance
from ds2ray.tables.problems import Problem, ProblemKind
from ds2ray.tables.users import Fleet
from ds2ray.tables.users_table import no_users


def outcome(key: str, status: Status, **more: Any) -> Outcome:
    return Outcome(user_key=key, status=status, **more)


# Exit codes


@pytest.mark.parametrize(
    ("failed", "users", "ratio", "code"),
    [(0, 0, 0.0, 0), (0, 8, 0.0, 0), (1, 8, 0.0, 3), (1, 100, 0.01, 0), (2, 100, 0.01, 3), (8, 8, 1.0, 0)],
)
def test_exit_codes(failed: int, users: int, ratio: float, code: int) -> None:
    statuses = [Status.failed] * failed + [Status.kept_previous] * (users - failed)
    assert exit_code([outcome(str(i), status) for i, status in enumerate(statuses)], ratio) == code


# Plan


def plan_of(num_users: int, problems: list[Problem]) -> Plan:
    users = [
        Manifest("", [Utterance(f"{i}", f"u{n}", f"/{n}/{i}.wav", 90.0, "hello", i) for i in range(4)], user_id=f"u{n}")
        for n in range(num_users)
    ]
    users.append(Manifest("", [], problems, user_id="few"))
    return plan_run(
        Fleet(users, no_users("users.csv"), []),
        pa.table({"user_key": pa.array([], pa.string()), "fingerprint": pa.array([], pa.string())}),
        {},
        base_fingerprint="b",
        adapter=AdapterConfig(),
        adapt=AdaptConfig(),
        data=DataConfig(),
        size=CohortSize(max_users=64, max_speech_s=7200.0, min_cohorts=2),
    )


@pytest.mark.parametrize(
    ("room", "memory"), [(Room(3), ""), (Room(3, memory_bytes=2.5e9), ", with 2.5 GB of memory each")]
)
def test_other_cohorts_than_planned_are_said_with_the_reason(room: Room, memory: str) -> None:
    assert repacked_text([[1, 2], [3]], plan_of(3, []), room) == (
        f"2 cohorts of up to 2 users and 12.0 min instead: the cluster has room for 3 at once{memory}"
    )


def test_the_text_of_a_plan() -> None:
    reasons = ["is empty (0 bytes)", "is empty (0 bytes)", "there is no such file"]
    problems = [
        Problem("/few.csv", line, ProblemKind.audio, "audio", f"'{line}.wav'", reason, "mend it", f"x{line}", "few")
        for line, reason in enumerate(reasons, start=2)
    ]
    assert plan_text(plan_of(3, problems), "users.csv", "s3://bucket/store").splitlines() == [
        "users.csv: 4 users, 18.0 min of speech",
        "  3 new · 0 changed · 0 unchanged · 1 skipped",
        "  bad rows, left out: 3",
        "    2 × audio is empty, as in /few.csv:2: id=x2 user=few audio='2.wav': is empty (0 bytes); mend it",
        "    1 × audio there is no such file, as in "
        "/few.csv:4: id=x4 user=few audio='4.wav': there is no such file; mend it",
        "  to train: 3 users, 18.0 min of speech, in 2 cohorts of up to 2 users and 12.0 min",
        "  store: s3://bucket/store",
    ]


def test_the_text_of_a_plan_without_work() -> None:
    assert plan_text(plan_of(0, []), "users.csv", "./store").splitlines() == [
        "users.csv: 1 user, 0.0 min of speech",
        "  0 new · 0 changed · 0 unchanged · 1 skipped",
        "  nothing to train",
        "  store: ./store",
    ]


def test_long_speech_is_told_in_hours() -> None:
    assert plan_text(plan_of(20, []), "users.csv", "./store").startswith("users.csv: 21 users, 2.0 h of speech\n")


def test_causes_beyond_ten_are_counted() -> None:
    problems = [
        Problem("/few.csv", line, ProblemKind.audio, "audio", "'x'", f"reason {line:02d}", "") for line in range(12)
    ]
    lines = plan_text(plan_of(0, problems), "users.csv", "./store").splitlines()
    assert lines[3].startswith("    1 × audio reason 00, as in")
    assert lines[13] == "    … and 2 more causes"


# Outcomes

ROWS = [
    outcome(
        "amy", Status.adapted, error_before=0.5, error_after=0.1, utterances_used=10, seconds=1.25, improvement=0.97
    ),
    outcome("bob", Status.kept_previous, error_before=0.25, error_after=0.5, utterances_used=8, utterances_dropped=2),
    outcome("cleo", Status.unchanged),
    outcome("dan", Status.failed, reason="loss is [nan]"),
    outcome("eve", Status.failed, reason="loss is [nan]"),
]


def test_a_summary() -> None:
    summary = summarise(ROWS, run_id="run", base_fingerprint="b", seconds=2.00049, max_failed_ratio=0.5)
    assert json.loads(json.dumps(summary)) == {
        "run_id": "run",
        "base_fingerprint": "b",
        "interrupted": False,
        "exit_code": 0,
        "users": 5,
        "statuses": {"adapted": 1, "unchanged": 1, "kept_previous": 1, "skipped_no_data": 0, "failed": 2},
        "unchanged_with_adapter": 0,
        "unchanged_without_adapter": 1,
        "unusable": 0,
        "erased": 0,
        "trained": 2,
        "held_out_error_before": 0.375,
        "held_out_error_after": 0.175,  # bob kept what he had
        "drifted": 0,
        "utterances_used": 18,
        "utterances_dropped": 2,
        "failures": {"loss is [nan]": 2},
        "unusable_causes": {},
        "seconds": 2.0,
    }


def test_a_summary_counts_the_unchanged_that_are_no_objects() -> None:
    unchanged = pa.table({"user_key": ["x", "y"], "num_dropped": [3, 0]})
    summary = summarise(
        ROWS, run_id="run", base_fingerprint="b", seconds=1.0, max_failed_ratio=0.3, unchanged=unchanged
    )
    assert (summary["users"], summary["statuses"]["unchanged"], summary["utterances_dropped"]) == (7, 3, 5)
    assert summary["exit_code"] == exit_code(ROWS, 0.3, num_unchanged=2) == 0  # two of seven failed
    assert exit_code(ROWS, 0.3) == 3  # two of five


NO_FILE = "0 usable utterances, at least 4 are needed (5 × audio there is no such file)"


def test_mass_breakage_is_no_success() -> None:
    lost = [outcome(f"u{number}", Status.skipped_no_data, unusable=True, reason=NO_FILE) for number in range(9999)]
    unchanged = pa.table({"num_dropped": [0], "version": ["ab"], "unusable": [False]})
    summary = summarise(lost, run_id="r", base_fingerprint="b", seconds=1.0, max_failed_ratio=0.01, unchanged=unchanged)
    assert (summary["exit_code"], summary["unusable"]) == (3, 9999)
    assert summary["unusable_causes"] == {NO_FILE: 9999}
    assert (summary["unchanged_with_adapter"], summary["unchanged_without_adapter"]) == (1, 0)
    # nor are they in the nights in which they are not tried again
    waiting = pa.table({"num_dropped": [0] * 3, "version": ["ab", "", ""], "unusable": [False, True, True]})
    summary = summarise([], run_id="r", base_fingerprint="b", seconds=1.0, max_failed_ratio=0.5, unchanged=waiting)
    assert (summary["exit_code"], summary["unusable"], summary["unchanged_without_adapter"]) == (3, 2, 2)


@pytest.mark.parametrize(
    ("failed", "unusable", "max_failed", "max_unusable", "code"),
    [(0, 5, 0.0, 0.05, 0), (0, 6, 0.0, 0.05, 3), (1, 0, 0.0, 0.05, 3), (3, 3, 0.03, 0.05, 3), (3, 3, 0.06, 0.05, 0)],
)
def test_the_unusable_count_with_the_failed(
    failed: int, unusable: int, max_failed: float, max_unusable: float, code: int
) -> None:
    rows = [outcome(f"f{n}", Status.failed) for n in range(failed)]
    rows += [outcome(f"u{n}", Status.skipped_no_data, unusable=True) for n in range(unusable)]
    others = 100 - failed - unusable
    assert exit_code(rows, max_failed, others, max_unusable_ratio=max_unusable) == code


def test_a_summary_of_nothing() -> None:
    summary = summarise([], run_id="run", base_fingerprint="b", seconds=0.0, max_failed_ratio=0.0, interrupted=True)
    assert (summary["users"], summary["held_out_error_before"], summary["interrupted"]) == (0, None, True)


def printed(rows: list[Outcome], width: int = 120, **arguments: Any) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(outcome_table(rows, width, **arguments))
    return str(console.file.getvalue()).splitlines()  # type: ignore[attr-defined]


def test_a_table_begins_with_what_failed() -> None:
    lines = printed(ROWS)
    assert lines[0].strip() == "5 users · 1 adapted · 1 unchanged · 1 kept · 2 failed"
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert [row[0] for row in cells] == ["dan", "eve", "bob", "amy", "cleo"]
    assert cells[0] == ["dan", "failed", "–", "–", "–", "0", "0", "0.0", "loss is [nan]"]
    assert cells[3] == ["amy", "adapted", "50.0 %", "10.0 %", "97%", "10", "0", "1.2", ""]


def test_who_gets_worse_over_nights_is_named() -> None:
    errors = {"error_before": 0.2, "error_after": 0.2, "error_current": 0.3}
    rows = [
        outcome("bob", Status.kept_previous, **errors),
        outcome("amy", Status.kept_previous, **errors),
        outcome("cleo", Status.adapted, **errors),  # has another adapter now
        outcome("dan", Status.kept_previous, **{**errors, "error_current": 0.2}),
        outcome("eve", Status.kept_previous, error_before=0.2, error_after=0.3),  # has the base
    ]
    summary = summarise(rows, run_id="run", base_fingerprint="b", seconds=1.0, max_failed_ratio=0.5)
    assert summary["drifted"] == 2
    said = "the adapter that is kept errs more than the base alone on the newest speech: "
    for width in (60, 160):
        flat = " ".join(" ".join(printed(rows, width)).split())
        assert f"{said}amy, bob; `python jobs/store.py rollback` takes an adapter back" in flat
    assert f"{said}amy … and 1 more user;" in " ".join(" ".join(printed(rows, 160, max_rows=1)).split())
    assert "errs more" not in " ".join(printed(ROWS))


@pytest.mark.parametrize("width", [60, 80, 119, 120, 160, 200])
def test_a_table_fits_and_tells_everything(width: int) -> None:
    reason = "training did not lower the held-out loss (3.652)"
    rows = [
        outcome("winston-with-a-long-name", Status.kept_previous, error_before=1.029, error_after=1.0, reason=reason),
        outcome("[red]amy[/red]", Status.adapted, error_before=0.5, error_after=0.1),
        outcome("x" * 200, Status.failed, reason="no file"),
    ]
    lines = printed(rows, width)
    assert max(map(len, lines)) <= width
    flat = "".join("".join(line.split("│")) if "│" in line else line for line in lines).replace(" ", "")
    assert "…" not in flat
    assert flat.count("x") >= 200
    assert "[red]amy[/red]" in flat
    if width < 120:
        assert f"winston-with-a-long-name:{reason}".replace(" ", "") in flat


def test_the_headline_of_a_narrow_table_is_one_line_where_the_terminal_has_room() -> None:
    rows = [Outcome(user_key=name, status=Status.adapted) for name in ("amy", "bob")]
    rows.append(Outcome(user_key="cleo", status=Status.skipped_no_data, unusable=True))
    lines = printed(rows, width=80)
    assert lines[0] == "3 users · 2 adapted · 1 skipped · 1 of them unusable"
    assert len(lines[1]) < len(lines[0])


def test_a_long_table_is_cut() -> None:
    lines = printed([outcome(f"user-{number:03d}", Status.adapted) for number in range(50)], max_rows=3)
    assert [line.split("│")[1].strip() for line in lines if line.startswith("│")] == [
        "user-000",
        "user-001",
        "user-002",
    ]
    assert lines[-1].strip() == "… and 47 more users"


def test_a_fleet_of_which_nobody_has_usable_speech_is_not_a_success() -> None:
    silent = [Outcome(user_key=f"u{n}", status=Status.skipped_no_data) for n in range(3)]
    assert exit_code(silent, max_failed_ratio=1.0) == 3
    assert exit_code([*silent, Outcome(user_key="v", status=Status.unchanged)], max_failed_ratio=0.0) == 0
    assert exit_code(silent, max_failed_ratio=0.0, num_unchanged=1) == 0
    assert exit_code([], max_failed_ratio=0.0) == 0


def test_people_are_called_by_their_names_and_not_by_their_keys() -> None:
    outcomes = [outcome(user_key(name), Status.failed, reason="no audio") for name in ("홍길동", "josé", "a.b", "100%")]
    for width in (80, 140):
        console = Console(width=width, file=io.StringIO())
        console.print(outcome_table(outcomes, width))
        assert isinstance(console.file, io.StringIO)
        shown = console.file.getvalue()
        assert all(name in shown for name in ("홍길동", "josé", "a.b", "100%"))
        assert "%ED" not in shown
