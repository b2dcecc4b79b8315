"""How far a fleet run is, from what its trials report. Pure: it is told the time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ds2ray.progress import duration_text
from ds2ray.store.outcomes import Status

SHORT = {
    Status.adapted: "adapted",
    Status.unchanged: "unchanged",
    Status.kept_previous: "kept",
    Status.skipped_no_data: "skipped",
    Status.failed: "failed",
}
"""Statuses as they are counted in a line."""

ETA_FROM = 0.02
"""Share of the work from which the time that is left can be told."""

FIRST_STAGE = "starting workers"


@dataclass(frozen=True)
class CohortSoFar:
    """The last report of a trial: its stage, utterances encoded, and the share of its work that is done."""

    stage: str
    encoded: int
    share: float


@dataclass
class Tally:
    """Users and utterances of a run, done and to do.

    Args:
        num_users, num_utterances: to train.
        speech_s: seconds of speech of each cohort, its weight in the share of the work.
        started_s: when the run began.
    """

    num_users: int
    num_utterances: int
    speech_s: Sequence[float]
    started_s: float
    statuses: Counter[str] = field(default_factory=Counter)
    under_way: dict[int, CohortSoFar] = field(default_factory=dict)
    working_since_s: float | None = None  # when the first trial began: starting workers says nothing of the rest
    encoded: int = 0  # of cohorts that are done
    done_s: float = 0.0  # speech of cohorts that are done

    def __post_init__(self) -> None:
        self.all_s = sum(self.speech_s)

    def report(self, cohort: int, statuses: Mapping[str, int], so_far: CohortSoFar, now_s: float) -> None:
        """Take up what a trial reports."""
        if self.working_since_s is None:
            self.working_since_s = now_s
        self.statuses.update(statuses)
        self.under_way[cohort] = so_far

    def finish(self, cohort: int) -> None:
        """The trial has come to its end."""
        so_far = self.under_way.pop(cohort, None)
        self.encoded += so_far.encoded if so_far else 0
        self.done_s += self.speech_s[cohort]

    def stage(self) -> str:
        """The stage of most trials."""
        stages = Counter(so_far.stage for so_far in self.under_way.values())
        return stages.most_common(1)[0][0] if stages else FIRST_STAGE

    def share(self) -> float:
        """Of the work that is done, 0 to 1."""
        under_way = sum(self.speech_s[cohort] * so_far.share for cohort, so_far in self.under_way.items())
        return (self.done_s + under_way) / self.all_s if self.all_s else 1.0

    def facts(self, now_s: float) -> list[str]:
        """`312/1000 users`, `298 adapted`, `9 kept`, `5 failed`, `4100/9000 utterances encoded`, `41 users/min`, …"""
        done, share = self.statuses.total(), self.share()
        facts = [f"{done}/{self.num_users} users"]
        facts += [
            f"{self.statuses[status.value]} {short}" for status, short in SHORT.items() if self.statuses[status.value]
        ]
        encoded = self.encoded + sum(so_far.encoded for so_far in self.under_way.values())
        if encoded:
            facts.append(f"{min(encoded, self.num_utterances)}/{self.num_utterances} utterances encoded")
        if done and now_s > self.started_s:
            per_minute = 60 * done / (now_s - self.started_s)
            facts.append(f"{per_minute:.0f} users/min" if per_minute >= 10 else f"{per_minute:.1f} users/min")
        if self.working_since_s is not None and ETA_FROM <= share < 1:
            facts.append(f"eta {duration_text((now_s - self.working_since_s) * (1 - share) / share)}")
        return facts
