"""ARPA files: what is written is read again, what others write is read, and what is none is told with its line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2ray.decoding.language.arpa import read_arpa, write_arpa
from ds2ray.decoding.language.language_model import LanguageModel
from ds2ray.decoding.language.ngrams import estimate
from ds2ray.errors import InputError

BY_OTHERS = """remarks before the data

\\data\\
ngram 1=4
ngram 2=2
ngram 3=1

\\1-grams:
-1.0 <s> -0.5
-0.5 b
-0.25\ta\t-0.125
-2 </s>

\\2-grams:
-0.1\t<s> a\t-0.3
-0.2\ta b

\\3-grams:
-0.05\t<s> a b

\\end\\
"""


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.sampled_from("äbc"), max_size=5), max_size=8), st.integers(1, 4))
def test_what_is_written_is_read_again(sentences: list[list[str]], order: int) -> None:
    ngrams = estimate(sentences, order)
    found = read_arpa("".join(write_arpa(ngrams)).splitlines(keepends=True), "a.arpa")
    assert found.words == ngrams.words
    for mine, theirs in zip(ngrams.orders, found.orders, strict=True):
        assert theirs.context.tolist() == mine.context.tolist()
        assert theirs.word.tolist() == mine.word.tolist()
        assert theirs.log_prob.tolist() == pytest.approx(mine.log_prob.tolist(), rel=1e-4)
        assert theirs.backoff.tolist() == pytest.approx(mine.backoff.tolist(), rel=1e-4, abs=1e-9)


def test_a_file_of_others_without_an_unknown_word() -> None:
    model = LanguageModel(read_arpa(BY_OTHERS.splitlines(), "a.arpa"))
    assert model.words == ("<unk>", "<s>", "</s>", "b", "a")
    of = model.perplexity([["a", "b"]])  # -0.1 for a, -0.05 for b, then -2 for the end: no context of it has a weight
    assert (of.log_prob, of.num_predicted) == (pytest.approx(-2.15 * 2.302585093), 3)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("\\data\\", "", "there is no \\data\\"),
        ("ngram 2=2", "ngram 3=2", "line 5 is 'ngram 3=2', not the number of 2-grams"),
        ("ngram 1=4", "ngram 1=3", "line 12 is '-2 </s>', not \\2-grams:"),
        ("ngram 3=1", "ngram 3=2", "not a probability, 3 words and a weight"),
        ("-0.5 b", "-0.5", "line 10 is '-0.5', not a probability, 1 words and a weight"),
        ("-0.5 b", "0.5 b", "line 10 is '0.5 b', not a probability"),
        ("-0.5 b", "x b", "line 10 is 'x b', not a probability"),
        ("-0.5 b", "-inf b", "line 10 is '-inf b', not a probability"),
        ("-0.2\ta b", "-0.2\ta c", "line 16: the word 'c' is none of the 1-grams"),
        ("-0.05\t<s> a b", "-0.05\ta a b", "line 19: there is no 2-gram 'a a', its context"),
        ("-0.2\ta b", "-0.1\t<s> a", "line 16: '<s> a' is there twice"),
        ("\\3-grams:", "\\4-grams:", "not \\3-grams:"),
        ("\\end\\", "", "the file is cut off"),
    ],
)
def test_what_is_no_arpa_file_is_told(old: str, new: str, told: str) -> None:
    assert old in BY_OTHERS
    with pytest.raises(InputError) as raised:
        read_arpa(BY_OTHERS.replace(old, new, 1).splitlines(), "a.arpa")
    assert str(raised.value).startswith("a.arpa: not an ARPA file: ")
    assert told in str(raised.value)


@pytest.mark.parametrize("num_lines", range(len(BY_OTHERS.splitlines()) - 1))
def test_a_file_that_is_cut_off_anywhere_is_told(num_lines: int) -> None:
    with pytest.raises(InputError, match="not an ARPA file"):
        read_arpa(BY_OTHERS.splitlines()[:num_lines], "a.arpa")
