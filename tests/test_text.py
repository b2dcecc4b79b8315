import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2ray.config import TextConfig, TextUnit
from ds2ray.errors import InputError
from ds2ray.text import BLANK, BLANK_ID, Vocabulary, min_ctc_frames, normalise, tokens_of

CONFIGS = st.builds(
    TextConfig, unit=st.sampled_from(TextUnit), lower_case=st.booleans(), strip_punctuation=st.booleans()
)
TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("aÉß'’-_.  \t\nʼ가각힣ㅋ\u1100\u1161\u11a8\u0301ﬁＡ\u200b\ufeffİΣ"),
    )
)


@pytest.mark.parametrize(
    ("transcript", "expected"),
    [
        ("Turn ON the lights!", "turn on the lights"),
        ("  two\tspaces \r\n here  ", "two spaces here"),
        ("Don't say 'don’t', o'clock", "don't say don't o'clock"),
        ("the users' lamps", "the users lamps"),
        ("well-known; e.g.this_one", "well known e g this one"),
        ("ＦＵＬＬ ﬁne ½", "full fine 1⁄2"),
        ("caf\u0065\u0301", "café"),
        ("zero\u200bwidth \ufeffmark soft\u00adhyphen", "zerowidth mark softhyphen"),
        ("한글, 자모!", "한글 자모"),
        (unicodedata.normalize("NFD", "한글"), "한글"),
        ("?!…", ""),
    ],
)
def test_normalises(transcript: str, expected: str) -> None:
    assert normalise(transcript, TextConfig()) == expected


@pytest.mark.parametrize(("tokens", "space"), [("ab", 0), ("a b", 2)])
def test_a_vocabulary_without_a_space_has_the_blank_in_its_place(tokens: str, space: int) -> None:
    assert Vocabulary.from_tokens(tokens, TextConfig()).space == space


def test_case_and_punctuation_stay_where_configured() -> None:
    config = TextConfig(lower_case=False, strip_punctuation=False)
    assert normalise("  Stop,  “NOW”! Don’t. ", config) == "Stop, “NOW”! Don’t."


@given(TEXTS, CONFIGS)
def test_normalising_twice_changes_nothing_more(text: str, config: TextConfig) -> None:
    once = normalise(text, config)
    assert normalise(once, config) == once
    assert once == once.strip()
    assert "  " not in once


@given(st.lists(TEXTS, min_size=1), CONFIGS)
def test_what_the_vocabulary_was_built_from_survives_encoding(texts: list[str], config: TextConfig) -> None:
    texts = [*texts, "a b"]
    vocabulary = Vocabulary.from_transcripts(texts, config)
    for text in texts:
        token_ids = vocabulary.encode(text)
        assert BLANK_ID not in token_ids
        assert vocabulary.unknown_characters(text) == []
        assert vocabulary.decode(token_ids) == normalise(text, config)


def test_vocabulary_is_the_sorted_characters_and_the_space() -> None:
    vocabulary = Vocabulary.from_transcripts(["Bad", "cab!"], TextConfig())
    assert vocabulary.tokens == ("<blank>", " ", "a", "b", "c", "d")
    assert len(vocabulary) == 6
    assert vocabulary.encode("A cab.") == [2, 1, 4, 2, 3]
    assert vocabulary.decode([2, 2, 1, 4]) == "aa c"


def test_jamo_are_the_letters_of_syllables_and_only_these_are_split() -> None:
    vocabulary = Vocabulary.from_transcripts(["각 é"], TextConfig(unit=TextUnit.jamo))
    assert vocabulary.tokens == ("<blank>", " ", "é", "\u1100", "\u1161", "\u11a8")
    assert vocabulary.encode("가") == [3, 4]
    assert vocabulary.decode([3, 4, 5, 3, 4, 1, 2]) == "각가 é"
    assert len(Vocabulary.from_transcripts(["각 é"], TextConfig())) == 4


def test_unknown_characters_are_named_or_left_out_but_never_unseen() -> None:
    vocabulary = Vocabulary.from_transcripts(["abc"], TextConfig())
    assert vocabulary.unknown_characters("Xaxé!") == ["x", "é"]
    assert vocabulary.encode_known("Xaxé! b") == [2, 1, 3]
    with pytest.raises(InputError, match=r"'x' \(U\+0078\) 'é' \(U\+00E9\), in 'Xaxé!'"):
        vocabulary.encode("Xaxé!")


@pytest.mark.parametrize("token_id", [0, 3, -1])
def test_decodes_only_characters(token_id: int) -> None:
    vocabulary = Vocabulary.from_tokens([" ", "a"], TextConfig())
    with pytest.raises(InputError, match=f"token id {token_id} "):
        vocabulary.decode([1, token_id])


@pytest.mark.parametrize(
    ("tokens", "message"),
    [([], "at least one character"), (["a", "bc", ""], r"\['', 'bc'\]"), (["a", "b", "a"], r"twice: \['a'\]")],
)
def test_refuses_tokens_that_are_not_distinct_characters(tokens: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Vocabulary.from_tokens(tokens, TextConfig())


def test_refuses_to_build_a_vocabulary_from_nothing() -> None:
    with pytest.raises(InputError, match="hold no characters"):
        Vocabulary.from_transcripts(["", " ?! "], TextConfig())


@given(CONFIGS)
def test_json_holds_everything(config: TextConfig) -> None:
    vocabulary = Vocabulary.from_transcripts(["Größe, 각"], config)
    stored = json.dumps(vocabulary.to_json())
    assert Vocabulary.from_json(json.loads(stored)) == vocabulary


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"tokens": ["<blank>", "a"]},
        {"tokens": ["a"], "config": {}},
        {"tokens": ["<blank>", "a"], "config": {"x": 1}},
    ],
)
def test_refuses_json_that_is_no_vocabulary(values: dict) -> None:
    with pytest.raises(InputError):
        Vocabulary.from_json(values)


@pytest.mark.parametrize(("token_ids", "frames"), [([], 0), ([1], 1), ([1, 2, 1], 3), ([1, 1, 1, 2, 2], 8)])
def test_ctc_needs_a_blank_between_repeats(token_ids: list[int], frames: int) -> None:
    assert min_ctc_frames(token_ids) == frames


IN_WORDS = TextConfig(expand_numbers=True)


def test_numbers_are_learnt_in_words_where_that_is_configured() -> None:
    assert normalise("Dr. Smith has 21 cats.", IN_WORDS) == "doctor smith has twenty one cats"
    assert normalise("Dr. Smith has 21 cats.", TextConfig()) == "dr smith has 21 cats"


def test_transcripts_with_doubts_give_no_characters_to_a_vocabulary() -> None:
    vocabulary = Vocabulary.from_transcripts(["2 cats", "mp3"], IN_WORDS)
    assert vocabulary.tokens == (BLANK, *" acostw")
    assert vocabulary.doubts("mp3") == ("'mp3' has digits inside a word",)
    assert vocabulary.doubts("10²") == ("'²' may be said in several ways",)
    with pytest.raises(InputError, match="are in no words that are certain, as 'mp3' has digits inside a word"):
        Vocabulary.from_transcripts(["mp3"], IN_WORDS)


def test_digits_of_a_vocabulary_are_read_as_they_are() -> None:
    assert tokens_of("5", IN_WORDS) == ["5"]


def test_settings_of_words_are_stored_where_they_differ_from_what_older_releases_did() -> None:
    older = Vocabulary.from_transcripts(["ab"], TextConfig()).to_json()
    assert older["config"] == {"unit": "character", "lower_case": True, "strip_punctuation": True}
    newer = Vocabulary.from_transcripts(["ab"], TextConfig(expand_numbers=True, language="ko"))
    assert newer.to_json()["config"] == {**older["config"], "expand_numbers": True, "language": "ko"}
    assert Vocabulary.from_json(newer.to_json()) == newer
