"""Adaptation by this code and by that of another commit: the same jobs on the same users and base.

The other commit is checked out in a folder of its own, and this Python runs its jobs. It trains the base; then each of
both adapts a few of the users and all of them, in stores of their own, so that what a run costs without users falls
out: `cpu_s` is what one more user costs, in CPU seconds of all processes of the job, and `run_cpu_s` what a run costs
beside. `wer` is that of sentences that nobody has trained on, recognised by this code with what each has published,
and `wer_base` that of the base alone. `ratio` is the other's `cpu_s` over this code's, by place of the adapter.

Bars: a ratio of 4 at the default place and of 1.5 after the last layer, at a WER at most a point above the other's.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.adapting.cpu_time import run_counted
from benchmarks.common import say
from benchmarks.recipes import mean
from benchmarks.speech import Speaker, base_corpus, speakers
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.recognition.transcriber import Transcriber
from ds2ray.tables.manifest import write_manifest

ROOT = Path(__file__).resolve().parents[2]
PLACES: dict[str, tuple[str, ...]] = {"default": (), "last": ("adapter=last",)}
BARS = {"default": 4.0, "last": 1.5}
MAX_WER_RISE = 1.0
FEW = 3
"""A run of so many users beside that of all."""


@dataclass(frozen=True)
class Code:
    """A checkout whose jobs are run, and the folder of its stores and logs."""

    checkout: Path
    folder: Path

    def run(self, job: str, *settings: str) -> float:
        """Run a job to its end; CPU seconds of all its processes."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(self.checkout)}
        argv = [sys.executable, str(self.checkout / "jobs" / f"{job}.py"), *settings]
        return run_counted(argv, self.checkout, environment, self.folder / f"{job}.log")


def compare(commit: str, num_users: int, minutes: float, num_test: int, cache: str) -> dict[str, Any]:
    """Adapt the same users by both; the fields of the line."""
    ordinary = base_corpus(cache, 400, 40)
    users = [user.with_minutes(minutes) for user in speakers(cache, num_users, minutes, num_test, ordinary)]
    with checked_out(commit) as checkout, tempfile.TemporaryDirectory(prefix="ds2ray-against-") as folder:
        sides = {"other": Code(checkout, Path(folder, "other")), "this": Code(ROOT, Path(folder, "this"))}
        for side in sides.values():
            side.folder.mkdir()
        base_root = _train_base(sides["other"], ordinary)
        figures: dict[str, Any] = {"wer_base": _wer(users, base_root)}
        for place, settings in PLACES.items():
            found = {name: _adapt(code, place, settings, users, base_root) for name, code in sides.items()}
            figures[place] = {**found, "ratio": found["other"]["cpu_s"] / found["this"]["cpu_s"]}
            say(f"{place}: {figures[place]}")
    return {"commit": commit, "users": num_users, "minutes": minutes, **figures, "falls_short": falls_short(figures)}


def falls_short(figures: dict[str, Any]) -> list[str]:
    """The names of the bars that are missed."""
    missed = [f"{place}.ratio" for place, bar in BARS.items() if figures[place]["ratio"] < bar]
    for place in BARS:
        if figures[place]["this"]["wer"] > figures[place]["other"]["wer"] + MAX_WER_RISE:
            missed.append(f"{place}.wer")
    return missed


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A checkout of a commit, until the end of the context."""
    folder = tempfile.mkdtemp(prefix="ds2ray-checkout-")
    try:
        subprocess.run(["git", "worktree", "add", "--detach", folder, commit], cwd=ROOT, check=True, stdout=sys.stderr)
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["git", "worktree", "prune"], cwd=ROOT, check=True)


def _train_base(code: Code, corpus: DemoCorpus) -> str:
    """Train a base of the demo's ordinary voices; returns the root of the store that has it."""
    say("training a base by the other commit …")
    root = code.folder / "base"
    code.run(
        *("train", "model=tiny", "train=demo", f"train.manifest={corpus.train_manifest}"),
        *(f"train.valid_manifest={corpus.valid_manifest}", f"train.output_dir={code.folder}/outputs"),
        *(f"storage.root={root}", "cluster.num_workers=1"),
    )
    return str(root)


def _adapt(
    code: Code, place: str, settings: Sequence[str], users: Sequence[Speaker], base_root: str
) -> dict[str, float]:
    """Adapt some of the users, and all of them in another store; CPU seconds a user and a run, and the WER of all."""
    spent: dict[int, float] = {}
    for count in (min(FEW, len(users) - 1), len(users)):
        root = code.folder / f"{place}-{count}"
        shutil.copytree(base_root, root)
        table = _write_users(code.folder / f"users-{count}", users[:count])
        spent[count] = code.run("adapt_users", table, f"storage.root={root}", *settings)
    (few, few_s), (all_of_them, all_s) = spent.items()
    cpu_s = (all_s - few_s) / (all_of_them - few)
    return {"cpu_s": cpu_s, "run_cpu_s": few_s - few * cpu_s, "wer": _wer(users, str(root))}


def _write_users(folder: Path, users: Sequence[Speaker]) -> str:
    """Write a users table with a manifest each; returns its path."""
    folder.mkdir(exist_ok=True)
    for user in users:
        write_manifest(str(folder / f"{user.user_id}.csv"), user.adapt)
    table = folder / "users.csv"
    rows = "".join(f"{user.user_id},{user.user_id}.csv\n" for user in users)
    table.write_text(f"user_id,manifest\n{rows}", encoding="utf-8")
    return str(table)


def _wer(users: Sequence[Speaker], root: str) -> float:
    """Mean WER over users on their test sentences by what a store has, in percent."""
    transcriber = Transcriber.open(root, device="cpu")
    rates = []
    for user in users:
        hypotheses = transcriber.transcribe_utterances(user.test)
        rates.append(transcriber.score([u.transcript for u in user.test], hypotheses).words.rate())
    return 100 * mean(rates)
