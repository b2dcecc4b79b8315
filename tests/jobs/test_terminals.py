"""Jobs on a real pseudo-terminal, from start to end: the screen, keys and signals. The demo's is in test_demo.py."""

import itertools
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from fleet_runs import (
    SETTINGS,
    TINY_TRAINING,
    RandomBase,
    changed_outcomes,
    run_job,
    run_job_here,
    run_warm_job,
    spoken,
    write_users,
)
from terminals import DRAWING, INTERRUPT, SUSPEND, check_left_alone, job, terminal

from ds2ray.demo.corpus import DemoCorpus
from ds2ray.store import Store, read_pointer

pytestmark = [pytest.mark.process, pytest.mark.ray]

COLOUR = re.compile(r"\x1b\[(?:3[0-7]|9[0-7]|38)[;m0-9]*")

WATCHED = ("adapt.num_epochs=80", "adapt.patience_epochs=200")
"""Settings that train all users together, for some seconds: long enough to be drawn."""

LONG = ("adapt.max_cohort_users=1", "adapt.num_epochs=60", "adapt.patience_epochs=60")
"""Settings that train one user after another, each for a while."""

ENDLESS = ("adapt.num_epochs=100000", "adapt.patience_epochs=100000")
"""Settings that train for longer than any test waits."""

SOME = ("fiona", "winston", "gary", "tony")


@pytest.fixture
def fleet(ray_cluster: str, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path) -> list[str]:
    """Arguments that adapt four users on the session's cluster, in a store of the test's own."""
    root = random_base.publish(str(tmp_path / "store"))
    users = write_users(str(tmp_path / "users.csv"), {user: spoken(small_corpus)[user] for user in SOME})
    return [users, f"storage.root={root}", f"cluster.address={ray_cluster}", *SETTINGS]


@pytest.mark.parametrize(("columns", "environment"), [(60, {}), (80, {"NO_COLOR": "1"}), (200, {})])
def test_adapting_users_in_windows_of_any_size(
    fleet: list[str], columns: int, environment: dict[str, str], tmp_path: Path
) -> None:
    argv = job("adapt_users", *fleet, *WATCHED, "run_id=one")
    with terminal(argv, tmp_path, columns=columns, lines=60, environment=environment, warm=True) as window:
        window.wait_for_text("starting workers")
        window.wait_for_text("encoded")
        assert window.finish() == 0
        check_left_alone(window)
        assert "4 users" in window.text()
        assert "done in" in window.text()
        assert DRAWING.search(window.text()) is not None
        assert bool(COLOUR.search(window.text())) is not bool(environment)
        shown = window.shown()
        for user in SOME:
            row = next(line for line in shown.splitlines() if line.startswith(f"│ {user}"))
            assert row.endswith("│")
            assert {"adapted", "kept"} & set(row.replace("kept_previous", "kept").split())
        assert ("utterances" in shown.partition("┃")[2]) is (columns == 200)
    assert set(changed_outcomes(fleet[1].partition("=")[2], "one")) == set(SOME)


SOME_STREAMS = [streams for count in range(3) for streams in itertools.combinations((0, 1, 2), count)]
"""Which of the standard streams are the terminal; all three are in every other test."""


@pytest.mark.parametrize("streams", SOME_STREAMS)
def test_any_of_the_streams_may_be_the_terminal(fleet: list[str], streams: Sequence[int], tmp_path: Path) -> None:
    with terminal(job("adapt_users", *fleet, "run_id=one"), tmp_path, streams=streams, warm=True) as window:
        assert window.finish() == 0
        check_left_alone(window)
        said = window.text() if 1 in streams else window.file(1)
        assert "4 users" in said
        assert "done in" in said
        if 1 not in streams:
            assert DRAWING.search(window.file(1)) is None
        live = 1 in streams or 2 in streams
        assert (DRAWING.search(window.text()) is not None) is live
    assert set(changed_outcomes(fleet[1].partition("=")[2], "one")) == set(SOME)


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"CI": "true"}])
def test_what_the_environment_asks_for(fleet: list[str], environment: dict[str, str], tmp_path: Path) -> None:
    with terminal(job("adapt_users", *fleet), tmp_path, environment=environment, warm=True) as window:
        assert window.finish() == 0
        check_left_alone(window)
        assert COLOUR.search(window.text()) is None
        assert DRAWING.search(window.text()) is None


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_training_a_base(ray_cluster: str, small_corpus: DemoCorpus, num_workers: int, tmp_path: Path) -> None:
    manifests = (f"train.manifest={small_corpus.train_manifest}", f"train.valid_manifest={small_corpus.valid_manifest}")
    where = (f"train.output_dir={tmp_path}/outputs", f"storage.root={tmp_path}/store", f"cluster.address={ray_cluster}")
    argv = job("train", *manifests, *where, *TINY_TRAINING, f"cluster.num_workers={num_workers}", "train.num_epochs=3")
    with terminal(argv, tmp_path, columns=160, warm=num_workers > 0) as window:
        window.wait_for_text("epoch 1/3" if num_workers == 0 else "starting workers")
        assert window.finish() == 0
        check_left_alone(window)
        shown = window.shown()
        assert [f"epoch {number}/3 · loss" in shown for number in (1, 2, 3)] == [True] * 3
        assert re.search(r"^base [0-9a-f]{16}: ", shown, re.MULTILINE)


def test_a_sweep(fleet: list[str], tmp_path: Path) -> None:
    points = ("sweep.hidden_dims=[[4],[8]]", f"sweep.output_dir={tmp_path}/sweep", "sweep.num_users=2")
    settings = [argument for argument in fleet if not argument.startswith("adapter.hidden_dims")]
    with terminal(job("sweep_adapters", *settings, *points), tmp_path, columns=100, warm=True) as window:
        window.wait_for_text("2 trials of 2 adapters on 2 users")
        assert window.finish() == 0
        check_left_alone(window)
        assert "held-out error by adapter, best first" in window.shown()
        assert "best: python jobs/adapt_users.py" in window.text()


def test_packing_and_recognising(random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path) -> None:
    with terminal(job("prepare", small_corpus.users_csv, f"output={tmp_path}/packed"), tmp_path) as window:
        assert window.finish() == 0
        check_left_alone(window)
        assert "rows: 48 read = 48 packed" in window.shown()
    argv = job("transcribe", f"manifest={small_corpus.test_manifest}", f"storage.root={random_base.root}")
    with terminal(argv, tmp_path) as window:
        assert window.finish() == 0
        check_left_alone(window)
        assert "16 utterances with transcripts" in window.shown()


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_help_and_mistakes(columns: int, tmp_path: Path) -> None:
    with terminal(job("adapt_users", "--help"), tmp_path, columns=columns) as window:
        assert window.finish() == 0
        check_left_alone(window)
        assert "adapt.num_epochs=8" in window.text()
        assert DRAWING.search(window.text()) is None
    with terminal(job("adapt_users", "users.csv", "adapt.num_epoch=3"), tmp_path, columns=columns) as window:
        assert window.finish() == 2
        check_left_alone(window)
        # the terminal breaks the line where it is full
        assert "didyoumeanadapt.num_epochs?" in "".join(window.shown().split())


@pytest.mark.parametrize("argv", [["--help"], ["users.csv", "adapt.num_epoch=3"], ["users.csv", "storage.root=none"]])
def test_a_job_that_begins_warm_is_as_a_fresh_one(argv: list[str]) -> None:
    assert run_warm_job("adapt_users", *argv) == run_job("adapt_users", *argv)


class TestKeys:
    @pytest.mark.parametrize("times", [1, 2])
    def test_control_c(self, fleet: list[str], times: int, tmp_path: Path) -> None:
        root = fleet[1].partition("=")[2]
        told = tmp_path / "store" / "runs" / "one" / "outcomes"
        with terminal(job("adapt_users", *fleet, *LONG, "run_id=one"), tmp_path, warm=True) as window:
            window.wait_for(lambda: any(told.glob("*.parquet")))
            for _ in range(times):
                window.type(INTERRUPT)
                window.read(0.2)
            assert window.finish() == 75
            check_left_alone(window)
            assert window.shown().splitlines()[-1].startswith("jobs/adapt_users.py: interrupted; run it again")
        finished = set(changed_outcomes(root, "one"))
        assert 1 <= len(finished) < len(SOME)
        before = {user: pointer.seq for user in finished if (pointer := read_pointer(Store(root), user))}
        assert run_job_here("adapt_users", *fleet, *LONG, "run_id=two").code == 0
        # who has an outcome is not trained again; who was published at the last moment, and has none yet, is
        assert set(changed_outcomes(root, "two")) == set(SOME) - finished
        pointers = {user: read_pointer(Store(root), user) for user in before}
        assert {user: pointer.seq for user, pointer in pointers.items() if pointer} == before

    @pytest.mark.parametrize("num_workers", [0, 2])
    def test_control_c_saves_a_base_in_training(
        self, ray_cluster: str, small_corpus: DemoCorpus, num_workers: int, tmp_path: Path
    ) -> None:
        manifests = (f"train.manifest={small_corpus.train_manifest}", "train.valid_fraction=0.2")
        where = (f"train.output_dir={tmp_path}/outputs", f"storage.root={tmp_path}/store")
        more = (f"cluster.address={ray_cluster}", f"cluster.num_workers={num_workers}", "train.num_epochs=100000")
        never = ("train.checkpoint_every_epochs=100000", "train.checkpoint_every_s=0")
        argv = job("train", *manifests, *where, *TINY_TRAINING, *more, *never)
        with terminal(argv, tmp_path, columns=200, warm=True) as window:
            window.wait_for(lambda: "epoch 2/100000 · loss" in window.text())
            window.type(INTERRUPT)
            assert window.finish() == 75
            check_left_alone(window)
            assert "run it again to go on from there" in " ".join(window.shown().split())
        assert len(list((tmp_path / "outputs" / "checkpoints").glob("*.pt"))) == 1

    def test_control_z_and_back(self, fleet: list[str], tmp_path: Path) -> None:
        # a shell's job control: a job that has nobody to bring it back is not stopped
        with terminal(["bash", "--norc", "--noprofile", "-i"], tmp_path, columns=120, lines=60) as window:
            window.type("PS1='ready> '\n")
            window.wait_for_text("ready>")
            window.type(shlex.join(job("adapt_users", *fleet, *LONG)) + "; echo code=$?\n")
            window.wait_for_text("encoded")
            window.type(SUSPEND)
            window.wait_for_text("Stopped")
            window.type("jobs\n")
            window.wait_for(lambda: window.shown().count("Stopped") >= 2)
            window.type("fg\n")
            window.wait_for_text("done in", within_s=200)
            window.wait_for(lambda: window.shown().endswith("ready>"))
            check_left_alone(window)
            window.type("exit\n")
            window.finish()

    def test_a_window_that_is_closed_ends_the_job(self, fleet: list[str], tmp_path: Path) -> None:
        with terminal(job("adapt_users", *fleet, *ENDLESS, "run_id=one"), tmp_path, warm=True) as window:
            window.wait_for_text("encoded")
            window.hang_up()
            assert window.process.wait(60) == 75
        summary = (tmp_path / "store" / "runs" / "one" / "summary.json").read_text()
        assert '"interrupted": true' in summary


class TestReaders:
    @pytest.mark.parametrize("reader", ["head -2", "cat"])
    def test_a_pipe(self, fleet: list[str], reader: str, tmp_path: Path) -> None:
        command = f"{shlex.join(job('adapt_users', *fleet, 'run_id=one'))} | {reader}; echo codes ${{PIPESTATUS[@]}}"
        with terminal(["bash", "-c", command], tmp_path, columns=150) as window:
            assert window.finish() == 0
            check_left_alone(window)
            lines = window.shown().splitlines()
            assert lines[-1] == "codes 0 0"
            assert lines[0].endswith("of speech")
            assert DRAWING.search(window.text()) is None
            assert "Broken pipe" not in window.text()
            assert len(lines) == 3 or reader == "cat"
        # whoever reads, the work is done
        assert set(changed_outcomes(fleet[1].partition("=")[2], "one")) == set(SOME)

    @pytest.mark.skipif(shutil.which("less") is None, reason="less is not installed")
    def test_a_pager(self, fleet: list[str], tmp_path: Path) -> None:
        command = f"{shlex.join(job('adapt_users', *fleet))} | less"
        with terminal(["bash", "-c", command], tmp_path, columns=120, lines=40) as window:
            window.wait_for_text("(END)", within_s=100)
            assert "4 users" in window.shown()
            assert not any(sign in window.shown() for sign in "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
            window.type("q")
            assert window.finish() == 0
            check_left_alone(window)
