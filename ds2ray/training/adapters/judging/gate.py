"""The gate: a trained adapter replaces what the user has only if it is no worse, and probably better than the base."""

from dataclasses import dataclass

from ds2ray.config import ErrorMetric
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.training.adapters.judging.evidence import probability_of_improvement
from ds2ray.training.adapters.judging.results import AdapterFit


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


def gate(fit: AdapterFit, current_error: float | None, metric: ErrorMetric, confidence: float = 0.0) -> str:
    """The reason why a trained adapter must not be published; empty where it may.

    Its held-out error must be no worse than the base's and, where there is one, the current adapter's; and it must be
    probable enough that it improves on the base for further speech, too.

    Args:
        confidence: the least probability; without utterances to judge by there is none, and the rest decides.
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
    likely = improvement(fit, metric)
    if likely is not None and likely < confidence:
        count = len(fit.judged_before)
        return (
            f"an improvement on the base is {likely:.0%} likely, and adapt.gate_confidence asks for {confidence:.0%} "
            f"(held-out utterances: {count})"
        )
    return ""


def improvement(fit: AdapterFit, metric: ErrorMetric) -> float | None:
    """The probability that an adapter improves on the base; None without utterances that both were judged on."""
    return probability_of_improvement(fit.judged_before, fit.judged_after, metric)
