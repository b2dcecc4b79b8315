from ds2ray.outputs.ctm import ctm
from ds2ray.recognition.hypothesis import Hypothesis, Word


def test_a_line_for_each_word_and_none_for_silence() -> None:
    heard = [
        Hypothesis("one.wav", "", "good night", words=(Word("good", 0.5, 0.9, 0.98765), Word("night", 1.0, 1.75))),
        Hypothesis("silence.wav", "", ""),
        Hypothesis("gone.wav", "", "", error="there is no such file"),
    ]
    assert ctm(heard) == "one.wav 1 0.500 0.400 good 0.9877\none.wav 1 1.000 0.750 night\n"


def test_fields_hold_no_white_space_and_lines_are_no_comments() -> None:
    heard = [Hypothesis(";;my file\u3000100%", "", "x", words=(Word("a\tb", 0.0, 1.0, 0.5),))]
    assert ctm(heard) == "%3B%3Bmy%20file%E3%80%80100%25 1 0.000 1.000 a%09b 0.5000\n"
