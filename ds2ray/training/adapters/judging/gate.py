"""The gate: a trained adapter replaces what the user has only if it is no worse, and probably better than the base."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ds2ray.config import ErrorMetric
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.training.adapters.judging.evidence import probability_of_improvement
from ds2ray.training.adapters.judging.results import AdapterFit, Judged


@dataclass(frozen=True)
class CurrentAdapter:
    """The adapter that a user has.

    Attributes:
        error_ratio: its held-out error over the base's, when it was judged.
        split: the rule by which its speech was split (`split_rule`); empty where it is not known.
        num_utterances: of the speech that it was trained and judged on; None where that is not known.
    """

    adapter: Adapter
    error_ratio: float = 1.0
    split: str = ""
    num_utterances: int | None = None


def gate(
    fit: AdapterFit,
    current_error: float | None,
    metric: ErrorMetric,
    confidence: float = 0.0,
    max_anchor_rise: float = math.inf,
    judged_current: Sequence[Judged] = (),
) -> str:
    """The reason why a trained adapter must not be published; empty where it may.

    Its held-out error must be no worse than the base's and, where there is one, the current adapter's; and it must be
    probable enough that it improves on both for further speech, too. Where it is judged on ordinary speech, it must
    not cost too much there.

    Args:
        confidence: the least probability; without utterances to judge by there is none, and the rest decides.
        max_anchor_rise: how much the error on the anchor may rise, as a share of words or characters.
        judged_current: the held-out utterances with the current adapter; none: there is none, or it cannot be told.
    """
    name = metric.name.upper()
    after = fit.score_after.rate(metric)
    if not fit.trained and fit.score_start is not None:
        return "training did not lower the held-out loss of the current adapter"
    if not fit.loss_after < fit.loss_before:
        return f"training did not lower the held-out loss ({fit.loss_before:.3f})"
    if after > fit.score_before.rate(metric):
        return f"held-out {name} {after:.1%} is worse than the base's {fit.score_before.rate(metric):.1%}"
    if current_error is not None and after > current_error:
        return f"held-out {name} {after:.1%} is worse than the current adapter's {current_error:.1%}"
    if fit.anchor is not None and fit.anchor.rise(metric) > max_anchor_rise:
        before, after = (one.rate(metric) for one in (fit.anchor.before, fit.anchor.after))
        return (
            f"ordinary speech: {name} rises from {before:.1%} to {after:.1%} through the adapter, and "
            f"adapt.max_anchor_rise allows {max_anchor_rise:.1%}"
        )
    for whose, likely in _likely(fit, metric, judged_current).items():
        if likely is not None and likely < confidence:
            return (
                f"an improvement on {whose} is {likely:.0%} likely, and adapt.gate_confidence asks for "
                f"{confidence:.0%} (held-out utterances: {len(fit.judged_after)})"
            )
    return ""


def improvement(fit: AdapterFit, metric: ErrorMetric, judged_current: Sequence[Judged] = ()) -> float | None:
    """The probability that an adapter improves on the base and on the current adapter: the lower of the two.

    None without utterances that they were judged on.
    """
    known = [likely for likely in _likely(fit, metric, judged_current).values() if likely is not None]
    return min(known, default=None)


def _likely(fit: AdapterFit, metric: ErrorMetric, judged_current: Sequence[Judged]) -> dict[str, float | None]:
    """The probability of an improvement, by what on. The prior's harm is that of having an adapter at all, so that it
    does not count between two of them."""
    found = {"the base": probability_of_improvement(fit.judged_before, fit.judged_after, metric)}
    if judged_current:
        found["the current adapter"] = probability_of_improvement(judged_current, fit.judged_after, metric, 0.0)
    return found
