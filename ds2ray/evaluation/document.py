"""evaluation.json: an evaluation as plain values. Rates are fractions."""

from dataclasses import asdict
from typing import Any

from ds2ray.chance import CHANCE, RESAMPLES, Interval
from ds2ray.evaluation.evaluation import Breakdown, Evaluation, users_of
from ds2ray.evaluation.figures import Compared, Difference, Figures, Group
from ds2ray.evaluation.words import Misheard
from ds2ray.metrics import ErrorCount


def document(evaluation: Evaluation) -> dict[str, Any]:
    """The whole evaluation, ready for JSON."""
    return {
        "manifest": evaluation.manifest,
        "confidence": 1 - CHANCE,
        "resamples": RESAMPLES,
        "systems": [vars(system) for system in evaluation.systems],
        "total": _group(evaluation.total),
        "users": [
            {"before": before, "after": after, **vars(users_of(evaluation, place))}
            for place, (before, after) in enumerate(evaluation.pairs)
        ],
        "by": {breakdown.column: _groups(breakdown) for breakdown in evaluation.breakdowns},
        "calibration": {name: asdict(each) for name, each in evaluation.reliability.items()},
        "minutes_of_speech": evaluation.minutes,
        "other_peoples_speech": _others(evaluation),
        "worst": [_misheard(misheard) for misheard in evaluation.worst],
        "confusions": [vars(confusion) for confusion in evaluation.confusions],
        "notes": evaluation.notes,
    }


def _others(evaluation: Evaluation) -> dict[str, Any] | None:
    if evaluation.others is None:
        return None
    total, breakdown = evaluation.others
    return {"total": _group(total), "by_adapter": _groups(breakdown)}


def _groups(breakdown: Breakdown) -> list[dict[str, Any]]:
    return [_group(group) for group in breakdown.groups]


def _group(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "utterances": group.num_utterances,
        "users": group.num_users,
        "speech_s": round(group.speech_s, 3),
        "drawn": group.drawn.value,
        "systems": {name: _figures(figures) for name, figures in group.figures.items()},
        "compared": [_compared(compared) for compared in group.compared],
    }


def _figures(figures: Figures) -> dict[str, Any]:
    return {
        "wer": {**_count(figures.score.words), "interval": _interval(figures.wer_interval)},
        "cer": {**_count(figures.score.characters), "interval": _interval(figures.cer_interval)},
    }


def _count(count: ErrorCount) -> dict[str, Any]:
    return {"rate": count.rate(), **vars(count)}


def _compared(compared: Compared) -> dict[str, Any]:
    return {
        "before": compared.before,
        "after": compared.after,
        "verdict": compared.wer.verdict.value,
        "wer": _difference(compared.wer),
        "cer": _difference(compared.cer),
    }


def _difference(difference: Difference) -> dict[str, Any]:
    return {"difference": difference.rate, "interval": _interval(difference.interval), "p": difference.p}


def _interval(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def _misheard(misheard: Misheard) -> dict[str, Any]:
    row = misheard.row
    return {
        "utterance_id": row.utterance_id,
        "user_id": row.user_id,
        "errors": misheard.errors,
        "transcript": row.reference,
        "texts": dict(row.texts),
        "alignment": [list(pair) for pair in misheard.pairs],
    }
