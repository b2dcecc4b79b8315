"""A real speaker's recordings for a benchmark: the usable ones, their division, and the silence in them."""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.speech import Speaker
from ds2ray.config import AdaptConfig, DataConfig, TextConfig
from ds2ray.errors import InputError
from ds2ray.model.weights import Base
from ds2ray.sound.audio import read_waveform
from ds2ray.tables.manifest import Utterance, read_manifest
from ds2ray.tables.validation import validate
from ds2ray.text import normalise
from ds2ray.training.hold_out import hold_out

FRAME_S = 0.01
QUIET_DB = -40.0
"""A frame is silence where it is this far below the loudest sample of its recording."""

NOTHING_SAID = "nothing is said"
SAID_BEFORE = "its sentence is said before"
LACKING = "characters that the vocabulary lacks"

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SYMBOLS = {**{str(digit): word for digit, word in enumerate(DIGITS)}, "#": "pound", "*": "star"}
# a digit that stands alone: others can be read in several ways
_SYMBOL = re.compile(r"(?<![\w.])[0-9](?!\w|[.,]\d)|[#*]")
_REMARK = re.compile(r"\([^)]*\)")


@dataclass(frozen=True)
class Recordings:
    """The recordings of a speaker, as a base can use them.

    Attributes:
        usable: one recording of each sentence.
        silent: recordings in which nothing is said, according to their transcripts.
        dropped: numbers of the recordings left out, by reason.
        lacking: of the recordings left out for LACKING, numbers by character that the vocabulary lacks.
        changed: numbers of usable recordings that were converted, by the conversion.
    """

    user_id: str
    usable: list[Utterance]
    silent: list[Utterance]
    dropped: dict[str, int]
    lacking: dict[str, int]
    changed: dict[str, int]


@dataclass(frozen=True)
class Parts:
    """Training, held-out and test utterances; no sentence is in two of them."""

    train: list[Utterance]
    held_out: list[Utterance]
    test: list[Utterance]


@dataclass(frozen=True)
class Silence:
    """Frames of a recording, counted: all, the silent ones, those before and after the speech, the longest silence."""

    frames: int
    quiet: int
    before: int
    after: int
    longest: int

    @classmethod
    def of(cls, utterance: Utterance, sample_rate_hz: int) -> "Silence":
        """Measure a recording at some rate."""
        waveform = read_waveform(utterance.audio, sample_rate_hz)
        samples = round(FRAME_S * sample_rate_hz)
        frames = waveform[: len(waveform) // samples * samples].reshape(-1, samples)
        limit = np.abs(waveform).max() * 10 ** (QUIET_DB / 20)
        quiet = np.sqrt(np.square(frames).mean(axis=1)) < limit
        runs = [len(list(run)) if silent else 0 for silent, run in itertools.groupby(quiet)] or [0]
        return cls(len(quiet), int(quiet.sum()), runs[0], runs[-1], max(runs))

    @property
    def share(self) -> float:
        """Of the recording."""
        return self.quiet / max(1, self.frames)


def read_recordings(uri: str, base: Base) -> Recordings:
    """The recordings of a speaker's manifest, read and checked as in a job, with transcripts as they are said.

    Raises:
        InputError: there are several speakers.
    """
    written = read_manifest(uri)
    speakers = {u.user_id for u in written.utterances}
    if len(speakers) != 1:
        raise InputError(f"{uri} has {len(speakers)} speakers, {sorted(speakers)[:5]}: give a manifest of one")
    user_id = speakers.pop() or "speaker"
    vocabulary = base.vocabulary
    said = [replace(u, user_id=user_id, transcript=spelled_out(u.transcript)) for u in written.utterances]
    spoken = [u for u in said if normalise(u.transcript, vocabulary.config)]
    silent = [u for u in said if not normalise(u.transcript, vocabulary.config)]
    once = one_of_each(spoken, vocabulary.config)
    checked = validate(replace(written, utterances=once), data=DataConfig(), audio=base.audio, vocabulary=vocabulary)

    reasons = {problem.line: problem.reason for problem in reversed(checked.problems)}  # the first of a line's
    lacking: Counter[str] = Counter()
    for utterance in once:
        if utterance.line in reasons and (unknown := vocabulary.unknown_characters(utterance.transcript)):
            reasons[utterance.line] = LACKING
            lacking.update(unknown)
    dropped = Counter(reasons.values())
    dropped.update({NOTHING_SAID: len(silent), SAID_BEFORE: len(spoken) - len(once)})
    transcripts = {u.line: u.transcript for u in written.utterances}
    changed = Counter(checked.conversions)
    for utterance in checked.utterances:
        changed["spelled_out"] += utterance.transcript != transcripts[utterance.line]
        changed["normalised"] += normalise(utterance.transcript, vocabulary.config) != utterance.transcript
    return Recordings(user_id, checked.utterances, silent, dict(+dropped), dict(lacking), dict(+changed))


def spelled_out(transcript: str) -> str:
    """A transcript as it is said: without remarks in brackets, with single digits and telephone keys as words."""
    return _SYMBOL.sub(lambda symbol: f" {SYMBOLS[symbol[0]]} ", _REMARK.sub(" ", transcript))


def one_of_each(utterances: Sequence[Utterance], text: TextConfig) -> list[Utterance]:
    """The first recording of each sentence; texts that are equal after normalisation are the same sentence."""
    first: dict[str, Utterance] = {}
    for utterance in utterances:
        first.setdefault(normalise(utterance.transcript, text), utterance)
    return list(first.values())


def divide(recordings: Recordings, test_fraction: float, seed: int) -> Parts:
    """Draw the test utterances; the others are divided into training and held-out speech as in a fleet run."""
    usable = recordings.usable
    rest, test = hold_out([u.utterance_id for u in usable], test_fraction, seed)
    speaker = Speaker(recordings.user_id, [usable[row] for row in rest], [usable[row] for row in test])
    train, held_out, _ = speaker.split(AdaptConfig())
    return Parts([speaker.adapt[row] for row in train], [speaker.adapt[row] for row in held_out], speaker.test)
