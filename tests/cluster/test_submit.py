"""Jobs that are submitted to a real head node with dashboard and token."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cut_connections import forwarding
from fleet_runs import ROOT, Finished, RandomBase, finish, spoken, wait_for, write_users
from head_node import HeadNode
from terminals import INTERRUPT, Terminal
from warm_jobs import WarmJob

from ds2ray.demo.corpus import DemoCorpus

pytestmark = [pytest.mark.process, pytest.mark.ray]

SUBMIT = (sys.executable, str(ROOT / "jobs" / "submit.py"))
ENDED = {"SUCCEEDED", "FAILED", "STOPPED"}


def test_ray_job_submit_takes_code_and_tables_with_it(
    ray_head: HeadNode, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
) -> None:
    root = random_base.publish(str(tmp_path / "store"))
    folder = tmp_path / "work"  # what a user submits: the code and a table
    for part in ("jobs", "conf", "ds2ray"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    write_users(str(folder / "users.csv"), {user: spoken(small_corpus)[user] for user in ("fiona", "tony")})
    submitted = ray_head.ray(
        *("job", "submit", "--no-wait", "--submission-id=plan", "--working-dir", str(folder), "--"),
        *("python", "jobs/adapt_users.py", "users.csv", f"storage.root={root}", "--dry-run"),
    )
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    wait_for(lambda: ray_head.status("plan") in ENDED)
    told = ray_head.ray("job", "logs", "plan").stdout
    assert ray_head.status("plan") == "SUCCEEDED", told
    assert "2 users" in told, told


STOPPABLE = """
import signal, sys, time
from ds2ray.store import Store
from ds2ray.store.layout import summary_uri
from ds2ray.store.records import SUMMARY, write_record
settings = dict(word.split("=", 1) for word in sys.argv[1:])
def end(*_):
    time.sleep(4)  # longer than Ray waits by itself
    store = Store(settings["storage.root"])
    summary = {"run_id": settings["run_id"], "exit_code": 3}
    write_record(store, summary_uri(store, settings["run_id"]), SUMMARY, summary)
    print("published", flush=True)
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
print("at work", flush=True)
time.sleep(600)
"""
"""A job that needs some seconds to come to its end, as one that publishes what is done."""


def started(head: HeadNode, *argv: str, url: str = "") -> "subprocess.Popen[str]":
    """Start jobs/submit.py.

    Args:
        url: of the dashboard, where it is not the head's own.
    """
    environment = {**head.environment(), **({"RAY_ADDRESS": url} if url else {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return WarmJob([*SUBMIT, *argv], text=True, env=environment, **pipes)


def submit(head: HeadNode, *argv: str) -> Finished:
    return finish(started(head, *argv))


def test_a_job_is_run_once_and_ends_with_its_own_exit_code(ray_head: HeadNode) -> None:
    argv = ("name=three", "date=monday", "--", sys.executable, "-c", "print('of the job'); raise SystemExit(3)")
    done = submit(ray_head, *argv)
    assert done.code == 3, done
    assert "of the job" in done.out.splitlines()
    assert "job three-monday-1 has ended with exit code 3" in done.out
    again = submit(ray_head, *argv)
    assert again.code == 3
    assert "has ended already, with exit code 3" in again.out
    other = submit(ray_head, *argv[:-1], "print()")
    assert (other.code, "another command" in other.err) == (2, True)


def lines_until(job: "subprocess.Popen[str]", last: str) -> list[str]:
    """The lines that a job prints up to this one."""
    assert job.stdout is not None
    lines = [""]
    while lines[-1] != last:
        line = job.stdout.readline()
        assert line, (lines, finish(job))
        lines.append(line.rstrip())
    return lines


BY_AND_BY = """
import pathlib, sys, time
for line in ("one", "two", "three"):
    while not pathlib.Path(sys.argv[1], line).exists():
        time.sleep(0.1)
    print(line, flush=True)
sys.exit(7)
"""


def test_no_line_is_missed_where_connections_break_and_nobody_follows_for_a_time(
    ray_head: HeadNode, tmp_path: Path
) -> None:
    argv = ("name=by-and-by", "date=monday", "--", sys.executable, "-c", BY_AND_BY, str(tmp_path))
    (tmp_path / "one").touch()
    with forwarding(ray_head.dashboard_port) as way:
        first = started(ray_head, *argv, url=way.url)
        shown = lines_until(first, "one")
        assert way.cut() > 0
        (tmp_path / "two").touch()
        shown += lines_until(first, "two")
        assert shown.count("one") == 1
        first.send_signal(signal.SIGINT)
        left = finish(first)
    assert (left.code, "goes on without being followed" in left.out) == (75, True), left
    assert "Traceback" not in left.err
    attached = submit(ray_head, "--no-follow", *argv)
    assert (attached.code, "runs already: attached to it" in attached.out) == (0, True), attached
    again = started(ray_head, *argv)
    shown = lines_until(again, "two")
    (tmp_path / "three").touch()
    done = finish(again)
    assert done.code == 7, done
    assert [line for line in [*shown, *done.out.splitlines()] if line in ("one", "two", "three")] == [
        "one",
        "two",
        "three",
    ]


def test_a_job_that_is_stopped_at_the_terminal_has_time_to_publish_and_ends_with_the_code_of_its_run(
    ray_head: HeadNode, tmp_path: Path
) -> None:
    script = tmp_path / "adapt_users.py"
    script.write_text(STOPPABLE)
    command = ("--", "env", f"PYTHONPATH={ROOT}", sys.executable, str(script), f"storage.root={tmp_path}/store")
    terminal = Terminal([*SUBMIT, "name=long", *command], tmp_path, environment=ray_head.environment(), warm=True)
    terminal.wait_for_text("at work")
    terminal.type(INTERRUPT)
    terminal.wait_for_text("[y/N]")
    terminal.type("y\n")
    assert terminal.finish() == 3, terminal.shown()
    assert "published" in terminal.lines()


def test_a_job_that_has_not_ended_in_time_is_stopped(ray_head: HeadNode) -> None:
    done = submit(ray_head, "name=late", "date=monday", "--timeout=1", "--", "sleep", "3600")
    assert (done.code, "has not ended after 1 s: it is stopped" in done.out) == (75, True), done
    assert ray_head.status("late-monday-1") == "STOPPED"


@pytest.mark.parametrize("token", ["", "0" * 64])
def test_without_the_token_nothing_is_accepted(ray_head: HeadNode, token: str) -> None:
    assert ray_head.get("/api/jobs/", token)[0] in (401, 403)
    refused = ray_head.ray("job", "submit", "--no-wait", "--submission-id=intruder", "--", "true", token=token)
    assert refused.returncode != 0
    assert "intruder" not in ray_head.ray("job", "list").stdout
