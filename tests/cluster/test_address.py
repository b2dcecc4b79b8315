"""The address of a job's cluster, and the settings of a new one, on machines of many kinds."""

import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fleet_runs import ROOT, SETTINGS, RandomBase, spoken, write_users

from ds2ray.cluster import address as module
from ds2ray.cluster.address import (
    cluster_address,
    keep_token_in_environment,
    local_settings,
    not_started,
    refuse_another_server,
    refuse_without_loopback,
    refused,
)
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.errors import ConfigError


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine on which no cluster has been started; the file that would name it."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    return tmp_path / "ray" / "ray_current_cluster"


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


class TestAddress:
    @pytest.mark.parametrize(("setting", "address"), [("", "local"), ("local", "local"), ("auto", "auto")])
    def test_where_nobody_has_started_one(self, setting: str, address: str) -> None:
        assert cluster_address(setting) == address

    @pytest.mark.parametrize("variable", ["local", " local ", " ", ""])
    def test_the_environment_may_ask_for_a_new_one(self, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
        monkeypatch.setenv("RAY_ADDRESS", variable)
        assert cluster_address("") == "local"

    def test_one_that_answers(self, monkeypatch: pytest.MonkeyPatch, no_ray: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"127.0.0.1:{server.getsockname()[1]}"
            assert cluster_address(address) == address
            no_ray.write_text(address)
            assert cluster_address("") == cluster_address("auto") == "auto"
            monkeypatch.setenv("RAY_ADDRESS", closed_port())
            assert cluster_address(address) == address  # what is set goes before the environment
            assert cluster_address("local") == "local"

    @pytest.mark.parametrize(
        "text",
        ["nonsense", "two words", "127.0.0.1", "127.0.0.1:0", "h:99999", ":6379", "anyscale://x", "http://h:8265"],
    )
    def test_what_is_no_address(self, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        with pytest.raises(ConfigError, match="cluster.address: not the host:port of a head node") as refusal:
            cluster_address(text)
        assert f"no Ray cluster at '{text}'" in str(refusal.value)
        monkeypatch.setenv("RAY_ADDRESS", text)
        with pytest.raises(ConfigError, match="RAY_ADDRESS: not the host:port of a head node"):
            cluster_address("")

    def test_ray_client(self) -> None:
        with pytest.raises(ConfigError, match="jobs do not run by Ray Client"):
            cluster_address("ray://127.0.0.1:10001")

    @pytest.mark.parametrize("address", ["", "[::1]:1"])
    def test_one_that_does_not_answer(self, address: str) -> None:
        with pytest.raises(ConfigError, match=r"cluster.address: \[Errno"):
            cluster_address(address or closed_port())

    def test_what_a_killed_cluster_left_behind(self, no_ray: Path, caplog: pytest.LogCaptureFixture) -> None:
        gone = closed_port()
        no_ray.write_text(gone)
        assert cluster_address("") == "local"
        (note,) = [record.getMessage() for record in caplog.records]
        assert f"{gone}, where one was started on this machine, does not answer" in note
        with pytest.raises(ConfigError, match=f"no Ray cluster at 'auto' .{gone}, where one was started"):
            cluster_address("auto")


class TestRefusals:
    def test_another_version(self) -> None:
        error = RuntimeError(
            "Version mismatch: The cluster was started with:\n    Ray: 2.54.1\n    Python: 3.12.1\n"
            "This process on node 127.0.0.1 was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
        )
        message = str(refused("10.0.0.1:6379", error))
        assert message.startswith(
            "the Ray cluster at 10.0.0.1:6379 runs Ray 2.54.1 with Python 3.12.1, this job Ray 2.60.0"
        )
        assert "cluster.address=local" in message

    def test_anything_else_in_one_line(self) -> None:
        message = str(refused("h:1", ConnectionError("Could not\n  connect.\n")))
        assert message.startswith("no Ray cluster at 'h:1' (Could not connect; one that asks for a token")

    def test_a_machine_that_ray_cannot_start_on(self, no_ray: Path) -> None:
        message = str(not_started(OSError(30, "Read-only file system", "/tmp/ray")))
        assert message.startswith(
            "Ray cannot start on this machine (OSError: [Errno 30] Read-only file system: '/tmp/ray'); "
        )
        assert re.search(r"/ray, with [\d,]+ MB free: RAY_TMPDIR names another place", message)

    def test_a_server_that_is_no_head_node(self, ray_cluster: str) -> None:
        refuse_another_server(ray_cluster)
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"127.0.0.1:{server.getsockname()[1]}"
            with pytest.raises(ConfigError, match=f"no Ray cluster at '{address}' .the server there did not answer"):
                refuse_another_server(address, timeout_s=0.5)

    def test_a_machine_without_loopback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        refuse_without_loopback()

        def unreachable(*arguments: object) -> socket.socket:
            raise OSError(101, "Network is unreachable")

        monkeypatch.setattr(module.socket, "create_connection", unreachable)
        with pytest.raises(ConfigError, match="no way to 127.0.0.1"):
            refuse_without_loopback()


class TestToken:
    """Ray's processes know each other by a token, which Ray keeps at home."""

    @pytest.fixture(autouse=True)
    def no_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RAY_AUTH_TOKEN", "")
        monkeypatch.delenv("RAY_AUTH_TOKEN")

    def test_it_is_kept_at_home(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        keep_token_in_environment()
        (tmp_path / ".ray").mkdir()
        keep_token_in_environment()
        assert "RAY_AUTH_TOKEN" not in os.environ

    def test_without_a_home_that_can_be_written_to(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/nonexistent")
        keep_token_in_environment()
        token = os.environ["RAY_AUTH_TOKEN"]
        assert len(token) == 64
        keep_token_in_environment()
        assert os.environ["RAY_AUTH_TOKEN"] == token


class TestLocal:
    def test_it_does_without_the_network(self) -> None:
        assert local_settings()["_node_ip_address"] == "127.0.0.1"

    @pytest.mark.parametrize("folder", ["my work", "it's", "a$b", "(c)", "d&e;"])
    def test_an_interpreter_whose_path_a_shell_would_take_apart(
        self, monkeypatch: pytest.MonkeyPatch, folder: str
    ) -> None:
        assert "runtime_env" not in local_settings()
        monkeypatch.setattr(sys, "executable", f"/home/jane/{folder}/.venv/bin/python")
        assert shlex.split(local_settings()["runtime_env"]["py_executable"]) == [sys.executable]

    @pytest.mark.parametrize("variable", ["RAY_TMPDIR", "TMPDIR"])
    @pytest.mark.parametrize(("length", "temp_dir"), [(20, None), (80, "/tmp/ray")])
    def test_a_temporary_folder_too_long_for_sockets(
        self, monkeypatch: pytest.MonkeyPatch, variable: str, length: int, temp_dir: str | None
    ) -> None:
        monkeypatch.delenv("RAY_TMPDIR")
        monkeypatch.setenv(variable, "/" + (length - 1) * "x")
        assert local_settings()["_temp_dir"] == temp_dir

    @pytest.mark.process
    @pytest.mark.ray
    def test_a_whole_job_in_a_folder_with_blanks_and_a_long_temporary_folder(
        self, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path
    ) -> None:
        mine = tmp_path / "my work"
        mine.mkdir()
        long = mine / (80 * "x")
        (long / "ray").mkdir(parents=True)
        (long / "ray" / "ray_current_cluster").write_text(closed_port())
        (mine / "ds2ray").symlink_to(ROOT)
        (mine / "venv").symlink_to(sys.prefix)
        root = random_base.publish(str(mine / "store"))
        users = write_users(str(mine / "users.csv"), {"tony": spoken(small_corpus)["tony"]})
        command = [f"{mine}/venv/bin/{Path(sys.executable).name}", f"{mine}/ds2ray/jobs/adapt_users.py", users]
        environment = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "RAY_TMPDIR")}
        done = subprocess.run(
            [*command, f"storage.root={root}", *SETTINGS],
            env={**environment, "TMPDIR": str(long)}, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done
        assert "a Ray cluster of this job's own is started" in done.stderr
        assert "1 adapted" in done.stdout


def test_a_ray_that_only_ran_out_of_time_is_started_again_by_the_next_run() -> None:
    late = not_started(Exception("The current node timed out during startup. This could happen because …"))
    assert (late.exit_code, not_started(OSError("No space left on device")).exit_code) == (75, 2)
    assert "RAY_TMPDIR" in str(late)
