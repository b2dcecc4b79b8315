"""The start of a trial, without a cluster."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ds2ray.cluster import cohort_work
from ds2ray.cluster.cohort_trial import CohortTrial
from ds2ray.config import AdaptConfig, AdapterConfig, DataConfig
from ds2ray.fleet.cohort_task import FleetTask
from ds2ray.storage import Server
from ds2ray.store import Store


@pytest.mark.parametrize(
    ("gpus_per_trial", "has_gpu", "fractions"), [(0.25, True, [0.25]), (2.0, True, [1.0]), (0.0, False, [])]
)
def test_a_trial_takes_no_more_of_a_gpu_than_its_share(
    monkeypatch: pytest.MonkeyPatch, gpus_per_trial: float, has_gpu: bool, fractions: list[float]
) -> None:
    found: list[float] = []

    def base_from_bytes(record: Any, weights: bytes, device: torch.device) -> str:
        assert found == fractions  # before anything lies on the GPU
        return device.type

    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", found.append)
    monkeypatch.setattr(cohort_work, "base_from_bytes", base_from_bytes)
    monkeypatch.setattr(cohort_work, "ray", SimpleNamespace(get=lambda reference: np.zeros(1, np.uint8)))
    record: Any = None
    task = FleetTask(
        run_id="night",
        store=Store("/store"),
        outside=Server(),
        base_record=record,
        base_weights=None,
        adapter=AdapterConfig(),
        adapt=AdaptConfig(),
        data=DataConfig(),
        gpus_per_trial=gpus_per_trial,
        slice_s=1.0,
        cohorts=[],
    )
    trial = object.__new__(CohortTrial)
    trial.setup({"cohort": 0}, task)
    trial.cleanup()
    assert trial.work.base == ("cuda" if has_gpu else "cpu")
