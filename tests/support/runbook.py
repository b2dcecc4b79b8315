"""The runbook in docs/operations.md as a person on call works through it: its commands, run as they stand there.

Only what decides about size is added: tiny models, few epochs, a user in each trial.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fleet_runs import TINY_TRAINING, Finished, finish
from head_node import START, STORAGE_ROOT, HeadNode
from pages import ROOT, Block, commands
from warm_jobs import WarmJob

PAGE = ROOT / "docs" / "operations.md"
HEADING = "## Runbook"
SMALL: Mapping[str, tuple[str, ...]] = {
    "prepare": (),
    "train": (*TINY_TRAINING, "cluster.num_workers=0"),
    "sweep_adapters": (
        *("adapter.after_layer=-1", "sweep.num_users=1", "adapt.num_epochs=2", "adapt.cross_validate_below=0"),
        *("adapt.further_share=0", "adapt.min_utterances=3"),
    ),
    "adapt_users": ("adapt.gate_confidence=0", "adapt.max_cohort_users=1", "adapt.max_concurrent_trials=1"),
    "transcribe": (),
    "store": (),
    "report": (),
}

_EXIT_CODE = re.compile(r"# exit code (\d+)")


@dataclass(frozen=True)
class Ran:
    """A command of the runbook that has ended.

    Attributes:
        job: the job that it runs, here or on the cluster.
        requests: those that the S3 server had meanwhile, `GET /bucket/key`.
    """

    text: str
    job: str
    finished: Finished
    requests: tuple[str, ...]


@dataclass
class Shell:
    """The shell of the person on call.

    Args:
        folder: the working directory.
        head: the head node that the runbook's command would start: it is there already, for other tests, too.
    """

    folder: Path
    head: HeadNode
    variables: dict[str, str] = field(default_factory=dict)
    ran: list[Ran] = field(default_factory=list)

    def run(self, line: str) -> Ran | None:
        """Run a line of the runbook, and hold its end against the exit code that stands behind it, else 0."""
        told = _EXIT_CODE.search(line)
        (words,) = commands(line)
        if words[0] == "export":
            self.variables |= self._exported(words)
            return None
        if words[:2] == ["ray", "start"]:
            assert tuple(words) == START, f"{line}: tests/support/head_node.py starts it by another command"
            return None
        ran = self._job(line, words)
        assert ran.finished.code == int(told[1] if told else 0), (line, ran.finished)
        self.ran.append(ran)
        return ran

    def start(self, words: Sequence[str]) -> "subprocess.Popen[str]":
        """Start a command of the runbook, with what makes it small."""
        assert words[:1] == ["python"], f"{words}: nobody knows how to run it"
        names = [name for word in words for name in _job_names(word)]
        small = SMALL[names[-1]] if names and names[-1] in SMALL else ()
        script = str(ROOT / words[1])
        return WarmJob(
            [sys.executable, script, *words[2:], *small],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**self.head.environment(), **self.variables},
        )

    def _exported(self, words: Sequence[str]) -> dict[str, str]:
        """What an `export` sets; the head node's own values for addresses and what the page leaves open."""
        own = {**self.head.storage, "RAY_ADDRESS": self.head.url, "RAY_AUTH_TOKEN": self.head.token}
        values = dict(word.split("=", 1) for word in words[1:])
        assert [name for name, value in values.items() if value == "…" and name not in own] == []
        assert values.get("DS2RAY_STORAGE_ROOT", STORAGE_ROOT) == STORAGE_ROOT, "the head's jobs have another store"
        return {name: own.get(name, value) for name, value in values.items()}

    def _job(self, line: str, words: Sequence[str]) -> Ran:
        before = len(self.head.proxy.requests)
        finished = finish(self.start(words))
        names = [name for word in words for name in _job_names(word)]
        return Ran(line, names[-1], finished, tuple(self.head.proxy.requests[before:]))


def _job_names(word: str) -> Iterator[str]:
    """The job that a word of a command names: `train` of `jobs/train.py`; of `adapt-users` after `ds2ray`, too."""
    if found := re.fullmatch(r"jobs/(\w+)\.py", word):
        yield found[1]
    elif word.replace("-", "_") in SMALL:
        yield word.replace("-", "_")


def steps() -> dict[str, list[str]]:
    """The commands of the runbook's steps by their headings, in their order."""
    section = _section()
    found: dict[str, list[str]] = {}
    num_blocks = 0
    for part in re.split(r"^### ", section, flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        texts = re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        num_blocks += len(texts)
        if texts:
            found[heading] = [line for block in texts for line in block.splitlines() if commands(line)]
    assert 2 * num_blocks == section.count("```"), "a block of the runbook that nobody has found"
    return found


def is_of_runbook(block: Block) -> bool:
    """Whether tests/docs/test_runbook.py runs a block of a page."""
    return block.page == PAGE and block.text in _section()


def _section() -> str:
    return PAGE.read_text(encoding="utf-8").partition(f"\n{HEADING}\n")[2].partition("\n## ")[0]
