"""Figures about what people gained: errors by system, the share of full tuning's gain, who is better and who worse.

Intervals are of a bootstrap over people: people are drawn with replacement, over and over (95 %).
"""

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.real_people.work import BASE, FULL, PersonScores, Scores
from ds2ray.demo.gains import Comparison
from ds2ray.metrics import Score

RESAMPLES = 2000
INTERVAL = (2.5, 97.5)


def figures(people: Sequence[PersonScores], recipes: Sequence[str]) -> dict[str, object]:
    """Figures of all systems; errors are in percent, over all words or characters of all people's test sentences."""
    systems = [BASE, *recipes, *([FULL] if FULL in people[0].own else [])]
    return {
        "people": len(people),
        "words": sum(_sum(person.own[BASE]).words.reference_length for person in people),
        **{f"cer_{name}": _rate(people, lambda p, name=name: p.own[name]) for name in systems},  # type: ignore[misc]
        **{
            f"wer_{name}": _rate(people, lambda p, name=name: p.own[name], words=True)  # type: ignore[misc]
            for name in systems
        },
        "recipes": {name: of_recipe(people, name) for name in recipes},
    }


def of_recipe(people: Sequence[PersonScores], name: str) -> dict[str, object]:
    """How many have better, equal and worse words with a recipe, its share of full tuning's gain, and forgetting."""
    comparisons = [Comparison(person.own[BASE], person.own[name]) for person in people]
    rates = [comparison.wer() for comparison in comparisons]
    found: dict[str, object] = {
        "published": sum(name in person.published for person in people),
        "better": sum(after < before for before, after in rates),
        "equal": sum(after == before for before, after in rates),
        "worse": sum(after > before for before, after in rates),
        "worse_beyond_chance": sum(comparison.harmed() for comparison in comparisons),
        "cer_of_others": _rate(people, lambda person: person.others[name]),
        "cer_of_others_by_base": _rate(people, lambda person: person.others[BASE]),
    }
    if FULL in people[0].own:
        gains = np.array([[_errors(p.own[BASE]) - _errors(p.own[system]) for system in (name, FULL)] for p in people])
        found["gain_recovered"] = _share(gains)
        drawn = np.random.default_rng(0).integers(0, len(gains), (RESAMPLES, len(gains)))
        shares = [share for rows in drawn if (share := _share(gains[rows])) is not None]
        found["gain_recovered_interval"] = np.percentile(shares, INTERVAL).tolist() if shares else None
    return found


def _share(gains: np.ndarray) -> float | None:
    """The first column's sum as a share of the second's; None where there is no gain."""
    own, full = gains.sum(0)
    return float(own / full) if full > 0 else None


def _rate(people: Sequence[PersonScores], chosen: Callable[[PersonScores], Scores], words: bool = False) -> list[float]:
    """Errors in percent, with the ends of their interval."""
    counts = [_sum(chosen(person)) for person in people]
    pairs = np.array([_pair(count, words) for count in counts], dtype=float)
    drawn = np.random.default_rng(0).integers(0, len(pairs), (RESAMPLES, len(pairs)))
    errors, lengths = pairs[drawn].sum(1).T
    low, high = np.percentile(100 * errors / np.maximum(1, lengths), INTERVAL)
    total_errors, total_length = pairs.sum(0)
    return [float(100 * total_errors / max(1, total_length)), float(low), float(high)]


def _pair(score: Score, words: bool) -> tuple[int, int]:
    count = score.words if words else score.characters
    return count.errors, count.reference_length


def _errors(scores: Scores) -> int:
    return _sum(scores).characters.errors


def _sum(scores: Scores) -> Score:
    return sum(scores, Score())
