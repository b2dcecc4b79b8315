"""How far a fleet run is, from what its trials report. Pure: it is told the time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ds2ray.progress import left_text
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
"""Share of the work from which the time that is left can be told, where trials do not tell how fast they are."""

KNOWN_FROM = 0.02
"""Share of all speech that has to be encoded, or trained on, for the speed of that to be known."""

WARM_S = 10.0
"""Seconds of a process's work from which on it matters little that its first steps take many times as long as all
others."""

TRAIN_BY_ENCODE = 9.0
"""How many times as long as encoding training takes, where nothing else is known."""

WAITING = "waiting"
FIRST_STAGE = "starting workers"


@dataclass(frozen=True)
class CohortSoFar:
    """The last report of a trial.

    Attributes:
        encoded: utterances.
        share: of its work that is done, 0 to 1: a guess.
        prepared, trained: shares of its speech that are encoded, and trained on …
        prepared_s, trained_s: … and the seconds that took.
    """

    stage: str
    encoded: int
    share: float
    prepared: float = 0.0
    trained: float = 0.0
    prepared_s: float = 0.0
    trained_s: float = 0.0


@dataclass
class _Speed:
    """Seconds of work, and the seconds of speech that it went through."""

    work_s: float = 0.0
    speech_s: float = 0.0

    def add(self, work_s: float, speech_s: float) -> None:
        self.work_s += work_s
        self.speech_s += speech_s

    @property
    def per_speech_s(self) -> float:
        return self.work_s / self.speech_s if self.speech_s else 0.0


@dataclass
class Tally:
    """Users and utterances of a run, done and to do.

    Args:
        num_users, num_utterances: to train.
        speech_s: seconds of speech of each cohort, its weight in the share of the work.
        started_s: when the run began.
        title: what stands before the stage.
        at_once: trials that the cluster has room for.
        train_by_encode: how many times as long as encoding training is likely to take, until that is known.
    """

    num_users: int
    num_utterances: int
    speech_s: Sequence[float]
    started_s: float
    title: str = ""
    at_once: int = 1
    train_by_encode: float = TRAIN_BY_ENCODE
    statuses: Counter[str] = field(default_factory=Counter)
    under_way: dict[int, CohortSoFar] = field(default_factory=dict)
    working_since_s: float | None = None  # when the first trial began: starting workers says nothing of the rest
    encoded: int = 0  # of cohorts that are done
    done_s: float = 0.0  # speech of cohorts that are done
    done: set[int] = field(default_factory=set)
    reported_s: dict[int, float] = field(default_factory=dict)  # when each cohort under way did so last
    ended: list[CohortSoFar] = field(default_factory=list)  # the last reports of cohorts that are done
    begun: dict[int, CohortSoFar] = field(default_factory=dict)  # by cohort: the first report of its training
    prepared: _Speed = field(default_factory=_Speed)  # of cohorts that are done
    trained: _Speed = field(default_factory=_Speed)

    def __post_init__(self) -> None:
        self.all_s = sum(self.speech_s)

    def report(self, cohort: int, statuses: Mapping[str, int], so_far: CohortSoFar, now_s: float) -> None:
        """Take up what a trial reports."""
        if self.working_since_s is None:
            self.working_since_s = now_s
        self.statuses.update(statuses)
        begun = self.begun.get(cohort)
        if so_far.trained and (begun is None or so_far.trained < begun.trained):
            self.begun[cohort] = so_far
        self.under_way[cohort] = so_far
        self.reported_s[cohort] = now_s

    def finish(self, cohort: int) -> None:
        """The trial has come to its end."""
        so_far, speech_s = self.under_way.pop(cohort, None), self.speech_s[cohort]
        self.done.add(cohort)
        self.done_s += speech_s
        if so_far is None:
            return
        self.encoded += so_far.encoded
        self.ended.append(so_far)
        if so_far.trained_s:
            self.prepared.add(so_far.prepared_s, speech_s)
            self.trained.add(*self._training(cohort, so_far))

    def stage(self) -> str:
        """The stage of most trials."""
        stages = Counter(so_far.stage for so_far in self.under_way.values())
        return self.title + (stages.most_common(1)[0][0] if stages else FIRST_STAGE)

    def share(self) -> float:
        """Of the work that is done, 0 to 1: of the time that it takes, as soon as speeds are known."""
        speeds = self._speeds()
        if speeds is not None:
            all_s = self.all_s * sum(speeds)
            left_s = sum(self._work_left_s(cohort, speeds) for cohort in range(len(self.speech_s)))
            return 1 - left_s / all_s
        under_way = sum(self.speech_s[cohort] * so_far.share for cohort, so_far in self.under_way.items())
        return (self.done_s + under_way) / self.all_s if self.all_s else 1.0

    def eta_s(self, now_s: float) -> float | None:
        """Seconds of work that are left; None as long as that cannot be told, and when nothing is left."""
        share = self.share()
        if share >= 1 or self.working_since_s is None:
            return None
        speeds = self._speeds()
        if speeds is None:
            told = any(so_far.prepared_s for so_far in (*self.under_way.values(), *self.ended))
            guess_s = (now_s - self.working_since_s) * (1 - share) / share if share >= ETA_FROM else None
            return None if told else guess_s
        left = [self._work_left_s(cohort, speeds) for cohort in range(len(self.speech_s))]
        for cohort in self.under_way:
            left[cohort] = max(0.0, left[cohort] - (now_s - self.reported_s[cohort]))
        return max(sum(left) / max(1, self.at_once), *left)

    def by_status(self) -> dict[str, int]:
        """Users by what has become of them, and those to whom nothing has happened yet as `waiting`."""
        counts = {status.value: self.statuses[status.value] for status in SHORT}
        return {**counts, WAITING: self.num_users - self.statuses.total()}

    def worker_seconds(self) -> dict[str, float]:
        """Seconds of all trials' work, before training and in it."""
        every = [*self.under_way.values(), *self.ended]
        return {
            "encoding": sum(so_far.prepared_s for so_far in every),
            "training": sum(so_far.trained_s for so_far in every),
        }

    def _speeds(self) -> tuple[float, float] | None:
        """Seconds of work by second of speech, for encoding and for training, over all trials; None as long as too
        little is known. As long as hardly anything is trained, the latter is a guess by the former."""
        prepared, trained = replace(self.prepared), replace(self.trained)
        for cohort, so_far in self.under_way.items():
            prepared.add(so_far.prepared_s, self.speech_s[cohort] * so_far.prepared)
            trained.add(*self._training(cohort, so_far, least_s=WARM_S))
        encode, train = prepared.per_speech_s, trained.per_speech_s
        if train > 0 and trained.speech_s >= KNOWN_FROM * self.all_s:
            return encode, train
        is_warm = any(so_far.prepared_s >= WARM_S for so_far in (*self.under_way.values(), *self.ended))
        if encode > 0 and prepared.speech_s >= KNOWN_FROM * self.all_s and is_warm:
            return encode, encode * self.train_by_encode
        return None

    def _training(self, cohort: int, so_far: CohortSoFar, least_s: float = 0.0) -> tuple[float, float]:
        """Seconds of a cohort's training, and the speech that they went through, without those up to its first report
        where there is enough after it; where there is not, none if they are fewer than `least_s`."""
        begun = self.begun.get(cohort, so_far)
        if so_far.trained - begun.trained < KNOWN_FROM or so_far.trained_s <= begun.trained_s:
            enough = so_far.trained_s >= least_s
            return (so_far.trained_s, self.speech_s[cohort] * so_far.trained) if enough else (0.0, 0.0)
        return so_far.trained_s - begun.trained_s, self.speech_s[cohort] * (so_far.trained - begun.trained)

    def _work_left_s(self, cohort: int, speeds: tuple[float, float]) -> float:
        """Seconds of a trial's work that are left of a cohort, as of its last report."""
        if cohort in self.done:
            return 0.0
        so_far = self.under_way.get(cohort, CohortSoFar("", 0, 0.0))
        encode, train = speeds
        return self.speech_s[cohort] * (encode * (1 - so_far.prepared) + train * (1 - so_far.trained))

    def facts(self, now_s: float) -> list[str]:
        """`312/1000 users`, `298 adapted`, `9 kept`, `5 failed`, `4100/9000 utterances encoded`, `41 users/min`, …"""
        done = self.statuses.total()
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
        if (eta_s := self.eta_s(now_s)) is not None:
            facts.append(f"eta {left_text(eta_s)}")
        return facts
