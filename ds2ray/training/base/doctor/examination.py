"""The doctor's examination: small trials before a base training, which tell why its loss would not fall.

It asks in this order. Can the vocabulary write the transcripts? Does a base that is trained further hear them at all?
Does a fresh model learn one batch by heart at `train.learning_rate`, and if not, does it at a lower or higher rate, or
does it write nothing but blanks at any? Does it hear the batch, or know its utterances by their lengths alone? Once it
knows some utterances by heart, is its loss on others lower with their own transcripts than with those of others of like
length? The thresholds are this project's own, set so that each broken training of the tests is found and the sound ones
are not.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from ds2ray.batching.batches import Batch, SpeechDataset
from ds2ray.errors import InputError, InterruptedRunError
from ds2ray.metrics import character_errors
from ds2ray.packs.references import row_groups_of
from ds2ray.store.keys import is_private
from ds2ray.tables.manifest import Utterance
from ds2ray.training.base.doctor.comparing import gains_of, signed_rank_score, tokens_of
from ds2ray.training.base.doctor.trial import Curve, Trial, token_entropy
from ds2ray.training.base.doctor.vocabulary import lost_characters
from ds2ray.training.base.loading import Loader
from ds2ray.training.base.task import BaseTask
from ds2ray.training.data_report.sound import sample_places
from ds2ray.training.data_report.spread import LEAST_CORRELATION, is_varied, rank_correlation

BATCH = 8
NUM_LEARNT, NUM_OTHERS = 16, 64
"""Utterances that are learnt by heart, of which the first `BATCH` at first, and others that are only heard."""
MIN_OTHERS = 8
MIN_CORRELATED = 30
"""Utterances from which on lengths tell whether texts belong to their audio. After learning 16 utterances of many
speakers by heart a model has no letters yet that are of use for others, so that it takes both to be sure."""
MAX_STEPS = 300
MAX_LOST = 0.05
"""Share of the characters that a vocabulary may lack."""
WRONG_CER, WRONG_LOSS, MIN_HEARD = 0.6, 1.5, 0.3
"""A base hears something else where more characters than the first are wrong and its loss is above the second, as a
multiple of the entropy of the tokens, while it writes as many characters as the third, of those said. Who knows nothing
but how frequent tokens are has a multiple of 1; a base with 45 % CER in English had 0.6: a loss of 1.65, where letters
and spaces have 2.79 nats (Shannon, 1951)."""
SURE, UNSURE = 2.3, 1.3
"""Standard scores of a signed-rank test (Wilcoxon, 1945): own transcripts are better than others' from the first on,
which chance does once in a hundred times, and no better below the second."""
DEAF = 0.1
"""A model is deaf where silence raises the loss of what it knows by heart by less than this share of the entropy of
its tokens."""
MAX_TEXTS = 2000
FACTORS = (0.1, 0.01, 10.0, 100.0)
"""What a rate at which nothing is learnt is multiplied by."""


@dataclass
class Diagnosis:
    """What an examination found.

    Attributes:
        findings: faults, each with what to do, as lines for people; a training with any of them learns nothing.
        notes: what is in order, and what could not be told.
    """

    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """All of it, faults first."""
        return [f"doctor: {line}" for line in [*self.findings, *self.notes]]


@dataclass
class _Examination:
    task: BaseTask
    device: torch.device
    deadline_s: float
    max_steps: int
    tell: Callable[[str], None]
    stopped: Callable[[], bool]
    diagnosis: Diagnosis = field(default_factory=Diagnosis)

    def trial(self, rate: float) -> Trial:
        return Trial(self.task, self.device, rate, self.deadline_s, self.stopped)

    def found(self, line: str) -> Diagnosis:
        self.diagnosis.findings.append(line)
        return self.diagnosis

    def noted(self, line: str) -> Diagnosis:
        self.diagnosis.notes.append(line)
        return self.diagnosis


def examine(
    task: BaseTask,
    device: torch.device | str,
    limit_s: float = math.inf,
    max_steps: int = MAX_STEPS,
    tell: Callable[[str], None] = lambda phase: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Diagnosis:
    """Examine a training before its first step; it takes no part in the training and leaves nothing behind.

    Args:
        limit_s: seconds, about; what cannot be told by then is said to be so.
        max_steps: on the first batch at each rate, and half as many on each of the others.
        tell: told what is tried.
        stopped: asked before each step; a yes ends the examination.

    Raises:
        InterruptedRunError: `stopped` said yes.
        InputError: no utterance that it looks at can be decoded.
    """
    at_work = _Examination(task, torch.device(device), time.monotonic() + limit_s, max_steps, tell, stopped)
    diagnosis = _examine(at_work)
    if stopped():
        raise InterruptedRunError("stopped while the doctor was at work; run it again")
    return diagnosis


def _examine(at_work: _Examination) -> Diagnosis:
    task = at_work.task
    lost, characters = lost_characters((u.transcript for u in task.train_utterances[:MAX_TEXTS]), task.vocabulary)
    if lost > MAX_LOST:
        shown = " ".join(map(repr, list(characters)[:10]))
        return at_work.found(
            f"the vocabulary lacks {lost:.0%} of the characters of the transcripts ({shown}), which are not "
            "learnt: give the vocabulary of these texts (train.vocab_path), or none, so that one is made of them; a "
            "base that is trained further keeps its own, so that this one needs another base"
        )
    learnt, others = _chosen(task)
    at_work.tell("the doctor: reading utterances")
    batches, heard = _batches(task, learnt), _batches(task, others)
    if not batches:
        raise InputError(f"none of the {len(learnt)} utterances that the doctor looks at can be decoded")
    if task.initial_state is not None and _hears_something_else(at_work, batches[0]):
        return at_work.diagnosis
    at_work.tell("the doctor: learning one batch by heart")
    trial = at_work.trial(task.train.learning_rate)
    curve = trial.fit(batches[:1], at_work.max_steps)
    if not curve.is_learnt:
        return _why_not_learnt(at_work, batches[0], trial, curve)
    if _is_deaf(trial, batches[0]):
        return at_work.found(
            "the model hears nothing: it knows a batch as well by heart with silence in place of its audio, by the "
            "lengths alone, and would write nothing but blanks in the end: listen to the audio, which may be silent; a "
            "base that is trained further may be broken"
        )
    at_work.noted(f"one batch is learnt by heart in {len(curve.losses)} steps")
    at_work.tell("the doctor: comparing transcripts with those of others")
    return _whose_transcripts(at_work, trial, batches, heard)


def _chosen(task: BaseTask) -> tuple[list[Utterance], list[Utterance]]:
    """Utterances to learn, and others, spread over the shorter half of the training data, which takes less time."""
    candidates, groups = task.train_utterances, row_groups_of(utterance.audio for utterance in task.train_utterances)
    if groups is not None:
        candidates = [candidates[place] for place in sample_places(groups, len(groups), MAX_TEXTS)]
    by_length = sorted(candidates, key=lambda utterance: utterance.duration_s or math.inf)
    shorter = by_length[: max(2 * NUM_LEARNT, (len(by_length) + 1) // 2)]
    wanted = min(len(shorter), NUM_LEARNT + NUM_OTHERS)
    places = np.linspace(0, len(shorter) - 1, wanted).round().astype(int)
    chosen = [shorter[place] for place in np.random.default_rng(task.train.seed).permutation(places)]
    num_learnt = min(NUM_LEARNT, max(1, wanted // 2))
    return chosen[:num_learnt], chosen[num_learnt:]


def _batches(task: BaseTask, utterances: Sequence[Utterance]) -> list[Batch]:
    """The utterances that can be decoded, as they are, in batches."""
    dataset = SpeechDataset(utterances, task.vocabulary, task.audio)
    with Loader(dataset, task.train.loader_threads) as loader:
        rows = range(len(utterances))
        decoded = [loader.decode(rows[start : start + BATCH])[0] for start in rows[::BATCH]]
    return [batch for batch in decoded if batch is not None]


def _hears_something_else(at_work: _Examination, batch: Batch) -> bool:
    """Whether the base that is trained further writes much, and next to nothing of it right."""
    losses, texts = at_work.trial(at_work.task.train.learning_rate).hear(batch)
    references = [at_work.task.vocabulary.decode(row) for row in tokens_of(batch)]
    said = sum(map(len, references))
    errors = sum(character_errors(said, heard).errors for said, heard in zip(references, texts, strict=True))
    written = sum(map(len, texts))
    misses = float(np.mean(losses)) > WRONG_LOSS * token_entropy([batch])
    if errors < WRONG_CER * said or written < MIN_HEARD * said or not misses:
        return False
    at_work.found(
        f"the base that is trained further writes {written} characters where {said} were said, and "
        f"{errors / said:.0%} of them are wrong: its vocabulary has the same characters in another order, or it has "
        "learnt another language; take the base's own model.pt, or train from scratch"
    )
    return True


def _why_not_learnt(at_work: _Examination, batch: Batch, trial: Trial, curve: Curve) -> Diagnosis:
    """Why one batch is not learnt by heart at the training's own rate."""
    rate, in_time = at_work.task.train.learning_rate, curve.in_time
    for factor in sorted(FACTORS, key=lambda factor: ((factor > 1) != curve.asks_for_more, abs(math.log(factor)))):
        at_work.tell(f"the doctor: learning one batch by heart at a rate of {rate * factor:.2g}")
        other = at_work.trial(rate * factor).fit([batch], at_work.max_steps)
        in_time = in_time and other.in_time
        if other.is_learnt:
            return at_work.found(
                f"the rate is too {'high' if factor < 1 else 'low'}: one batch is not learnt by heart at "
                f"train.learning_rate={rate:g} (loss {curve.last:.3g} after {len(curve.losses)} steps), and at "
                f"{rate * factor:.2g} it is, in {len(other.losses)} steps: set train.learning_rate={rate * factor:.2g}"
            )
    if not in_time:
        return at_work.noted(
            "there was no time to tell whether one batch is learnt by heart: raise train.doctor_s, or examine a "
            "smaller model first"
        )
    if not any(trial.hear(batch)[1]):
        return at_work.found(
            f"blank collapse: the model writes nothing but blanks, and its loss stays at {curve.last:.3g} at all rates "
            f"from {rate * min(FACTORS):.2g} to {rate * max(FACTORS):.2g}: a base that is trained further may be "
            "broken, so train from scratch; else listen to the audio, and look at its silence in the report on the data"
        )
    ids = "" if is_private() else f" ({', '.join(batch.utterance_ids)})"
    return at_work.found(
        f"one batch is not learnt by heart: its loss is {curve.last:.3g} after {len(curve.losses)} steps, and no "
        f"better at any other rate: listen to these utterances and read their rows{ids}, and try a model that is known "
        "to work (model=tiny)"
    )


def _is_deaf(trial: Trial, batch: Batch) -> bool:
    """Whether a batch's loss is hardly higher with silence in place of its audio."""
    silent = replace(batch, waveforms=torch.zeros_like(batch.waveforms))
    own, of_silence = (float(np.mean(trial.hear(each)[0])) for each in (batch, silent))
    return of_silence - own < DEAF * token_entropy([batch])


def _whose_transcripts(
    at_work: _Examination, trial: Trial, batches: Sequence[Batch], heard: Sequence[Batch]
) -> Diagnosis:
    """Whether others' transcripts suit the audio as well as its own, for a model that has learnt some by heart."""
    curve = trial.fit(batches, at_work.max_steps // 2 * len(batches))
    gains = [gain for batch in heard for gain in gains_of(trial, batch)]
    if len(gains) < MIN_OTHERS:
        return at_work.noted(
            f"with {len(gains)} utterances to compare it cannot be told whether transcripts are those of their audio"
        )
    better, median = signed_rank_score(gains), float(np.median(gains))
    told = f"with transcripts of like length of others the loss differs by {median:+.2f} ({len(gains)} utterances)"
    if better >= SURE:
        return at_work.noted(f"transcripts are those of their audio: {told}")
    correlation = _length_correlation(at_work.task)
    if curve.is_learnt and better < UNSURE and correlation < LEAST_CORRELATION:
        return at_work.found(
            "transcripts do not belong to their audio: what is learnt from some utterances is of no use for others, "
            f"{told}, and longer audio has no longer texts (rank correlation {correlation:.2f}); listen to a few "
            "utterances and read their rows: columns may have been sorted apart, or rows moved by one"
        )
    if correlation >= LEAST_CORRELATION:
        return at_work.noted(
            f"longer audio has longer texts (rank correlation {correlation:.2f}), so that transcripts most likely are "
            f"those of their audio; the model cannot tell after so few steps: {told}"
        )
    return at_work.noted(f"it cannot be told whether transcripts are those of their audio: {told}")


def _length_correlation(task: BaseTask) -> float:
    """Rank correlation of the lengths of audio and text; NaN where these tell nothing."""
    measured = [utterance for utterance in task.train_utterances[:MAX_TEXTS] if utterance.duration_s]
    tokens = np.array([len(task.vocabulary.encode_known(utterance.transcript)) for utterance in measured])
    if len(measured) < MIN_CORRELATED or not is_varied(tokens):
        return math.nan
    return rank_correlation(np.array([utterance.duration_s for utterance in measured]), tokens)
