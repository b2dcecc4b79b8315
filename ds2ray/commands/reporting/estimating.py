"""What a run is going to take, told before it is paid for."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ds2ray import display
from ds2ray.commands.wanted import BaseSettings
from ds2ray.config import AdaptJob
from ds2ray.fleet.plan import Plan
from ds2ray.nights.estimate import NUM_RUNS, estimate
from ds2ray.nights.machines import rough_estimate
from ds2ray.nights.night import read_last_run, summaries_before
from ds2ray.store import BaseRecord, Store

MOST_READ = 4 * NUM_RUNS
"""Earlier runs that are looked at, most of which may have had nothing to train."""


def speech_to_train_s(plan: Plan) -> float:
    """Seconds of speech of the users whom the plan trains."""
    return sum(user.speech_s for user in plan.users if user.to_train)


def recent_runs(store: Store, plan: Plan) -> list[dict[str, Any]]:
    """The summaries of the last runs, the newest first; none where the plan trains nobody."""
    return list(summaries_before(store, read_last_run(store), MOST_READ)) if plan.cohorts else []


def tell_estimate(job: AdaptJob, record: BaseRecord, plan: Plan, recent: Sequence[Mapping[str, Any]]) -> float | None:
    """Say what the plan is going to take, by the runs before or, where they do not tell, by a table of measured
    machines; returns the seconds, None where nobody is trained."""
    if not plan.cohorts:
        return None
    likely = estimate(speech_to_train_s(plan), recent, job.report)
    if likely is not None:
        display.say(f"  {likely.text(job.report.currency)}")
        return likely.seconds
    shape = BaseSettings.of(record).shape
    rough = rough_estimate(
        speech_to_train_s(plan),
        num_epochs=job.adapt.num_epochs,
        base_bytes=record.size_bytes,
        with_head=shape.place(job.adapter.after_layer) < shape.num_stages,
        cpus=os.cpu_count() or 1,
    )
    display.say(f"  {rough.text()}")
    return rough.seconds
