"""An estimate of a run before it is paid for, by the speed of the store's earlier runs."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ds2ray.config import ReportConfig
from ds2ray.nights.spent import training_s
from ds2ray.progress import duration_text

NUM_RUNS = 3
"""Earlier runs that trained, at most, that an estimate goes by."""


@dataclass(frozen=True)
class Estimate:
    """What a run is likely to take.

    Attributes:
        seconds: in all, by the run before whose speech was most like it …
        low_s, high_s: … and by the fastest and the slowest of the runs that it goes by.
        num_runs: those.
        requests: to the servers of the store and of speech; 0 where all lies in local folders.
        cost: by the prices of the settings; None without prices.
    """

    seconds: float
    low_s: float
    high_s: float
    num_runs: int
    gpu_hours: float
    cost: float | None
    requests: float = 0.0

    def text(self, currency: str) -> str:
        """The estimate in words, with how sure it is."""
        runs = f"the last {self.num_runs} runs that trained" if self.num_runs > 1 else "the only run that trained"
        between = f" ({duration_text(self.low_s)} to {duration_text(self.high_s)})" if self.num_runs > 1 else ""
        facts = [f"about {duration_text(self.seconds)}{between}"]
        facts += [f"{self.gpu_hours:.2f} GPU-hours"] if self.gpu_hours else []
        facts += [f"{self.requests:,.0f} requests"] if self.requests else []
        facts += [f"{self.cost:.2f} {currency}"] if self.cost is not None else []
        return f"{', '.join(facts)}, by the speed of {runs}"


@dataclass(frozen=True)
class _Run:
    """An earlier run that trained: seconds of speech, seconds of training and of all else, its GPUs, and the requests
    of its trials and of all else."""

    speech_s: float
    training_s: float
    rest_s: float
    gpus: float
    trials_requests: float
    rest_requests: float

    def seconds(self, speech_s: float) -> float:
        """Of a run with so much speech, at this one's speed."""
        return self.rest_s + speech_s * self.training_s / self.speech_s

    def requests(self, speech_s: float) -> float:
        """Of a run with so much speech."""
        return self.rest_requests + speech_s * self.trials_requests / self.speech_s


def estimate(speech_s: float, summaries: Iterable[Mapping[str, Any]], report: ReportConfig) -> Estimate | None:
    """The estimate for a run that trains on so many seconds of speech; None where no earlier run tells its speed.

    Args:
        summaries: of the runs before, the newest first, as summary.json has them.
    """
    runs = [run for run in map(_run_of, summaries) if run is not None][:NUM_RUNS]
    if not runs or speech_s <= 0:
        return None
    like = min(runs, key=lambda run: abs(math.log(run.speech_s / speech_s)))
    seconds = like.seconds(speech_s)
    gpu_hours = like.gpus * (seconds - like.rest_s) / 3600
    has_prices = bool(report.price_per_gpu_hour or report.price_per_hour)
    cost = gpu_hours * report.price_per_gpu_hour + seconds / 3600 * report.price_per_hour
    each = [run.seconds(speech_s) for run in runs]
    return Estimate(
        seconds, min(each), max(each), len(runs), gpu_hours, cost if has_prices else None, like.requests(speech_s)
    )


def _run_of(summary: Mapping[str, Any]) -> _Run | None:
    """A run that came to its end and trained; None for others, and for those of releases that do not tell."""
    speech_s, trained_s = float(summary.get("speech_trained_s") or 0.0), training_s(summary)
    if summary.get("interrupted") or speech_s <= 0 or trained_s <= 0:
        return None
    rest_s = max(0.0, float(summary.get("seconds", 0.0)) - trained_s)
    in_all, of_trials = (_requests(summary.get(name)) for name in ("traffic", "traffic_of_trials"))
    gpus = float(summary.get("gpus") or 0.0)
    return _Run(speech_s, trained_s, rest_s, gpus, of_trials, max(0.0, in_all - of_trials))


def _requests(traffic: Any) -> float:
    """The requests that a summary tells; 0 where a run of an earlier release told none."""
    return float(traffic.get("requests") or 0.0) if isinstance(traffic, dict) else 0.0
