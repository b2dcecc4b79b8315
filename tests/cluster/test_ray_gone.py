"""Ray, or a process of it, that ends while a job is at work."""

import pytest
import ray
from ray.exceptions import ActorDiedError, RayTaskError

from ds2ray.cluster import session
from ds2ray.cluster.base_training import _shown
from ds2ray.config import ClusterConfig
from ds2ray.errors import Ds2RayError, InterruptedRunError


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that starts, and ends, nothing."""
    monkeypatch.setattr(session.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(session, "_start", lambda: None)
    monkeypatch.setattr(session.ray, "shutdown", lambda: None)


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


def test_why_a_training_ended_is_told_though_its_queue_is_gone(ray_cluster: str) -> None:
    def train() -> None:
        with _shown() as queue:
            ray.kill(queue.actor)  # type: ignore[arg-type]
            raise Ds2RayError("the reason")

    with pytest.raises(Ds2RayError, match="^the reason$"):
        train()
