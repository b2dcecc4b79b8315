"""Forced alignment over segments: against torchaudio's for one segment, and against every division for several."""

import itertools

import numpy as np
import pytest
import torch
from torchaudio.functional import forced_align

from ds2ray.decoding import alignment as module
from ds2ray.decoding.alignment import AlignedSegment, Alignment

SPACE = 1


def log_probs(num_frames: int, seed: int, num_tokens: int = 6, sharpness: float = 2.0) -> np.ndarray:
    scores = torch.from_numpy(sharpness * np.random.default_rng(seed).standard_normal((num_frames, num_tokens)))
    return scores.log_softmax(1).float().numpy()


def flat(units: list[list[int]], separator: int | None = SPACE) -> list[int]:
    tokens: list[int] = []
    for unit in units:
        tokens += ([separator] if tokens and separator is not None else []) + unit
    return tokens


def forced(scores: np.ndarray, tokens: list[int]) -> float:
    """The log-probability of the best path of these tokens; torchaudio's, or that of blanks where there are none."""
    if not tokens:
        return float(scores[:, 0].sum())
    try:
        _, path = forced_align(torch.from_numpy(scores)[None], torch.tensor([tokens], dtype=torch.int32))
    except RuntimeError:  # too many for so few frames
        return -np.inf
    return float(path.sum())


def loss(scores: np.ndarray, score: float, num_tokens: int) -> float:
    path = scores.argmax(1)
    heard = sum(1 for token, _ in itertools.groupby(path) if token)
    return float((scores.max(1).sum() - score) / max(1, num_tokens, heard))


def said(parts: list[AlignedSegment] | None) -> list[tuple[int, int]]:
    assert parts is not None
    return [(part.first, part.end) for part in parts]


@pytest.mark.filterwarnings("ignore:torchaudio.functional")
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("separator", [SPACE, None])
def test_one_segment_has_the_path_of_torchaudio(
    seed: int, separator: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FOREIGN_LOSS", np.inf)
    draws = np.random.default_rng(100 + seed)
    units = [draws.integers(2, 6, draws.integers(1, 4)).tolist() for _ in range(draws.integers(1, 5))]
    scores = log_probs(30, seed)
    aligned = Alignment(units, separator)
    aligned.push(scores)
    (part,) = aligned.finish() or []
    assert (part.first, part.end) == (0, len(units))
    tokens = flat(units, separator)
    assert part.loss == pytest.approx(loss(scores, forced(scores, tokens), len(tokens)), abs=1e-4)


@pytest.mark.filterwarnings("ignore:torchaudio.functional")
@pytest.mark.parametrize("seed", range(8))
def test_several_segments_have_the_best_of_all_divisions(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FOREIGN_LOSS", np.inf)
    units = [[2, 3], [3], [4, 4, 5], [2]]
    segments = [log_probs(length, 10 * seed + number) for number, length in enumerate((9, 4, 12))]
    aligned = Alignment(units, SPACE)
    for scores in segments:
        aligned.push(scores)

    def total(ends: tuple[int, ...]) -> float:
        starts = (0, *ends)
        parts = zip(starts, (*ends, 4), segments, strict=True)
        return sum(best_of(units[first:end], end == 4, scores) for first, end, scores in parts)

    def best_of(own: list[list[int]], is_last: bool, scores: np.ndarray) -> float:
        """A segment may end with the space before the next word, which may end it as well as begin another."""
        tokens = flat(own)
        spaced = forced(scores, [*tokens, SPACE]) if own and not is_last else -np.inf
        return max(forced(scores, tokens), spaced)

    divisions = [ends for ends in itertools.product(range(5), repeat=2) if ends[0] <= ends[1]]
    found = tuple(end for _, end in said(aligned.finish())[:-1])
    assert total(found) == pytest.approx(max(map(total, divisions)), abs=1e-4)


def clear(tokens: list[int], num_tokens: int = 6) -> np.ndarray:
    """A segment in which these tokens are heard clearly, with blanks between them."""
    path = [0, *itertools.chain.from_iterable((token, token, 0) for token in tokens)]
    scores = np.full((len(path), num_tokens), np.log(0.01 / (num_tokens - 1)), dtype=np.float32)
    scores[np.arange(len(path)), path] = np.log(0.99)
    return scores


def test_words_lie_where_they_are_heard() -> None:
    units = [[2, 3], [3, 4], [5], [2, 2]]
    aligned = Alignment(units, SPACE)
    for first, end in ((0, 2), (2, 2), (2, 3), (3, 4)):
        aligned.push(clear(flat(units[first:end])))
    parts = aligned.finish()
    assert said(parts) == [(0, 2), (2, 2), (2, 3), (3, 4)]
    assert all(part.loss == pytest.approx(0.0, abs=1e-6) for part in parts or [])


def test_a_segment_may_hold_nothing_of_the_transcript() -> None:
    units = [[2, 3], [3, 4], [5], [2, 2]]
    aligned = Alignment(units, SPACE)
    for tokens in (flat(units[:2]), [4, 5, 1, 4, 5, 3, 1, 5], flat(units[2:])):
        aligned.push(clear(tokens))
    parts = aligned.finish()
    assert said(parts) == [(0, 2), (2, 2), (2, 4)]
    assert (parts or [])[1].loss == pytest.approx(module.FOREIGN_LOSS)


def test_a_transcript_that_is_too_long_has_no_alignment() -> None:
    aligned = Alignment([[2, 3]] * 20, SPACE)
    aligned.push(clear([2, 3]))
    assert aligned.finish() is None


def test_without_segments_there_is_no_alignment() -> None:
    assert Alignment([[2]], SPACE).finish() is None


def test_what_is_remembered_does_not_grow_with_the_transcript() -> None:
    draws = np.random.default_rng(0)
    units = [draws.integers(2, 30, 4).tolist() for _ in range(600)]
    aligned = Alignment(units, SPACE)
    for start in range(0, 600, 6):
        aligned.push(clear(flat(units[start : start + 6]), num_tokens=30))
    assert said(aligned.finish()) == [(start, start + 6) for start in range(0, 600, 6)]
    kept = [len(ends.scores) for ends in aligned._history]
    assert max(kept[50:]) <= max(kept[:50]) * 1.5 + 10
    assert max(kept) < 150
