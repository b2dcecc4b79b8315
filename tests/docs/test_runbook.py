"""The runbook from its first command to its last, on a Ray head with a token and an S3 server.

What its jobs ask of the server is held against the policies in k8s/policies, as nobody else asks the same.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fleet_runs import spoken
from head_node import STORAGE_ROOT, HeadNode
from runbook import Shell, steps
from s3_policy import Access, access_of, allows, policy_of
from s3_server import S3Server

from ds2ray.demo.corpus import DemoCorpus
from ds2ray.sound.audio import read_waveform, write_audio
from ds2ray.store import Store, read_pointer
from ds2ray.tables.manifest import Utterance, read_manifest

pytestmark = [pytest.mark.process, pytest.mark.ray, pytest.mark.timeout(900)]  # some twenty jobs, one after another

STORE = Store(STORAGE_ROOT)
SPEAKERS = {"john": "fiona", "mary": "tony", "carl": "winston", "eve": "beatrice", "gary": "gary", "grace": "grace"}
"""The users of the runbook, and who of the demo's corpus speaks for them."""
NEW, BROKEN, GONE, CHANGED = "grace", "eve", "gary", ("john", "mary")
FIRST, QUIET, CHANGING, STOPPED = (f"202611{day}" for day in (23, 24, 25, 26))
"""The nights."""


@dataclass
class Course:
    """What was seen while the runbook was worked through.

    Attributes:
        pointers: after each step, the adapters that users have, by the number of their publication.
    """

    shell: Shell
    pointers: dict[str, dict[str, int]] = field(default_factory=dict)

    def told(self, words: str) -> str:
        """What the first command with these words has printed."""
        return next(ran.finished.out for ran in self.shell.ran if words in ran.text)


def record(folder: Path, utterances: Sequence[Utterance]) -> None:
    """Write speech as people record it: an audio file and a text each."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, utterance in enumerate(utterances):
        write_audio(str(folder / f"{number}.flac"), read_waveform(utterance.audio, 16000), 16000)
        (folder / f"{number}.txt").write_text(utterance.transcript)


@pytest.fixture(scope="module")
def course(
    tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server, ray_head: HeadNode, small_corpus: DemoCorpus
) -> Iterator[Course]:
    """The runbook, worked through; what people record in the meantime, and who stops a night, stands here."""
    folder, speech = tmp_path_factory.mktemp("on-call"), spoken(small_corpus)
    recordings = folder / "recordings"
    record(folder / "base-speech" / "people", read_manifest(small_corpus.train_manifest).utterances)
    for user in SPEAKERS.keys() - {NEW}:
        record(recordings / user, speech[SPEAKERS[user]][: 5 if user in CHANGED else None])
    hello = read_manifest(small_corpus.test_manifest).utterances[0]
    write_audio(str(folder / "hello.wav"), read_waveform(hello.audio, 16000), 16000)
    s3_server.make_bucket("fleet")
    seen = Course(Shell(folder, ray_head))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_server.environment().items():
            patch.setenv(name, value)
        for heading, lines in steps().items():
            if heading == "A night with changes":
                for user in (*CHANGED, NEW):
                    record(recordings / user, speech[SPEAKERS[user]])
                shutil.rmtree(recordings / GONE)
                for path in (recordings / BROKEN).glob("*.flac"):
                    begun = path.read_bytes()[:400]  # with its header, which is all that packing looks at
                    path.write_bytes(begun + bytes(20000))
            if heading == "A night that is stopped and finished":
                record(recordings / BROKEN, speech[SPEAKERS[BROKEN]])
                for user in CHANGED:
                    (recordings / user / "0.flac").unlink()
                    (recordings / user / "0.txt").unlink()
                _stopped_in_the_middle(seen.shell, lines)
            else:
                for line in lines:
                    seen.shell.run(line)
            seen.pointers[heading] = pointers()
        yield seen


def _stopped_in_the_middle(shell: Shell, lines: Sequence[str]) -> None:
    """Run the commands of the step, of which the third stops the night as soon as one user has an adapter."""
    with shell.head.proxy.holding(second_publication()) as reached:
        for line in lines[:2]:
            shell.run(line)
        reached.wait()
        shell.run(lines[2])
    for line in lines[3:]:
        shell.run(line)


def second_publication() -> Callable[[str], bool]:
    """A function of requests that is true where a second user's pointer is written."""
    written: set[str] = set()

    def is_second(request: str) -> bool:
        if not (request.startswith("PUT /fleet/ds2ray/users/") and request.endswith("/current.json")):
            return False
        written.add(request)
        return len(written) > 1

    return is_second


def pointers() -> dict[str, int]:
    """The users who have an adapter, with the number of its publication."""
    found = {user: read_pointer(STORE, user) for user in SPEAKERS}
    return {user: pointer.seq for user, pointer in found.items() if pointer is not None}


def test_a_night_does_what_has_changed_and_names_what_is_broken(course: Course) -> None:
    everybody = SPEAKERS.keys() - {NEW}
    assert "5 users · 5 adapted" in course.told(f"date={FIRST}")
    assert course.pointers["The first night"] == dict.fromkeys(everybody, 1)
    assert "all 5 users unchanged: nothing to do" in course.told(f"date={QUIET}")
    assert course.pointers["A night without changes"] == course.pointers["The first night"]
    changing = course.told(f"date={CHANGING}")
    assert "4 users · 3 adapted · 1 skipped · 1 of them unusable" in changing, changing[-4000:]
    assert f"{BROKEN}, utterance {BROKEN}/0 and 5 more: cannot be decoded" in changing, changing[-4000:]
    assert course.pointers["A night with changes"] == {
        **dict.fromkeys(everybody, 1),
        **dict.fromkeys(CHANGED, 2),
        NEW: 1,
    }


def test_a_stopped_night_keeps_what_is_published_and_the_next_attempt_does_the_rest(course: Course) -> None:
    stopped, again = course.told(f"stop=adapt-users-{STOPPED}-1"), course.told(f"date={STOPPED} --timeout")
    assert "stopped with 2 of 5 users to do" in stopped, stopped[-4000:]
    assert f"job adapt-users-{STOPPED}-1 has ended with exit code 75" in stopped, stopped[-4000:]
    assert f"job adapt-users-{STOPPED}-1 has ended with exit code 75: it is run again" in again, again[-4000:]
    assert "2 users · 2 adapted" in again, again[-4000:]
    before = course.pointers["A night with changes"]
    after = course.pointers["A night that is stopped and finished"]
    assert {user for user in after if after[user] != before[user]} == {*CHANGED, BROKEN}


def test_a_rollback_takes_back_one_run_and_an_erasure_one_user(course: Course) -> None:
    steps_ = ("What was that night like?", "A night that was bad", "Somebody wants to be forgotten")
    before, rolled_back, erased = (course.pointers[step] for step in steps_)
    moved = {user for user in before if rolled_back[user] != before[user]}
    assert len(moved) == 2
    assert moved < {*CHANGED, BROKEN}
    assert "2 users: each gets the version before back" in course.told("rollback run=last")
    assert erased.keys() == rolled_back.keys() - {"john"}
    assert (course.shell.folder / "report.html").read_text("utf-8").count("adapt-users-20261126-2") > 0


ROLES = {
    "prepare": "packer",
    "train": "trainer",
    "sweep_adapters": "adapter",
    "adapt_users": "adapter",
    "submit": "adapter",  # while a night goes on that is not followed
    "transcribe": "reader",
    "report": "reader",
    "store": "eraser",
}


def test_every_job_may_do_what_it_does_by_the_policy_of_its_role(course: Course) -> None:
    asked: dict[str, set[Access]] = {}
    for ran in course.shell.ran:
        asked.setdefault(ran.job, set()).update(map(access_of, ran.requests))
    assert {job for job, requests in asked.items() if requests} >= ROLES.keys()
    refused = {
        job: sorted({f"{access.action} {access.place}" for access in asked[job] if not allows(policy_of(role), access)})
        for job, role in ROLES.items()
    }
    assert refused == {job: [] for job in ROLES}
