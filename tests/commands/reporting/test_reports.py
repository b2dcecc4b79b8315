"""The page that a run leaves, and jobs/report.py: runs of users with too little speech, for which no Ray starts."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fleet_runs import RandomBase, job_of, run_job_here, spoken, write_users

from ds2ray import storage
from ds2ray.commands import adapt_users as adapt
from ds2ray.commands.reporting import ending
from ds2ray.config import ReportConfig
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.store import Store
from ds2ray.store.layout import last_run_uri, log_uri, report_uri
from ds2ray.upkeep.checks import fsck


@pytest.fixture(scope="module")
def nights(random_base: RandomBase, small_corpus: DemoCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store after two nights: a user is gone in the second one."""
    folder = tmp_path_factory.mktemp("nights")
    root, users = random_base.publish(str(folder / "store")), spoken(small_corpus)
    names = sorted(users)[:3]
    for run_id, chosen in (("one", names), ("two", names[:2])):
        table = write_users(str(folder / f"{run_id}.csv"), {name: users[name] for name in chosen})
        job = job_of(root, table, run_id, min_utterances=100)
        adapt.run(replace(job, report=ReportConfig()))
    return folder


def summary_of(folder: Path, run_id: str) -> dict[str, Any]:
    document: dict[str, Any] = storage.read_json(str(folder / "store" / "runs" / run_id / "summary.json"))
    return document


def test_each_run_leaves_a_page_that_compares_it_with_the_run_before(nights: Path) -> None:
    first, second = ((nights / "store" / "runs" / run / "report.html").read_text("utf-8") for run in ("one", "two"))
    assert "There is no earlier run to compare it with." in first
    assert "Compared with run one" in second
    assert "<summary>Gone: 1" in second
    assert "Record more speech, or lower adapt.min_utterances" in second


def test_each_run_leaves_what_it_has_printed(nights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = (nights / "store" / "runs" / "two" / "log.txt").read_text("utf-8").splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in log)
    told = "\n".join(line[20:] for line in log)
    assert "planning" in told
    assert "skipped_no_data" in told or "skipped" in told
    assert f"{nights}/store/runs/two" in told.replace("\n", "")


def test_the_summary_tells_what_it_was_made_with_and_what_it_spent(nights: Path) -> None:
    summary = summary_of(nights, "two")
    assert (summary["previous"], summary_of(nights, "one")["previous"]) == ("one", "")
    assert set(summary["stages"]) == {"planning", "settling"}
    assert summary["settings"]["adapt.min_utterances"] == "100"
    assert {"Python", "ds2ray", "torch"} <= set(summary["versions"])
    assert summary["ended"].endswith(" UTC")


def test_nothing_is_wrong_with_such_a_store(nights: Path) -> None:
    assert [fault for fault in fsck(Store(str(nights / "store"))).faults if fault.kind.is_wrong] == []


def test_runs_are_listed_and_any_two_compared(nights: Path, tmp_path: Path) -> None:
    root = f"storage.root={nights / 'store'}"
    listed = run_job_here("report", root)
    assert listed.code == 0
    assert listed.out.index("two") < listed.out.index("one")
    for runs in (["last"], ["one", "two"]):
        page = tmp_path / f"{len(runs)}.html"
        done = run_job_here("report", *runs, f"output={page}", root)
        assert done.code == 0
        assert "gone: " in done.out
        assert "Compared with run one" in page.read_text("utf-8")
    backwards = run_job_here("report", "two", "one", root)
    assert "gone: " not in backwards.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tow"], "no summary of a run 'tow'"),
        (["one", "two", "three"], "one or two runs"),
        (["output=page.html"], "of which run?"),
        (["report.num_nights=0"], "report.num_nights=0 is not possible"),
    ],
)
def test_what_cannot_be_compared_is_refused(nights: Path, arguments: list[str], said: str) -> None:
    done = run_job_here("report", *arguments, f"storage.root={nights / 'store'}")
    assert done.code == 2
    assert said in done.err


def test_an_empty_store_has_no_run(tmp_path: Path) -> None:
    done = run_job_here("report", f"storage.root={tmp_path}")
    assert (done.code, "has no run" in done.out) == (0, True)


def test_a_page_that_fails_does_not_fail_the_run(
    random_base: RandomBase,
    small_corpus: DemoCorpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = random_base.publish(str(tmp_path / "store"))
    users = write_users(str(tmp_path / "users.csv"), {"tony": spoken(small_corpus)["tony"]})

    def fail(*arguments: Any) -> str:
        raise RuntimeError("no ink")

    monkeypatch.setattr(ending, "page", fail)
    code = adapt.run(replace(job_of(root, users, "run", min_utterances=100), report=ReportConfig()))
    assert code == summary_of(tmp_path, "run")["exit_code"] == 3
    assert "no report of this run was written, as RuntimeError: no ink" in capsys.readouterr().out
    assert not storage.exists(report_uri(Store(root), "run"))


def test_a_log_that_cannot_be_written_fails_no_run_and_none_is_written_that_nobody_wants(
    random_base: RandomBase,
    small_corpus: DemoCorpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = random_base.publish(str(tmp_path / "store"))
    users = write_users(str(tmp_path / "users.csv"), {"tony": spoken(small_corpus)["tony"]})
    job = job_of(root, users, "without", min_utterances=100)
    adapt.run(replace(job, report=ReportConfig(page=False, log=False)))
    assert not storage.exists(log_uri(Store(root), "without"))

    def fail(text: str) -> str:
        raise RuntimeError("no paper")

    monkeypatch.setattr(ending, "private", fail)
    assert adapt.run(replace(job, run_id="run")) == 3
    assert "no log of this run was written, as RuntimeError: no paper" in capsys.readouterr().out


def test_with_a_salt_neither_page_nor_summary_tells_who_a_user_is(
    random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DS2RAY_USER_KEY_SALT", "pepper")
    root = random_base.publish(str(tmp_path / "store"))
    users = write_users(str(tmp_path / "tony.csv"), {"tony": spoken(small_corpus)["tony"]})
    adapt.run(replace(job_of(root, users, "run", min_utterances=100), report=ReportConfig(show_ids=True)))
    for name in ("report.html", "summary.json", "log.txt"):
        assert "tony" not in (tmp_path / "store" / "runs" / "run" / name).read_text("utf-8")


def test_a_lost_or_damaged_record_of_the_last_run_is_no_obstacle(
    random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
) -> None:
    root = random_base.publish(str(tmp_path / "store"))
    storage.write_bytes(last_run_uri(Store(root)), b"{")
    users = write_users(str(tmp_path / "users.csv"), {"tony": spoken(small_corpus)["tony"]})
    adapt.run(replace(job_of(root, users, "run", min_utterances=100), report=ReportConfig()))
    assert summary_of(tmp_path, "run")["previous"] == ""
    assert "Run run" in (tmp_path / "store" / "runs" / "run" / "report.html").read_text("utf-8")
