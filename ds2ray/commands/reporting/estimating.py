"""What a run is going to take, told before it is paid for."""

from ds2ray import display
from ds2ray.config import AdaptJob
from ds2ray.fleet.plan import Plan
from ds2ray.nights.estimate import NUM_RUNS, Estimate, estimate
from ds2ray.nights.night import read_last_run, summaries_before
from ds2ray.store import Store

MOST_READ = 4 * NUM_RUNS
"""Earlier runs that are looked at, most of which may have had nothing to train."""


def speech_to_train_s(plan: Plan) -> float:
    """Seconds of speech of the users whom the plan trains."""
    return sum(user.speech_s for user in plan.users if user.to_train)


def tell_estimate(job: AdaptJob, store: Store, plan: Plan) -> Estimate | None:
    """Say what the plan is going to take, by the runs before; returns that, or None where they do not tell."""
    if not plan.cohorts:
        return None
    likely = estimate(speech_to_train_s(plan), summaries_before(store, read_last_run(store), MOST_READ), job.report)
    if likely is None:
        display.say("  no earlier run of this store tells how long it will take")
    else:
        display.say(f"  {likely.text(job.report.currency)}")
    return likely
