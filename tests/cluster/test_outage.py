"""A fleet run through a proxy that breaks requests of driver and workers, and answers nobody for a while."""

import functools
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from faulty_proxy import Fault, faulty_proxy
from fleet_runs import changed_outcomes, job_of
from s3_server import S3Server
from toy_fleet import make_users, silent_base

from ds2ray import storage
from ds2ray.cluster import fleet
from ds2ray.cluster.cohort_trial import CohortTrial
from ds2ray.commands import adapt_users as adapt
from ds2ray.config import StorageConfig
from ds2ray.fleet.cohort_task import FleetTask
from ds2ray.store import Store, read_adapter, read_pointer
from ds2ray.store.outcomes import Status

RATES: dict[Fault, float] = {fault: 0.03 for fault in Fault if fault not in (Fault.outage, Fault.stall, Fault.expired)}
OUTAGE_S = 3.0
USERS = ("ann", "bob", "cem")


def test_faults_and_an_outage_cost_nobody_anything(
    ray_cluster: str, s3_server: S3Server, s3_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent_base(s3_root)
    users = make_users(tmp_path, dict.fromkeys(USERS, 6))

    class Credentialed(CohortTrial):
        """A trial with this process's credentials: the session's cluster was started without."""

        environment = s3_server.environment()

        def setup(self, config: dict[str, Any], task: FleetTask) -> None:  # type: ignore[override]
            os.environ.update(self.environment)
            super().setup(config, task)

    monkeypatch.setattr(fleet, "train_cohorts", functools.partial(fleet.train_cohorts, trial=Credentialed))
    with faulty_proxy(s3_server.endpoint_url, RATES) as proxy:

        def go_down() -> None:
            """An outage from the first request of a worker's publishing on."""
            while not over.wait(0.01):
                if any(request.startswith("PUT") and ".safetensors" in request for request in proxy.requests):
                    with proxy.outage():
                        over.wait(OUTAGE_S)
                    return

        over = threading.Event()
        breaker = threading.Thread(target=go_down)
        breaker.start()
        job = job_of(s3_root, users, "night")
        job = replace(job, storage=StorageConfig(root=s3_root, endpoint_url=proxy.endpoint_url, outage_s=60))
        try:
            assert adapt.run(job) == 0
        finally:
            over.set()
            breaker.join()
        assert proxy.injected[Fault.outage] > 0
    rows = changed_outcomes(s3_root, "night")
    assert {user: (row.status, row.attempts) for user, row in rows.items()} == dict.fromkeys(USERS, (Status.adapted, 1))
    for user in USERS:
        pointer = read_pointer(Store(s3_root), user)
        assert pointer is not None
        assert pointer.seq == 1
        assert read_adapter(Store(s3_root), pointer)
    parts = [part.uri for part in storage.list_objects(f"{s3_root}/runs/night/outcomes")][:-1]
    assert sorted(key for uri in parts for key in storage.read_table(uri)["user_key"].to_pylist()) == sorted(USERS)
