"""Ray, or a process of it, that ends while a job is at work."""

from pathlib import Path

import pytest
import ray
from fleet_runs import RandomBase, adapt_users, spoken, write_users
from ray.exceptions import ActorDiedError, RayTaskError

from ds2ray import storage
from ds2ray.cluster import fleet, session
from ds2ray.cluster.exchange import exchanging
from ds2ray.cluster.watching import processes
from ds2ray.config import ClusterConfig
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.errors import Ds2RayError, InterruptedRunError
from ds2ray.store import Store
from ds2ray.store.outcomes import read_outcomes


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that starts, ends and watches nothing."""
    monkeypatch.setattr(session.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(session, "_start", lambda: None)
    monkeypatch.setattr(session.ray, "shutdown", lambda: None)
    monkeypatch.setattr(processes, "needed_processes", dict)


def test_it_is_told_in_one_line(no_ray: None) -> None:
    match = "Ray failed while the job was at work .ActorDiedError: "
    with (
        pytest.raises(InterruptedRunError, match=match) as told,
        session.connected(ClusterConfig(address="local")),
    ):
        raise ActorDiedError()
    assert str(told.value).endswith("nothing that is finished is lost: run it again")
    assert len(str(told.value).splitlines()) == 1


def test_what_goes_wrong_in_our_own_code_keeps_its_trace(no_ray: None) -> None:
    with pytest.raises(RayTaskError), session.connected(ClusterConfig(address="local")):
        raise RayTaskError("ray::train()", "a long trace", ValueError("no"))


def test_a_fleet_run_that_it_ends_is_interrupted_and_has_its_outcomes(
    ray_cluster: str,
    no_ray: None,
    random_base: RandomBase,
    small_corpus: DemoCorpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lost(*args: object, **options: object) -> None:
        raise ActorDiedError()

    monkeypatch.setattr(fleet, "train_cohorts", lost)
    root = random_base.publish(str(tmp_path / "store"))
    users = write_users(str(tmp_path / "users.csv"), {"tony": spoken(small_corpus)["tony"]})
    with pytest.raises(InterruptedRunError, match="nothing that is finished is lost: run it again"):
        adapt_users(root, users, "lost")
    summary = storage.read_json(f"{root}/runs/lost/summary.json")
    assert (summary["interrupted"], summary["exit_code"], summary["users"]) == (True, 75, 0)
    assert read_outcomes(Store(root), "lost") == []


def test_why_a_training_ended_is_told_though_its_news_are_gone(ray_cluster: str) -> None:
    def train() -> None:
        with exchanging(print) as exchange:
            ray.kill(exchange)
            raise Ds2RayError("the reason")

    with pytest.raises(Ds2RayError, match="^the reason$"):
        train()
