"""The figures of a fleet run while it goes on, among the metrics that Ray exports to Prometheus.

Ray puts `ray_` before each name. No label says who a user is. They are gauges of the driver alone, told once a second.
"""

import time
from collections.abc import Iterator

from ray.util.metrics import Gauge

from ds2ray.fleet.tally import Tally
from ds2ray.nights.spent import Spent

PREFIX = "ds2ray_live_"

SERIES = {
    "users": ("users to train, by what has become of them so far", "status"),
    "stage_seconds": ("seconds of the run so far, by stage", "stage"),
    "worker_seconds": ("seconds of all trials' work so far, by whether they encoded or trained", "work"),
    "cohorts_in_flight": ("cohorts whose trials are at work", ""),
    "cohorts_waiting": ("cohorts whose trials have not begun", ""),
    "share_ratio": ("share of the work that is done", ""),
    "eta_seconds": ("seconds of training that are left; absent as long as that is not known", ""),
    "requests": ("requests to servers so far", ""),
    "retries": ("requests to servers that were sent again so far", ""),
    "read_bytes": ("bytes read from servers so far", ""),
    "written_bytes": ("bytes written to servers so far", ""),
    "last_good_age_seconds": ("seconds since a run was last complete; absent where that is not known", ""),
    "lease_age_seconds": ("seconds since the run's lease was renewed", ""),
}
"""The names of all series, behind the prefix, with what they mean and the label, if there is one."""

EVERY_S = 1.0


class RunFigures:
    """The gauges of a run. To be made with Ray connected."""

    def __init__(self) -> None:
        self._gauges = {
            name: Gauge(PREFIX + name, description=meaning, tag_keys=(label,) if label else ())
            for name, (meaning, label) in SERIES.items()
        }
        self._told_s = float("-inf")

    def tell(self, tally: Tally, spent: Spent, renewed_s: float, now_s: float, *, last: bool = False) -> None:
        """Set the gauges, once a second at most.

        Args:
            renewed_s, now_s: when the lease was renewed, and now, by this process's clock.
            last: whether nothing follows, so that it is time whenever the gauges were set.
        """
        if now_s - self._told_s < EVERY_S and not last:
            return
        self._told_s = now_s
        for name, label_value, value in values(tally, spent, renewed_s, now_s):
            label = SERIES[name][1]
            self._gauges[name].set(value, tags={label: label_value} if label else {})


def values(tally: Tally, spent: Spent, renewed_s: float, now_s: float) -> Iterator[tuple[str, str, float]]:
    """Every series that is known, with the value of its label, empty without one, and the figure."""
    for status, count in tally.by_status().items():
        yield "users", status, float(count)
    for stage, seconds in spent.stages_so_far().items():
        yield "stage_seconds", stage, seconds
    for work, seconds in tally.worker_seconds().items():
        yield "worker_seconds", work, seconds
    yield "cohorts_in_flight", "", float(len(tally.under_way))
    yield "cohorts_waiting", "", float(len(tally.speech_s) - len(tally.done | tally.under_way.keys()))
    yield "share_ratio", "", tally.share()
    eta_s = 0.0 if tally.share() >= 1 else tally.eta_s(now_s)
    if eta_s is not None:
        yield "eta_seconds", "", eta_s
    for name, number in vars(spent.traffic).items():
        yield name, "", float(number)
    if spent.last_good_s is not None:
        yield "last_good_age_seconds", "", time.time() - spent.last_good_s
    yield "lease_age_seconds", "", now_s - renewed_s
