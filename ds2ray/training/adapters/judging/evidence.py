"""Evidence of held-out utterances: how probable it is that an adapter makes fewer errors than the base alone.

Every held-out utterance is judged twice, by the base and with the adapter, and the two are a pair. Of a pair both the
errors and the loss count: errors are what matters, and the loss moves long before a word does. As few utterances say
little, and some of what they say is chance, there is a prior: one utterance more, on which the adapter does harm.
"""

import math
from collections.abc import Sequence

import numpy as np

from ds2ray.config import ErrorMetric
from ds2ray.training.adapters.judging.results import Judged

PRIOR_HARM = 0.05
"""Errors per word or character that the adapter costs on the prior's utterance, which is as long as the others' mean.

Where the base errs in a tenth of the words no adapter can gain more than twice that an utterance, and several have to
agree; where it errs in half of them, a single one outweighs the prior.
"""

UNSEEN_ERRORS = 0.5
"""Errors of the base that count beside those it was seen to make, as of any rate after few observations (Jeffreys)."""


def gains(before: Sequence[Judged], after: Sequence[Judged], metric: ErrorMetric) -> np.ndarray:
    """Errors that the adapter saves on each utterance, float64 [R] of R utterances; below 0 where it costs some.

    The mean of two estimates: the errors that were counted, and the share of the loss that the adapter takes away,
    times the errors of the base; by loss no utterance gains or loses more errors than it is long.

    Raises:
        ValueError: the two are not of the same utterances in the same order.
    """
    if [one.row for one in before] != [one.row for one in after]:
        raise ValueError("the utterances before and after are not the same")
    lengths = np.array([_length(one, metric) for one in before], dtype=np.float64)
    errors = np.array([_errors(one, metric) for one in before], dtype=np.float64)
    counted = errors - np.array([_errors(one, metric) for one in after])
    losses = lengths * [one.loss for one in before]
    saved = losses - lengths * [one.loss for one in after]
    total = losses.sum()
    most = np.maximum(lengths, 1.0)
    # a base without any loss has nothing to gain, and all to lose
    with np.errstate(over="ignore"):
        by_loss = saved * (errors.sum() + UNSEEN_ERRORS) / total if total > 0 else np.sign(saved) * most
    return (counted + by_loss.clip(-most, most)) / 2


def probability_of_improvement(
    before: Sequence[Judged], after: Sequence[Judged], metric: ErrorMetric, prior_harm: float = PRIOR_HARM
) -> float | None:
    """The probability that the adapter saves errors on the user's further speech; None without any utterance.

    That of a mean above 0 by Student's t of the gains and of the prior's utterance, whose gain is a loss of
    `prior_harm` per word. Where a loss is not finite nothing is probable.

    Args:
        before: the held-out utterances as the base alone hears them …
        after: … and, in the same order, with the adapter.
        prior_harm: errors per word or character that the adapter costs on the prior's utterance.
    """
    if not before:
        return None
    if not all(math.isfinite(one.loss) for one in (*before, *after)):
        return 0.0
    saved = gains(before, after, metric)
    harm = prior_harm * max(1.0, float(np.mean([_length(one, metric) for one in before])))
    values = np.append(saved, -harm)
    degrees = len(values) - 1
    deviation = float(values.std(ddof=1))
    if deviation == 0.0:  # all utterances are as bad as the prior's
        return 0.0
    return student_cdf(float(values.mean()) * math.sqrt(len(values)) / deviation, degrees)


def student_cdf(t: float, degrees: int) -> float:
    """The probability that a value of Student's distribution is at most `t`.

    Abramowitz and Stegun, "Handbook of Mathematical Functions" (1964), 26.7.3 and 26.7.4: finite sums for whole
    degrees of freedom, of which there have to be 1 or more.
    """
    angle = math.atan2(t, math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    # terms of cos θ + 2/3 cos³θ + … for odd degrees, and of 1 + 1/2 cos²θ + … for even ones
    term, total = (cosine if odd else 1.0), 0.0
    for power in range(1 if odd else 0, degrees - 1, 2):
        total += term
        term *= cosine * cosine * (power + 1) / (power + 2)
    within = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return (1 + within) / 2


def _errors(one: Judged, metric: ErrorMetric) -> int:
    return (one.score.words if metric is ErrorMetric.wer else one.score.characters).errors


def _length(one: Judged, metric: ErrorMetric) -> int:
    return (one.score.words if metric is ErrorMetric.wer else one.score.characters).reference_length
