"""Long recordings cut into segments, each with its part of the transcript, where a base can align the two.

Shapes: B segments of a batch, T encoding frames, V size of the vocabulary.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from ds2ray import storage
from ds2ray.config import DataConfig
from ds2ray.decoding.alignment import AlignedSegment, Alignment
from ds2ray.errors import InputError, StorageError
from ds2ray.model.weights import Base
from ds2ray.progress import Tell, untold
from ds2ray.sound.audio import REPLACE, probe
from ds2ray.sound.cutting import Segment, cut
from ds2ray.sound.excerpts import encoded_excerpt
from ds2ray.sound.measuring import MISSING
from ds2ray.sound.pieces import read_pieces
from ds2ray.sound.segments import SegmentRules
from ds2ray.tables.manifest import Manifest, Utterance
from ds2ray.tables.problems import Problem, ProblemKind
from ds2ray.text import Vocabulary
from ds2ray.uris import Excerpt, excerpt_uri

MAX_LOSS = 2.5
"""A segment with a larger loss (see `AlignedSegment`) is not credible. Of the demo's eight accented users at least nine
in ten sentences have less with their own transcript, by a base that never heard such an accent; and less than one in
ten with that of another sentence, most of whose words it often shares."""

MIN_SHARE = 0.5
"""Of the transcript's words, and of what is spoken in the recording, at least so much lies in credible segments."""

PIECE_S = 30.0
"""Seconds of a recording that are read at a time, and of segments that the base hears together."""

NOT_CREDIBLE = "a segment of a long recording, whose words are not credible"


_CUT = "long recordings cut into segments"
_LEFT_OUT = "segments of long recordings left out, whose words are not credible"


@dataclass(frozen=True)
class CutRecording:
    """The segments of a long recording as utterances, and how many were left out, as their words are not credible."""

    utterances: list[Utterance]
    num_left_out: int


def is_long(utterance: Utterance, max_duration_s: float) -> bool:
    """Whether an utterance lasts longer than that; its audio is measured where its duration is not known."""
    duration_s = utterance.duration_s
    if duration_s is None:
        try:
            duration_s = probe(utterance.audio).duration_s
        except (InputError, FileNotFoundError, StorageError):
            return False  # which is told where it is read
    return duration_s > max_duration_s


def cut_recording(utterance: Utterance, base: Base, max_segment_s: float) -> CutRecording:
    """Cut a recording of any length at its pauses, and find the words of its transcript that each segment holds.

    It is read in pieces. What stays in memory are, for each segment, the words that it may end with.

    Args:
        base: in evaluation mode, on the device that computes.
        max_segment_s: no segment is longer.

    Returns:
        Utterances whose audio are excerpts of the recording's (bytes, where that is bytes), and whose ids are the
        recording's with their times (`talk@12.512-15.744`).

    Raises:
        FileNotFoundError: there is nothing at the URI.
        InputError: the audio cannot be read, or transcript and recording do not belong together.
    """
    texts, units = _units(utterance.transcript, base.vocabulary)
    if not units:
        raise InputError("its transcript holds no word that the base's vocabulary can write")
    rate_hz = base.audio.sample_rate_hz
    alignment = Alignment(units, _separator(base.vocabulary))
    pieces = read_pieces(utterance.audio, rate_hz, PIECE_S)
    times: list[Excerpt] = []
    for segments in _batches(cut(pieces, rate_hz, SegmentRules(max_s=max_segment_s)), PIECE_S * rate_hz):
        for segment, log_probs in zip(segments, _log_probs(segments, base), strict=True):
            alignment.push(log_probs)
            times.append(Excerpt(segment.start_s, segment.start_s + len(segment.waveform) / rate_hz))
    aligned = alignment.finish()
    if aligned is None:
        heard = f"{len(times)} segments with speech" if times else "no speech"
        raise InputError(f"its transcript cannot be aligned with it, in which there are {heard}; {_CHECK}")
    kept = [number for number, part in enumerate(aligned) if part.first < part.end and part.loss <= MAX_LOSS]
    _require_credible(aligned, times, kept, len(units))
    found = [_part(utterance, times[n], " ".join(texts[aligned[n].first : aligned[n].end])) for n in kept]
    return CutRecording(found, len(times) - len(kept))


def with_segments(manifest: Manifest, base: Base, data: DataConfig, tell: Tell = untold) -> Manifest:
    """A validated manifest with the segments of its long recordings; those that cannot be cut become problems.

    Raises:
        StorageError: the store cannot be reached or refuses the credentials.
    """
    base.model.eval()
    found, problems, notes = [], [], Counter(manifest.notes)
    for utterance in manifest.utterances:
        if not is_long(utterance, data.max_duration_s):
            found.append(utterance)
            continue
        tell(f"aligning the transcript of {utterance.utterance_id}")
        try:
            cut_up = cut_recording(utterance, base, data.max_duration_s)
        except (InputError, FileNotFoundError, StorageError) as error:
            problems.append(problem_of(utterance, manifest.uri, error))
            continue
        found += cut_up.utterances
        notes.update({_CUT: 1, _LEFT_OUT: cut_up.num_left_out})
    problems = sorted([*manifest.problems, *problems], key=lambda problem: problem.line)
    return replace(
        manifest, utterances=found, problems=problems, notes={n: count for n, count in notes.items() if count}
    )


def problem_of(utterance: Utterance, manifest_uri: str, error: Exception) -> Problem:
    """Why a long recording was not cut, as a problem of its row. Raises a StorageError of the store itself again."""
    audio = utterance.audio
    reason, _, remedy = storage.fault_of(audio if isinstance(audio, str) else "", error).partition("; ")
    if isinstance(error, FileNotFoundError):
        reason, remedy = MISSING.reason, MISSING.remedy
    duration = "" if utterance.duration_s is None else f"{utterance.duration_s:.3f}"
    place = (manifest_uri, utterance.line, ProblemKind.audio, "duration_s", duration)
    return Problem(*place, reason, remedy or REPLACE, utterance.utterance_id, utterance.user_id)


_CHECK = "check that they belong together, or split the recording"


def _require_credible(
    aligned: Sequence[AlignedSegment], times: Sequence[Excerpt], kept: Sequence[int], num_units: int
) -> None:
    """Raise InputError where too little of the transcript, or of the recording, lies in the segments that are kept."""
    of_words = sum(aligned[number].end - aligned[number].first for number in kept) / num_units
    of_speech = sum(times[number].duration_s for number in kept) / sum(time.duration_s for time in times)
    if min(of_words, of_speech) < MIN_SHARE:
        found = f"{of_words:.0%} of its words, in {of_speech:.0%} of what is spoken"
        raise InputError(f"its transcript is not what is said in it: found are {found}; {_CHECK}")


def _part(whole: Utterance, time: Excerpt, transcript: str) -> Utterance:
    audio = whole.audio
    return replace(
        whole,
        utterance_id=f"{whole.utterance_id}@{str(time).replace(',', '-')}",
        audio=excerpt_uri(audio, time) if isinstance(audio, str) else encoded_excerpt(audio, time),
        duration_s=time.duration_s,
        transcript=transcript,
    )


def _units(transcript: str, vocabulary: Vocabulary) -> tuple[list[str], list[list[int]]]:
    """The words of a transcript with their tokens; what has none, as a dash, stays with the word before."""
    words = transcript.split()
    tokens = [vocabulary.encode_known(word) for word in words]
    starts = [number for number, found in enumerate(tokens) if found]
    if not starts:
        return [], []
    places = list(pairwise([0, *starts[1:], len(words)]))
    return [" ".join(words[start:end]) for start, end in places], [tokens[number] for number in starts]


def _separator(vocabulary: Vocabulary) -> int | None:
    return vocabulary.tokens.index(" ") if " " in vocabulary.tokens else None


def _batches(segments: Iterable[Segment], num_samples: float) -> Iterator[list[Segment]]:
    batch: list[Segment] = []
    for segment in segments:
        batch.append(segment)
        if sum(len(each.waveform) for each in batch) >= num_samples:
            yield batch
            batch = []
    if batch:
        yield batch


@torch.no_grad()
def _log_probs(segments: Sequence[Segment], base: Base) -> list[np.ndarray]:
    """Of each segment the base's log-probabilities, float32 [T, V], without an adapter."""
    model, device = base.model, base.model.device
    waveforms = [torch.from_numpy(np.ascontiguousarray(segment.waveform)) for segment in segments]
    num_samples = torch.tensor([len(waveform) for waveform in waveforms], device=device)
    padded = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True).to(device)
    log_probs, lengths = model.forward_rows(*model.features(padded, num_samples), [])
    return [row[:length].cpu().numpy() for row, length in zip(log_probs, lengths.tolist(), strict=True)]
