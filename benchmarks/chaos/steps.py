"""Kills by SIGKILL at every write, and at random moments, of jobs that each run in a fork.

After each kill a reader looks, the job is run again, and the result is compared with that of a job that was left alone.
"""

import json
import math
import random
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos.findings import Adapters, Findings, adapters_of
from benchmarks.chaos.forks import Ended, in_fork
from benchmarks.chaos.works import night, pack, recognise, train, verb
from ds2ray import storage
from ds2ray.store import Store, list_bases, user_key


@dataclass
class Steps:
    """The kills of jobs in forks.

    Args:
        folder: receives stores and logs.
        base_root: a store with a base.
        users, user_ids: the table of users, and their ids.
        environment: of the jobs.
    """

    folder: Path
    base_root: Path
    users: str
    user_ids: list[str]
    environment: Mapping[str, str]
    findings: Findings
    draws: random.Random

    def __post_init__(self) -> None:
        self.number = 0

    def reference(self) -> Adapters:
        """The adapters of a night that is left alone."""
        root, log = self._fresh("reference")
        ended = in_fork(night, root, self.users, "left-alone", log=log, environment=self.environment)
        if ended.code:
            raise RuntimeError(f"a night that was left alone ended with {ended.code}: {log.read_text()}")
        self.night_s = ended.seconds
        return adapters_of(Store(root), map(user_key, self.user_ids))

    def nights(self, expected: Adapters, deadline_s: float = math.inf, num_kills: int = 1000) -> None:
        """Kill nights at each of their writes in random order, then at random moments, until the deadline."""
        writes = list(range(1, 400))
        self.draws.shuffle(writes)
        last = 400  # no night has as many writes: found out by the first that is not killed
        while time.monotonic() < deadline_s and num_kills:
            at_write = next((write for write in writes if write < last), 0)
            if at_write:
                writes.remove(at_write)
            root, log = self._fresh("night")
            after_s = 0.0 if at_write else self.draws.uniform(0.05, self.night_s)
            ended = in_fork(
                night, root, self.users, "first", log=log, environment=self.environment,
                at_write=at_write, after_s=after_s,
            )  # fmt: skip
            where = f"a night killed at write {at_write}" if at_write else f"a night killed after {after_s:.2f} s"
            if ended.code != -signal.SIGKILL:
                last = min(last, at_write) if at_write else last
                continue
            self.findings.kills["driver in one process"] += 1
            num_kills -= 1
            self.findings.check_visible(Store(root), self.user_ids, where)
            self._again(night, root, self.users, "second", log=log, where=where)
            self.findings.check_store(Store(root), expected, where)

    def packing(self, num_kills: int) -> None:
        """Kill packing at writes, over and over in one folder, and compare it with one that was left alone."""
        whole, broken = self.folder / "packs", self.folder / "packs-broken"
        log = self.folder / "packing.log"
        self._again(pack, self.users, str(whole), log=log, where="packing")
        for number in range(1, num_kills + 1):
            ended = in_fork(
                pack, self.users, str(broken), log=log, environment=self.environment, at_write=1 + number % 4
            )
            if ended.code == -signal.SIGKILL:
                self.findings.kills["packing"] += 1
        self._again(pack, self.users, str(broken), log=log, where="packing")
        same = _packs(whole) == _packs(broken) != {}
        self.findings.found("unequal_stores", "packing", not same)

    def training(self, manifest: str, num_kills: int) -> None:
        """Kill the training of a base at random moments, and compare the base with that of one left alone."""
        bases, log, seconds = [], self.folder / "training.log", 0.0
        for name, kills in (("left-alone", 0), ("broken", num_kills)):
            root, output = str(self.folder / f"base-{name}"), str(self.folder / f"training-{name}")
            for _ in range(kills):
                ended = in_fork(
                    train, manifest, manifest, output, root, log=log, environment=self.environment,
                    after_s=self.draws.uniform(0.2, 1.0) * seconds,
                )  # fmt: skip
                if ended.code == -signal.SIGKILL:
                    self.findings.kills["base training"] += 1
            seconds = self._again(train, manifest, manifest, output, root, log=log, where="training").seconds
            bases.append(list_bases(Store(root)))
        self.findings.found("unequal_stores", "training", bases[0] != bases[1] or len(bases[0]) != 1)

    def verbs(self, deadline_s: float) -> None:
        """Kill the verbs of a store at each of their writes, each on the store of a night, and compare the users."""
        for argv in (
            ["rollback", "run=last"],
            ["erase", self.user_ids[0]],
            ["gc", "older_than_days=0", "keep_runs=0", "yes=true"],
            ["fsck", "mend=true"],
        ):
            left_alone = self._night_then(argv, at_write=0)
            at_write = 1
            while time.monotonic() < deadline_s:
                before = self.findings.kills[f"verb {argv[0]}"]
                again = self._night_then(argv, at_write)
                if self.findings.kills[f"verb {argv[0]}"] == before:
                    break
                self.findings.found("unequal_stores", f"{argv[0]} killed at write {at_write}", again != left_alone)
                at_write += 1

    def _night_then(self, argv: list[str], at_write: int) -> dict[str, str]:
        """The users' folders after a night and a verb, which is killed before a write and done again."""
        root, log = self._fresh(argv[0])
        self._again(night, root, self.users, "night", log=log, where="a night before a verb")
        arguments = [*argv, f"storage.root={root}"]
        if at_write:
            ended = in_fork(verb, *arguments, log=log, environment=self.environment, at_write=at_write)
            if ended.code == -signal.SIGKILL:
                self.findings.kills[f"verb {argv[0]}"] += 1
                self.findings.check_visible(Store(root), self.user_ids, f"{argv[0]} killed at write {at_write}")
        self._again(verb, *arguments, log=log, where=f"{argv[0]} at write {at_write}")
        return _users(Path(root))

    def through_proxy(self, manifest: str, remote: str, endpoint_url: str) -> None:
        """Pack, train a base and recognise with everything behind the proxy, and compare it with what is on this disk.

        To be called after `packing` and `training`.

        Args:
            manifest: of the training, on this disk.
            remote: URI of an empty folder on the server.
        """
        local, log = str(self.folder / "base-left-alone"), self.folder / "through-proxy.log"
        broken = {**self.environment, "AWS_ENDPOINT_URL": endpoint_url}
        self._again(pack, self.users, f"{remote}/packs", log=log, where="packing", environment=broken)
        arguments = (manifest, manifest, f"{remote}/training", f"{remote}/store")
        self._again(train, *arguments, log=log, where="training", environment=broken)
        hypotheses = [str(self.folder / "hypotheses.jsonl"), f"{remote}/hypotheses.jsonl"]
        self._again(recognise, manifest, local, hypotheses[0], log=log, where="recognition")
        self._again(
            recognise, manifest, f"{remote}/store", hypotheses[1], log=log, where="recognition", environment=broken
        )
        packs = {info.uri.removeprefix(f"{remote}/packs/") for info in storage.list_objects(f"{remote}/packs", True)}
        same = {name for name in packs if name.count(".") > 1} == _packs(self.folder / "packs").keys()
        self.findings.found("unequal_stores", "packing behind the proxy", not same)
        same = list_bases(Store(local)) == list_bases(Store(f"{remote}/store"))
        self.findings.found("unequal_stores", "training behind the proxy", not same)
        same = storage.read_bytes(hypotheses[0]) == storage.read_bytes(hypotheses[1]) != b""
        self.findings.found("unequal_stores", "recognition behind the proxy", not same)

    def _fresh(self, name: str) -> tuple[str, Path]:
        """A new store with the base, and a file for the output of its runs."""
        self.number += 1
        root = self.folder / f"{name}-{self.number}"
        for path in sorted(self.base_root.rglob("*")):
            if path.is_file():
                target = root / path.relative_to(self.base_root)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        return str(root), self.folder / f"{name}-{self.number}.log"

    def _again(
        self,
        work: Callable[..., int],
        *arguments: str,
        log: Path,
        where: str,
        environment: Mapping[str, str] | None = None,
    ) -> Ended:
        """Do the work to its end, which is expected to be a good one."""
        ended = in_fork(work, *arguments, log=log, environment=environment or self.environment)
        self.findings.found("runs_not_taken_up", f"{where}: ended with {ended.code}, see {log}", ended.code != 0)
        self.findings.check_output(log)
        return ended


def _users(root: Path) -> dict[str, str]:
    """The files in users' folders, and the versions that the pointers name."""
    found = {str(path.relative_to(root)): "" for path in root.glob("users/*/*") if not path.name.endswith(".tmp")}
    for name in found:
        if name.endswith("current.json"):
            found[name] = str(json.loads((root / name).read_text()).get("version"))
    return found


def _packs(folder: Path) -> dict[str, int]:
    """Packs by name, which tells their content."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*.*.parquet")}
