"""One adaptation of the many of `harm`: a user's adapter, what the gate says of it, and the errors that the
base and the adapter make on speech that neither training nor gate saw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from benchmarks.full_tuning import hear, scores_of
from benchmarks.recipes import Recipe, mean
from benchmarks.speech import Speaker
from ds2ray.chance import drawn_sums, interval
from ds2ray.metrics import Score
from ds2ray.model.files import load_model_file
from ds2ray.model.weights import Base
from ds2ray.training.adapters.cohort import adapt_cohort, results_of
from ds2ray.training.adapters.judging.gate import gate

POINTS_WORDS = 100
"""Test words from which on points of WER are told of a single adaptation."""


@dataclass(frozen=True)
class Adaptation:
    """An adaptation, whether its adapter was published or not.

    Attributes:
        kind: the speech, and whether the base knew the voice, as `demo known`.
        no_worse: whether the adapter is no worse on held-out speech: all that the gate asks for without confidence.
        improvement: the probability of an improvement that the gate saw.
        words: of each test sentence.
        base, adapter: word errors in each test sentence.
    """

    kind: str
    user_id: str
    minutes: float
    no_worse: bool
    improvement: float
    words: tuple[int, ...]
    base: tuple[int, ...]
    adapter: tuple[int, ...]

    def published(self, confidence: float) -> bool:
        """Whether a gate that asks for this confidence publishes the adapter."""
        return self.no_worse and self.improvement >= confidence

    def points(self) -> float:
        """Points of WER that the adapter costs; below 0 where it gains some."""
        return 100 * (sum(self.adapter) - sum(self.base)) / sum(self.words)

    def beyond_chance(self) -> int:
        """1 where the adapter is worse than the base beyond chance, -1 where it is better, else 0."""
        found = interval(drawn_sums(np.subtract(self.adapter, self.base)[:, None])[:, 0])
        return int(found.low > 0) - int(found.high < 0)


def adapt_and_score(base_path: str, kind: str, user: Speaker, minutes: float, recipe: Recipe) -> Adaptation:
    """Adapt to `minutes` of a user's speech, and score the adapter whatever the gate says of it.

    Raises:
        RuntimeError: the user could not be trained.
    """
    base = _base(base_path)
    spoken = user.with_minutes(minutes)
    (result,) = results_of(adapt_cohort(base, {spoken.user_id: spoken.adapt}, recipe.adapter, recipe.adapt))
    if result.fit is None or result.improvement is None:
        raise RuntimeError(f"{user.user_id} could not be trained: {result.reason}")
    heard = hear(base, user.test)
    before = scores_of(base.model, heard, base.vocabulary)
    base.model.add_adapter(recipe.adapter)
    assert base.model.adapter is not None
    base.model.adapter.load_state_dict(result.fit.state)
    after = scores_of(base.model, heard, base.vocabulary)
    base.model.adapter = None
    return Adaptation(
        kind,
        user.user_id,
        minutes,
        not gate(result.fit, None, recipe.adapt.gate_metric),
        result.improvement,
        tuple(score.words.reference_length for score in before),
        _errors(before),
        _errors(after),
    )


def figures(adaptations: Sequence[Adaptation], confidence: float) -> dict[str, float | int]:
    """What a gate that asks for this confidence makes of the adaptations.

    `harmed` are published and make more errors than the base on test speech, `harmed_beyond_chance` more than chance
    explains; `worst_points` is the most that one of at least POINTS_WORDS test words lost. `would_gain` are those
    whose adapter is better beyond chance, `wrongly_refused` those of them that were not published. `oracle_wer` is
    the mean WER of a gate that knows the test.
    """
    published = [one for one in adaptations if one.published(confidence)]
    gaining = [one for one in adaptations if one.beyond_chance() < 0]
    wers = [(100 * sum(one.base) / sum(one.words), one.points(), one.published(confidence)) for one in adaptations]
    worst = [one.points() for one in published if sum(one.words) >= POINTS_WORDS]
    return {
        "adaptations": len(adaptations),
        "published": len(published),
        "harmed": sum(one.points() > 0 for one in published),
        "harmed_beyond_chance": sum(one.beyond_chance() > 0 for one in published),
        "worst_points": max(0.0, *worst, 0.0),
        "would_gain": len(gaining),
        "wrongly_refused": sum(not one.published(confidence) for one in gaining),
        "base_wer": mean([base for base, _, _ in wers]),
        "mean_wer": mean([base + points * taken for base, points, taken in wers]),
        "oracle_wer": mean([base + min(0.0, points) for base, points, _ in wers]),
    }


def falls_short(found: Mapping[str, float | int]) -> list[str]:
    """The bars that these figures miss, each with its figure."""
    bars = {
        "harmed_beyond_chance": 0.01 * found["adaptations"],
        "worst_points": 2.0,
        "wrongly_refused": 0.1 * found["would_gain"],
    }
    return [f"{name} {found[name]:g}, at most {bar:g}" for name, bar in bars.items() if found[name] > bar]


def _errors(scores: Sequence[Score]) -> tuple[int, ...]:
    return tuple(score.words.errors for score in scores)


@lru_cache(maxsize=2)
def _base(path: str) -> Base:
    base = load_model_file(path)
    base.model.eval()
    return base
