"""The end and the failure of a run, told to a webhook, a command and Prometheus."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fleet_runs import RandomBase, job_of, spoken, write_users

from ds2ray.commands import adapt_users as adapt
from ds2ray.commands import train
from ds2ray.commands.reporting.telling import WEBHOOK
from ds2ray.config import AdaptJob, ReportConfig, TrainConfig, TrainJob, TrainReportConfig
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.errors import InputError
from ds2ray.nights.exposition import exposition, last_good_of

pytestmark = pytest.mark.process  # a command is run

NOBODY_HAD_SPEECH = 3


@dataclass
class Listener:
    """A web server that keeps what it is sent."""

    address: str = ""
    status: int = 200
    heard: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            listener.heard.append((self.path, body))
            self.send_response(listener.status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    listener.address = f"http://127.0.0.1:{server.server_port}"
    yield listener
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def quiet_job(random_base: RandomBase, small_corpus: DemoCorpus, tmp_path_factory: pytest.TempPathFactory) -> AdaptJob:
    """A run of a user with too little speech, for which no Ray starts."""
    folder = tmp_path_factory.mktemp("telling")
    root, users = random_base.publish(str(folder / "store")), spoken(small_corpus)
    name = sorted(users)[0]
    return job_of(root, write_users(str(folder / "users.csv"), {name: users[name]}), min_utterances=100)


def told(job: AdaptJob, run_id: str, **report: str) -> AdaptJob:
    return replace(job, run_id=run_id, report=ReportConfig(page=False, **report))  # type: ignore[arg-type]


def test_everybody_is_told_of_a_run(
    quiet_job: AdaptJob, listener: Listener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(WEBHOOK, f"{listener.address}/services/secret")
    figures, said = tmp_path / "figures.prom", tmp_path / "said"
    command = f'echo "$DS2RAY_RUN_ID $DS2RAY_EXIT_CODE $DS2RAY_MESSAGE" > {said}'
    job = told(quiet_job, "told", metrics_file=str(figures), pushgateway=f"{listener.address}/", on_end=command)
    assert adapt.run(job) == NOBODY_HAD_SPEECH
    (hook, message), (gateway, pushed) = listener.heard
    assert (hook, gateway) == ("/services/secret", "/metrics/job/ds2ray_adapt_users")
    assert json.loads(message)["text"].startswith(f"ds2ray run told of {job.storage.root}: complete, but")
    assert pushed == figures.read_text()
    assert 'ds2ray_run_users{status="skipped_no_data"} 1' in pushed.splitlines()
    assert said.read_text().startswith("told 3 ds2ray run told of ")


def test_a_failure_is_told_too_and_the_last_good_night_stays(
    quiet_job: AdaptJob, listener: Listener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    figures = tmp_path / "figures.prom"
    figures.write_text(exposition({"exit_code": 0}, 1234.5, None))
    monkeypatch.setenv(WEBHOOK, listener.address)
    broken = replace(told(quiet_job, "bad", metrics_file=str(figures)), users=str(tmp_path / "missing.csv"))
    with pytest.raises(InputError):
        adapt.run(broken)
    ((_, message),) = listener.heard
    assert "wrong settings or input, nothing was started (2)\n" in json.loads(message)["text"]
    assert "missing.csv" in message
    assert "ds2ray_run_exit_code 2" in figures.read_text().splitlines()
    assert last_good_of(figures.read_text()) == 1234.5


@pytest.mark.parametrize("address", ["refused", "http://127.0.0.1:9/hidden", "ftp://host/hidden", "nonsense hidden"])
def test_whoever_cannot_be_told_fails_no_run_and_no_address_is_shown(
    quiet_job: AdaptJob,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    address: str,
) -> None:
    listener.status = 500
    monkeypatch.setenv(WEBHOOK, f"{listener.address}/hidden" if address == "refused" else address)
    job = told(quiet_job, f"deaf-{len(address)}", on_end="exit 3", metrics_file=str(tmp_path))
    assert adapt.run(job) == NOBODY_HAD_SPEECH
    printed = "".join(capsys.readouterr())
    for what in ("the webhook", "the figures for Prometheus", "report.on_end"):
        assert f"{what} could not be told of the run: " in printed
    assert "hidden" not in printed


def test_a_dry_run_is_not_told(quiet_job: AdaptJob, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WEBHOOK, listener.address)
    assert adapt.run(replace(told(quiet_job, "dry"), dry_run=True)) == 0
    assert listener.heard == []


def test_the_failure_of_a_training_is_told_as_that_of_a_run_is(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WEBHOOK, f"{listener.address}/hook")
    figures, ended = tmp_path / "ds2ray.prom", tmp_path / "ended"
    figures.write_text("ds2ray_train_last_good_timestamp_seconds 10.0\n")
    report = TrainReportConfig(
        metrics_file=str(figures), pushgateway=listener.address, on_end=f"echo $DS2RAY_EXIT_CODE > {ended}"
    )
    job = TrainJob(train=TrainConfig(manifest=str(tmp_path / "nowhere.csv")), report=report)
    with pytest.raises(InputError):
        train.run(job)
    assert [path for path, _ in listener.heard] == ["/hook", "/metrics/job/ds2ray_train"]
    assert "nowhere.csv" in listener.heard[0][1]
    assert figures.read_text() == listener.heard[1][1]
    assert {"ds2ray_train_exit_code 2", "ds2ray_train_last_good_timestamp_seconds 10.0"} <= set(
        figures.read_text().splitlines()
    )
    assert ended.read_text() == "2\n"
    with pytest.raises(InputError):
        train.run(replace(job, dry_run=True))
    assert len(listener.heard) == 2
