"""Speech without transcripts, as something to learn from: the passages of it in which a decoder is sure of each word.

Shapes: B rows, T encoding frames of the longest, D width of the encodings, L tokens of a passage.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ds2ray.decoding.decoder import Decoded, Decoder
from ds2ray.decoding.words import word_places, word_score
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.model.weights import Base
from ds2ray.text import Vocabulary
from ds2ray.training.adapters.speech import UserSpeech

UNSURE = "has no transcript, and no passage of it was recognised surely enough (adapt.unlabelled_confidence)"

LEAST_WORDS = 2
"""Words of a passage that is not a whole utterance: a word alone is often a piece of another one."""

LISTENED_ROWS = 16
"""Utterances that are recognised at once."""


@dataclass(frozen=True)
class Listener:
    """What recognises speech without transcripts.

    Attributes:
        confidence: the probability that a word was said, by its score.
        least: of each word of a passage that is learned from.
    """

    decoder: Decoder
    confidence: Callable[[float], float]
    least: float


@dataclass(frozen=True)
class Passage:
    """A part of an utterance of which each word is sure.

    Attributes:
        start, end: its first encoding frame, and the one after its last.
        tokens: of what is said in it.
        confidence: of its least sure word.
    """

    start: int
    end: int
    tokens: Sequence[int]
    confidence: float


def passages_of(row: Decoded, num_frames: int, vocabulary: Vocabulary, listener: Listener) -> list[Passage]:
    """The longest passages of a decoded row in which each word is sure, of two words at least or of the whole.

    A passage ends half way to the word beside it. A decoder that tells no scores of tokens is sure of nothing.

    Args:
        num_frames: of the row.
    """
    places = list(word_places(row, vocabulary)) if row.token_scores else []
    sure = [listener.confidence(word_score(row.token_scores[start:end])) for start, end in places]
    found: list[Passage] = []
    first = 0
    for last in range(len(places) + 1):
        if last < len(places) and sure[last] >= listener.least:
            continue
        if last - first >= min(LEAST_WORDS, len(places)) and last > first:
            begin, stop = places[first][0], places[last - 1][1]
            start = _between(row, places[first - 1][1] - 1, begin) if first else 0
            end = _between(row, stop - 1, places[last][0]) if last < len(places) else num_frames
            found.append(Passage(start, end, row.token_ids[begin:stop], min(sure[first:last])))
        first = last + 1
    return found


def _between(row: Decoded, before: int, after: int) -> int:
    """The frame half way from the end of a token to the beginning of another one."""
    return (row.last_frames[before] + 1 + row.first_frames[after]) // 2


@torch.no_grad()
def with_heard(
    speech: UserSpeech,
    listener: Listener,
    base: Base,
    adapter: Adapter | None,
    after_layer: int,
    device: torch.device,
) -> UserSpeech:
    """A user's speech with what is heard in the utterances that have no transcript, to train on and never to judge by.

    Args:
        adapter: that the user has, on the device; None: the base alone listens.
    """
    found = list(_heard(speech.untranscribed, listener, base, adapter, after_layer, device))
    passages = [(frames[one.start : one.end], one) for frames, own in found for one in own]
    rows = range(len(speech.frames), len(speech.frames) + len(passages))
    num_unsure = sum(not own for _, own in found)
    return replace(
        speech,
        frames=[*speech.frames, *(frames for frames, _ in passages)],
        tokens=[*speech.tokens, *(torch.tensor(one.tokens, dtype=torch.int64) for _, one in passages)],
        weights={**speech.weights, **dict(zip(rows, (one.confidence for _, one in passages), strict=True))},
        parts=[replace(part, heard=rows) for part in speech.parts],
        untranscribed=[],
        num_heard=len(found) - num_unsure,
        dropped={**speech.dropped, **({UNSURE: num_unsure} if num_unsure else {})},
    )


def _heard(
    utterances: Sequence[Tensor],
    listener: Listener,
    base: Base,
    adapter: Adapter | None,
    after_layer: int,
    device: torch.device,
) -> Iterator[tuple[Tensor, list[Passage]]]:
    """Each utterance's encoding [T, D] with its passages, those of like length together."""
    base.model.eval()
    by_length = sorted(utterances, key=len)
    for start in range(0, len(by_length), LISTENED_ROWS):
        rows = by_length[start : start + LISTENED_ROWS]
        lengths = torch.tensor([len(row) for row in rows], device=device)
        frames = torch.nn.utils.rnn.pad_sequence([row.to(device).float() for row in rows], batch_first=True)
        log_probs = base.model.head(adapter(frames) if adapter else frames, lengths, after_layer)
        for row, decoded in zip(rows, listener.decoder.decode(log_probs, lengths), strict=True):
            yield row, passages_of(decoded, len(row), base.vocabulary, listener)
