import json

import pytest
import ray

from ds2ray.cluster.gpus import cluster_gpus, gpus_there
from ds2ray.config import ClusterConfig
from ds2ray.errors import InterruptedRunError


def requested() -> list[dict[str, float]]:
    """The resources that an autoscaler of the cluster would be asked for."""
    from ray.autoscaler._private.constants import AUTOSCALER_RESOURCE_REQUEST_CHANNEL
    from ray.experimental.internal_kv import _internal_kv_get

    found = _internal_kv_get(AUTOSCALER_RESOURCE_REQUEST_CHANNEL)
    return json.loads(found) if found else []


def test_gpus_that_do_not_come_are_named_and_no_longer_asked_for(
    ray_cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr("ds2ray.cluster.gpus.time.sleep", lambda s: asked.append(requested()))
    with (
        pytest.raises(InterruptedRunError, match=r"has 0 of the 1\.5 GPUs of cluster\.wait_for_gpus after 0\.2 s"),
        gpus_there(ClusterConfig(wait_for_gpus=1.5, wait_s=0.2)),
    ):
        pytest.fail("there is no GPU")
    assert asked[0] == [{"GPU": 1}, {"GPU": 1}]
    assert requested() == []


def test_gpus_that_come_are_there_and_kept(ray_cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resources = ray.cluster_resources()
    counts = iter([0.0, 0.0, 2.0])
    monkeypatch.setattr("ds2ray.cluster.gpus.time.sleep", lambda s: None)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {**resources, "GPU": next(counts, 2.0)})
    with gpus_there(ClusterConfig(wait_for_gpus=2)):
        assert cluster_gpus() == 2.0
        assert requested() == [{"GPU": 1}, {"GPU": 1}]
    assert requested() == []


def test_nobody_is_asked_where_nothing_is_waited_for(ray_cluster: str) -> None:
    with gpus_there(ClusterConfig()):
        assert requested() == []
