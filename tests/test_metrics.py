import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2ray.metrics import ErrorCount, aligned, character_errors, edits, word_errors

WORDS = st.lists(st.sampled_from(["on", "off", "lamp", "등", "켜"]), max_size=6).map(" ".join)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("turn the lamp on", "turn the lamp on", ErrorCount(0, 0, 0, 4)),
        ("turn the lamp on", "turn a lamp", ErrorCount(1, 1, 0, 4)),
        ("turn  it\ton ", " turn it on on on", ErrorCount(0, 0, 2, 3)),
        ("", "", ErrorCount(0, 0, 0, 0)),
        ("", "two words", ErrorCount(0, 0, 2, 0)),
        ("two words", "", ErrorCount(0, 2, 0, 2)),
    ],
)
def test_counts_words(reference: str, hypothesis: str, expected: ErrorCount) -> None:
    assert word_errors(reference, hypothesis) == expected


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("불을 켜 줘", "불을켜줘", ErrorCount(0, 2, 0, 6)),
        ("불을 켜 줘", "물을 켜", ErrorCount(1, 2, 0, 6)),
        ("lamp", "lampp s", ErrorCount(0, 0, 3, 4)),
        ("", "a b", ErrorCount(0, 0, 3, 0)),
        ("a b", " ", ErrorCount(0, 3, 0, 3)),
        (" a b\n", "a b", ErrorCount(0, 0, 0, 3)),
    ],
)
def test_counts_characters_and_spaces(reference: str, hypothesis: str, expected: ErrorCount) -> None:
    assert character_errors(reference, hypothesis) == expected


def test_rates() -> None:
    assert word_errors("a b c d", "a x c").rate() == 0.5
    assert word_errors("a", "b c d").rate() == 3.0
    assert word_errors("", "").rate() == 0.0
    assert word_errors("", "a b c").rate() == 1.0


@given(WORDS, WORDS)
def test_edits_explain_the_lengths_and_are_no_more_than_needed(reference: str, hypothesis: str) -> None:
    count = word_errors(reference, hypothesis)
    num_words = len(reference.split()), len(hypothesis.split())
    assert count.reference_length == num_words[0]
    assert num_words[0] - count.deletions + count.insertions == num_words[1]
    assert abs(num_words[0] - num_words[1]) <= count.errors <= max(num_words)
    assert (count.errors == 0) == (reference == hypothesis)


@given(st.lists(st.tuples(WORDS, WORDS)))
def test_sums_over_utterances_in_any_order(pairs: list[tuple[str, str]]) -> None:
    counts = [word_errors(*pair) for pair in pairs]
    total = sum(counts, ErrorCount(0, 0, 0, 0))
    assert total == sum(reversed(counts), ErrorCount(0, 0, 0, 0))
    assert total.errors == sum(count.errors for count in counts)
    assert total.reference_length == sum(len(reference.split()) for reference, _ in pairs)


@given(st.text("abcd", min_size=1, max_size=40), st.text("abcd", max_size=40))
def test_edits_are_as_few_as_another_implementation_finds(reference: str, hypothesis: str) -> None:
    substitutions, deletions, insertions = edits(reference, hypothesis)
    assert len(reference) - deletions + insertions == len(hypothesis)
    assert 0 <= substitutions <= len(reference) - deletions
    found = jiwer.process_characters(reference, hypothesis)
    assert substitutions + deletions + insertions == found.substitutions + found.deletions + found.insertions


@given(st.text("ab 가", min_size=1, max_size=20).filter(str.strip), st.text("ab 가", max_size=20))
def test_rates_are_those_of_jiwer(reference: str, hypothesis: str) -> None:
    assert character_errors(reference, hypothesis).rate() == pytest.approx(jiwer.cer(reference, hypothesis))
    assert word_errors(reference, hypothesis).rate() == pytest.approx(jiwer.wer(reference, hypothesis))


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("turn the lamp on", "turn a lamp", [("turn", "turn"), ("the", "a"), ("lamp", "lamp"), ("on", None)]),
        ("on", "please on", [(None, "please"), ("on", "on")]),
        ("", "on", [(None, "on")]),
        ("on", "", [("on", None)]),
        ("", "", []),
    ],
)
def test_words_are_aligned(reference: str, hypothesis: str, expected: list[tuple[str | None, str | None]]) -> None:
    assert aligned(reference.split(), hypothesis.split()) == expected


@given(WORDS, WORDS)
def test_an_alignment_holds_both_texts_and_as_many_edits_as_are_counted(reference: str, hypothesis: str) -> None:
    pairs = aligned(reference.split(), hypothesis.split())
    assert [said for said, _ in pairs if said is not None] == reference.split()
    assert [heard for _, heard in pairs if heard is not None] == hypothesis.split()
    count = word_errors(reference, hypothesis)
    swapped = sum(said is not None and heard is not None and said != heard for said, heard in pairs)
    left_out, put_in = sum(heard is None for _, heard in pairs), sum(said is None for said, _ in pairs)
    assert (swapped, left_out, put_in) == (count.substitutions, count.deletions, count.insertions)
