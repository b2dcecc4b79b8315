"""Judgement of what systems heard: texts of the same utterances against their transcripts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ds2ray.config import TextConfig
from ds2ray.evaluation.judged import Judged
from ds2ray.evaluation.reliability import Reliability, reliability
from ds2ray.progress import TellDone, untold_done
from ds2ray.recognition.calibrating import words_judged
from ds2ray.recognition.own_words import UNHEARD
from ds2ray.recognition.systems import ADAPTERS, BASE, Heard, hear_others
from ds2ray.recognition.transcriber import Transcriber
from ds2ray.tables.manifest import Utterance
from ds2ray.text import Vocabulary, describe_character, normalise

_MAX_NOTES = 10


def judge(
    utterances: Sequence[Utterance], heard: Sequence[Heard], cells: Mapping[int, Mapping[str, Any]], text: TextConfig
) -> list[Judged]:
    """The utterances that every system could read, with the errors of each.

    Args:
        cells: of further columns, by the line of the utterance.
        text: by which transcripts and hypotheses are normalised, those of another base, too.
    """
    rows = []
    for place, utterance in enumerate(utterances):
        hypotheses = {each.system.name: each.hypotheses[place] for each in heard}
        if not any(hypothesis.error for hypothesis in hypotheses.values()):
            texts = {name: normalise(hypothesis.text, text) for name, hypothesis in hypotheses.items()}
            reference = normalise(utterance.transcript, text)
            names = utterance.utterance_id, utterance.user_id
            length_s = utterance.duration_s or 0.0
            rows.append(Judged.of(*names, length_s, reference, texts, cells.get(utterance.line, {})))
    return rows


def judge_others(
    transcriber: Transcriber,
    utterances: Sequence[Utterance],
    heard: Sequence[Heard],
    rows: Sequence[Judged],
    per_owner: int,
    tell: TellDone = untold_done,
) -> list[Judged]:
    """Utterances of other people by the base alone and with each user's adapter, as that user's; empty without any.

    Args:
        rows: the judged utterances: others are not tried.
        per_owner: how many are drawn for each adapter.
    """
    hypotheses = next((each.hypotheses for each in heard if each.system.name == ADAPTERS), [])
    owners = sorted({h.user_id for h in hypotheses if h.adapter})
    known = {row.utterance_id: row for row in rows}
    spoken = [utterance for utterance in utterances if utterance.utterance_id in known]
    found = []
    for owner, place, hypothesis in hear_others(transcriber, spoken, owners, per_owner, tell):
        row = known[spoken[place].utterance_id]
        if hypothesis.adapter and not hypothesis.error:
            text = normalise(hypothesis.text, transcriber.base.vocabulary.config)
            texts = {BASE: row.texts[BASE], ADAPTERS: text}
            found.append(Judged.of(row.utterance_id, owner, row.duration_s, row.reference, texts, {}))
    return found


def reliabilities(utterances: Sequence[Utterance], heard: Sequence[Heard], text: TextConfig) -> dict[str, Reliability]:
    """How sure every system was of its words, against the transcripts; systems whose words tell nothing are left out.

    Args:
        text: by which transcripts are normalised.
    """
    references = [normalise(utterance.transcript, text) for utterance in utterances]
    found = {}
    for each in heard:
        of_system = reliability(
            (
                (word.confidence, is_right)
                for reference, hypothesis in zip(references, each.hypotheses, strict=True)
                for word, is_right in words_judged(reference, hypothesis)
                if word.confidence is not None
            ),
            each.is_calibrated,
        )
        if of_system is not None:
            found[each.system.name] = of_system
    return found


def judging_notes(heard: Sequence[Heard], rows: Sequence[Judged], vocabulary: Vocabulary) -> list[str]:
    """What a reader has to know of the judgement: utterances without a figure, bases alone, unknown characters."""
    lines = []
    for each in heard:
        errors = Counter(hypothesis.error for hypothesis in each.hypotheses if hypothesis.error)
        for reason, count in errors.most_common(_MAX_NOTES):
            lines.append(f"left out: {count} that {each.system.name} could not read, as {reason}")
        reasons = Counter((bool(h.adapter), h.note) for h in each.hypotheses if h.note and not h.error)
        for (adapted, note), count in reasons.most_common(_MAX_NOTES):
            if each.system.name != BASE or UNHEARD in note:  # that the base is alone is what it is wanted for
                lines.append(f"{each.system.name}: {'adapter' if adapted else 'base alone'} for {count}: {note}")
    unknown = Counter(character for row in rows for character in vocabulary.unknown_characters(row.reference))
    if unknown:
        listed = ", ".join(f"{describe_character(c)} in {count}" for c, count in unknown.most_common(_MAX_NOTES))
        lines.append(f"characters of transcripts that the base cannot write, which count as errors: {listed}")
    return lines
