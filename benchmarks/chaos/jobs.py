"""Jobs on Ray through a proxy that breaks requests; their drivers, workers, raylets or GCS are killed by SIGKILL."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from faulty_proxy import FaultyProxy
from fleet_runs import ROOT, SETTINGS, TRIAL_TITLES, ray_pids

from benchmarks.chaos.findings import Adapters, Findings
from benchmarks.common import say
from ds2ray.errors import InterruptedRunError
from ds2ray.store import Store

VICTIMS = ("raylet", "worker", "driver", "GCS")
OF_RAY = {"raylet": "/raylet/raylet", "GCS": "/gcs/gcs_server"}
"""Victims with which the whole of a job's own Ray is gone: by the ends of their programs' names."""

MAX_RUNS, WAIT_S = 40, 4.0
"""Runs of a job until it comes to its end, and seconds between two: a lease may have to run out."""

KILLS_OF_WORKERS = 3
"""In one run."""


@dataclass
class Jobs:
    """Runs of jobs/adapt_users.py on clusters of their own.

    Args:
        python: the interpreter of the jobs.
        folder: receives what they print.
        environment: of the jobs, without the secrets of this one.
    """

    python: str
    folder: Path
    users: str
    environment: Mapping[str, str]
    proxy: FaultyProxy
    findings: Findings
    draws: random.Random
    number: int = 0

    def killed(self, root: str, direct: Store, expected: Adapters, deadline_s: float) -> None:
        """Run a job whose worker, driver, raylet or GCS is killed, then others until one comes to its end; compare."""
        self.number += 1
        victim = VICTIMS[(self.number - 1) % len(VICTIMS)]
        say(f"a job whose {victim} is killed")
        process, log = self._start(root, f"{self.number:02d}-{victim}")
        kills = KILLS_OF_WORKERS if victim == "worker" else 1
        while process.poll() is None and kills:
            time.sleep(self.draws.uniform(0.1, 2.0 if victim == "worker" else 6.0))
            kills -= self._kill(process, victim)
        code = self._end(process, log)
        if victim in OF_RAY and not kills:
            # 0: it was over already, and about to end its Ray itself
            wrong = code not in (0, InterruptedRunError.exit_code)
            self.findings.found("wrong_exit_codes", f"{victim} killed: the job ended with {code}, see {log}", wrong)
        for again in range(MAX_RUNS):
            if code == 0 or time.monotonic() > deadline_s:
                break
            if again:
                time.sleep(WAIT_S)
            process, log = self._start(root, f"{self.number:02d}-{victim}-{again}")
            code = self._end(process, log)
        where = f"a job whose {victim} was killed"
        self.findings.found("runs_not_taken_up", f"{where}: ended with {code}, see {log}", code != 0)
        self.findings.check_store(direct, expected, where)

    def through_outage(self, root: str, direct: Store, expected: Adapters, outage_s: float) -> None:
        """Run a job in the middle of which the server answers nobody: it comes to its end all the same."""
        say(f"a job with an outage of {outage_s:.0f} s")
        process, log = self._start(root, "outage")
        before = len(self.proxy.requests)
        while process.poll() is None:
            time.sleep(0.05)
            if any(".safetensors" in request and "/users/" in request for request in self.proxy.requests[before:]):
                break
        with self.proxy.outage():
            time.sleep(outage_s)
        code = self._end(process, log)
        self.findings.found("runs_not_taken_up", f"an outage: ended with {code}, see {log}", code != 0)
        self.findings.check_store(direct, expected, "a job with an outage")

    def _start(self, root: str, name: str) -> tuple["subprocess.Popen[bytes]", Path]:
        log = self.folder / f"job-{name}.log"
        command = [self.python, str(ROOT / "jobs" / "adapt_users.py"), self.users, f"storage.root={root}"]
        command += [f"storage.endpoint_url={self.proxy.endpoint_url}", "cluster.address=local", *SETTINGS]
        command += ["adapt.max_attempts=8", f"run_id=run-{name}"]
        with open(log, "wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=output, env=dict(self.environment), start_new_session=True
            )
        return process, log

    def _kill(self, process: "subprocess.Popen[bytes]", victim: str) -> bool:
        """Kill the victim, if there is one by now."""
        find: dict[str, Callable[[], list[int]]] = {
            "driver": lambda: [process.pid],
            "worker": lambda: ray_pids(process.pid, TRIAL_TITLES),
        }
        for name, program in OF_RAY.items():
            # at work: one that is killed while it starts ends the job before there is anything to lose
            find[name] = partial(_of_ray_at_work, process.pid, program)
        for pid in find[victim]()[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.findings.kills[victim] += 1
                return True
        return False

    def _end(self, process: "subprocess.Popen[bytes]", log: Path) -> int:
        """Wait for the end of a job, and end what it has left running; returns its exit code."""
        code = process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        self.findings.check_output(log)
        return code


def _of_ray_at_work(root_pid: int, program: str) -> list[int]:
    if not ray_pids(root_pid, TRIAL_TITLES):
        return []
    return [pid for pid in ray_pids(root_pid, ("/",)) if _program(pid).endswith(program)]


def _program(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
    except OSError:
        return ""
