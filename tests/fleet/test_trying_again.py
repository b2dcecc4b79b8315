"""Users without usable speech, and when a plan tries them again."""

import math

import pyarrow as pa
import pytest
from plans import infos_of, make_plan, user

from ds2ray.config import AdaptConfig, AdapterConfig, DataConfig
from ds2ray.fleet.cohorts import Room, cohort_size
from ds2ray.fleet.fingerprints import pipeline_state
from ds2ray.fleet.plan import Change, Plan, plan_run, plan_table
from ds2ray.tables.users import Fleet
from ds2ray.tables.users_table import no_users


def index_with(pipeline: str, tried_s: float | None, version: str = "") -> "pa.Table":
    """The index after a run that left john without usable speech, or with an adapter."""
    fingerprint = plan_table(make_plan([user("john")]))["fingerprint"].to_pylist()
    columns = {"user_key": ["john"], "fingerprint": fingerprint, "version": [version], "pipeline": [pipeline]}
    return pa.table({**columns, "tried_s": pa.array([tried_s], pa.float64())})


@pytest.mark.parametrize(
    ("retry_h", "pipeline", "now_s", "again"),
    [
        (0.0, pipeline_state(DataConfig()), 0.0, True),  # whatever the clock says
        (24.0, pipeline_state(DataConfig()), 1000.0 + 23 * 3600, False),
        (24.0, pipeline_state(DataConfig()), 1000.0 + 24 * 3600, True),
        (math.inf, pipeline_state(DataConfig()), 1e12, False),
        (math.inf, pipeline_state(DataConfig(max_duration_s=20.0)), 0.0, True),
        (math.inf, "0", 0.0, True),
    ],
)
def test_unusable_speech_is_tried_again_when_it_is_due(
    retry_h: float, pipeline: str, now_s: float, again: bool
) -> None:
    adapt, index = AdaptConfig(retry_unusable_after_h=retry_h), index_with(pipeline, 1000.0)
    plan = planned_with(index, adapt, now_s)
    assert [u.change for u in plan.users] == [Change.changed] * again
    assert plan.unchanged["unusable"].to_pylist() == [True] * (not again)


@pytest.mark.parametrize(("version", "have"), [("", 0), ("0123456789abcdef", 1)])
def test_unchanged_with_and_without_an_adapter_are_told_apart(version: str, have: int) -> None:
    plan = planned_with(index_with("", None, version), AdaptConfig(), 0.0)
    assert (plan.count(Change.unchanged), plan.count_unchanged(with_adapter=True)) == (1, have)
    assert plan.count_unchanged(with_adapter=False) == 1 - have
    assert plan.unchanged["version"].to_pylist() == [version]


def planned_with(index: "pa.Table", adapt: AdaptConfig, now_s: float) -> Plan:
    users = [user("john")]
    return plan_run(
        Fleet(users, no_users("users.csv"), []),
        index,
        infos_of(users),
        base_fingerprint="b" * 64,
        adapter=AdapterConfig(),
        adapt=adapt,
        data=DataConfig(),
        size=cohort_size(adapt, Room(trials=1)),
        now_s=now_s,
    )
