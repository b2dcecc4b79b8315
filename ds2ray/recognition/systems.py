"""Systems that are evaluated: a base alone, with its users' adapters, and another one, on the same utterances."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from ds2ray.evaluation.evaluation import System
from ds2ray.progress import TellDone, untold_done
from ds2ray.recognition.hypothesis import Hypothesis
from ds2ray.recognition.transcriber import Transcriber
from ds2ray.tables.manifest import Utterance

BASE, ADAPTERS = "base", "adapters"

Telling = Callable[[str], TellDone]
"""From what is being recognised to how far that is told."""


@dataclass(frozen=True)
class Heard:
    """What one system recognised in each utterance, in their order.

    Attributes:
        is_calibrated: whether the confidence of words is by a calibration beside the base.
    """

    system: System
    hypotheses: list[Hypothesis]
    is_calibrated: bool = False


def hear(
    transcriber: Transcriber,
    utterances: Sequence[Utterance],
    against: Mapping[str, Transcriber] = MappingProxyType({}),
    telling: Telling = lambda what: untold_done,
) -> list[Heard]:
    """The utterances by each system: the base alone, and with adapters where any of their users has one; then by those
    of `against`, which are named, and which take their own adapters where users have them."""
    adapted, adapted_s = _timed(transcriber, utterances, True, telling("by the base, with adapters"))
    with_adapter = [place for place, hypothesis in enumerate(adapted) if hypothesis.adapter]
    found, calibrated = [], transcriber.calibration is not None
    if with_adapter:
        # what nobody's adapter has changed is the base's own
        chosen = [utterances[place] for place in with_adapter]
        again, base_s = _timed(transcriber, chosen, False, telling("by the base alone"))
        alone = list(adapted)
        for place, hypothesis in zip(with_adapter, again, strict=True):
            alone[place] = hypothesis
        found.append(Heard(System(BASE, _described(transcriber, []), _speed(chosen, base_s)), alone, calibrated))
        found.append(
            Heard(
                System(ADAPTERS, _described(transcriber, adapted), _speed(utterances, adapted_s)), adapted, calibrated
            )
        )
    else:
        found.append(
            Heard(System(BASE, _described(transcriber, []), _speed(utterances, adapted_s)), adapted, calibrated)
        )
    for other, its in against.items():
        hypotheses, seconds = _timed(its, utterances, True, telling(f"by {other}"))
        found.append(
            Heard(
                System(other, _described(its, hypotheses), _speed(utterances, seconds)),
                hypotheses,
                its.calibration is not None,
            )
        )
    return found


def pairs_of(heard: Sequence[Heard]) -> list[tuple[str, str]]:
    """The systems that are compared, before and after: first what this base is compared with by the user's wish."""
    names = [each.system.name for each in heard]
    best = ADAPTERS if ADAPTERS in names else BASE
    pairs = [(name, best) for name in names if name not in (BASE, ADAPTERS)]
    return [*pairs, (BASE, ADAPTERS)] if ADAPTERS in names else pairs


def hear_others(
    transcriber: Transcriber,
    utterances: Sequence[Utterance],
    owners: Sequence[str],
    per_owner: int,
    tell: TellDone = untold_done,
) -> list[tuple[str, int, Hypothesis]]:
    """Utterances of other users through each owner's adapter: owner, place of the utterance, hypothesis.

    Args:
        owners: users with an adapter.
        per_owner: how many utterances are drawn for each, seeded by the owner's name.
    """
    drawn = []
    for owner in owners:
        places = [place for place, u in enumerate(utterances) if u.user_id not in ("", owner)]
        chosen = random.Random(owner).sample(places, min(per_owner, len(places)))
        drawn += [(owner, place) for place in sorted(chosen)]
    spoken = [replace(utterances[place], user_id=owner) for owner, place in drawn]
    hypotheses = transcriber.transcribe_utterances(spoken, tell=tell) if spoken else []
    return [(owner, place, hypothesis) for (owner, place), hypothesis in zip(drawn, hypotheses, strict=True)]


def _timed(
    transcriber: Transcriber, utterances: Sequence[Utterance], use_adapters: bool, tell: TellDone
) -> tuple[list[Hypothesis], float]:
    started_s = time.monotonic()
    hypotheses = transcriber.transcribe_utterances(utterances, use_adapters=use_adapters, tell=tell)
    return hypotheses, time.monotonic() - started_s


def _speed(utterances: Sequence[Utterance], seconds: float) -> float:
    """Seconds of audio in a second."""
    return sum(utterance.duration_s or 0.0 for utterance in utterances) / seconds if seconds > 0 else 0.0


def _described(transcriber: Transcriber, hypotheses: Sequence[Hypothesis]) -> str:
    """`base 0123…, greedy decoding, alone`, or with how many utterances an adapter was used in."""
    name = f"base {transcriber.base.base_id}, {type(transcriber.decoder).__name__.lower()} decoding"
    adapted = sum(bool(hypothesis.adapter) for hypothesis in hypotheses)
    if not adapted:
        return f"{name}, alone"
    return f"{name}, with the speaker's own adapter in {adapted} of {len(hypotheses)} utterances"
