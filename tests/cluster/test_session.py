import math
import os

import pytest
import ray

from ds2ray.cluster.session import quiet_tune, room_for_trials


class TestRoom:
    @pytest.mark.parametrize(("cpus", "room"), [(1.0, 2), (0.5, 4), (0.3, 6), (2.0, 1), (16.0, 1)])
    def test_it_is_what_the_cluster_has_and_at_least_one(self, ray_cluster: str, cpus: float, room: int) -> None:
        found = room_for_trials(cpus, gpus=0.25)
        assert (found.trials, found.gpus) == (room, False)
        of_all = ray.cluster_resources()["memory"]
        assert found.memory_bytes == (of_all / room if cpus <= 2.0 else math.inf)  # too large a trial runs nowhere


class TestQuietTune:
    def test_it_leaves_the_environment_as_it_was(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", "7")
        monkeypatch.delenv("TUNE_GLOBAL_CHECKPOINT_S", raising=False)
        before = dict(os.environ)
        with quiet_tune(trials_at_once=1000):
            assert (os.environ["TUNE_MAX_PENDING_TRIALS_PG"], os.environ["TUNE_GLOBAL_CHECKPOINT_S"]) == ("1000", "inf")
        assert dict(os.environ) == before

    def test_results_that_are_read_are_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("TUNE_GLOBAL_CHECKPOINT_S", raising=False)
        with quiet_tune(keep_results=True):
            assert "TUNE_GLOBAL_CHECKPOINT_S" not in os.environ
