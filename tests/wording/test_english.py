"""English in words: what is certain is said, and what is not is told and left as it is."""

import pytest

from ds2ray.wording.words import in_words


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("I have 21 apples", "I have twenty-one apples"),
        ("1,234 people", "one thousand two hundred and thirty-four people"),
        ("5, 6 and 7.", "five, six and seven."),
        ("3 5 8", "three five eight"),
        ("5 million", "five million"),
        ("3.14 or .5", "three point one four or point five"),
        ("it is -5 today", "it is minus five today"),
        ("the 21st and the 12th", "the twenty-first and the twelfth"),
        ("in 1984 and since 2019", "in nineteen eighty-four and since twenty nineteen"),
        ("in the 1990s and the 90s", "in the nineteen nineties and the nineties"),
        ("at 7:30 or 7:05 pm", "at seven thirty or seven oh five p m"),
        ("7 p.m. and 7:00am", "seven p m and seven a m"),
        ("$5, €20 and $1.5 billion", "five dollars, twenty euros and one point five billion dollars"),
        ("5% or 3.5 %", "five percent or three point five percent"),
        ("5 km, 1km and 60 mph", "five kilometers, one kilometer and sixty miles per hour"),
        ("20 °C", "twenty degrees celsius"),
        ("April 3, 2024", "April third twenty twenty-four"),
        ("on May 5", "on May fifth"),
        ("Jan. 2nd", "january second"),
        ("a 20-year-old man, 24/7", "a twenty-year-old man, twenty-four seven"),
        ("IN 1984", "IN NINETEEN EIGHTY-FOUR"),
        ("Dr. Smith on Maple Dr.", "doctor Smith on Maple drive"),
        ("dr. smith said", "doctor smith said"),
        ("St. Mary of Main St.", "saint Mary of Main street"),
        ("Mr. Jones, etc.", "mister Jones, et cetera"),
        ("No. 5 and p. 7", "number five and page seven"),
        ("you & me", "you and me"),
        ("Henry VIII lives in the U.S. no more.", "Henry VIII lives in the U.S. no more."),
    ],
)
def test_what_is_certain_is_said(written: str, said: str) -> None:
    wording = in_words(written, "en")
    assert (wording.text, wording.doubts) == (said, ())


@pytest.mark.parametrize(
    ("written", "part", "why"),
    [
        ("1500 people", "1500", "may be a year, a count"),
        ("in 1500 cases", "in 1500", "may be a year or a count"),
        ("room 205", "205", "digit by digit"),
        ("call 911", "911", "digit by digit"),
        ("007", "007", "begins with a zero"),
        ("12 15", "12 15", "side by side"),
        ("call 555-1234", "555-1234", "several ways"),
        ("+1 555 123 4567", "555 123 4567", "telephone number"),
        ("555-123-4567", "555-123-4567", "telephone number"),
        ("21th", "21th", "wrong ending"),
        ("7:00", "7:00", "o'clock"),
        ("25:10", "25:10", "no time"),
        ("$5.99", "$5.99", "both coins"),
        ("a $20 bill", "$20", "adjective"),
        ("a 5 km run", "5 km", "adjective"),
        ("20€", "20€", "order of its own"),
        ("5 m", "5 m", "several units"),
        ("3 April 2024", "3 April", "the or without"),
        ("may 5", "may 5", "month or another word"),
        ("3/4/2024", "3/4/2024", "several ways"),
        ("2024-04-03", "2024-04-03", "a date"),
        ("mp3 player", "mp3", "digits inside a word"),
        ("b2b", "b2b", "digits inside a word"),
        ("covid-19", "covid-19", "digits inside a word"),
        ("10-12", "10-12", "several ways"),
        ("1/2", "1/2", "several ways"),
        ("12 Main St. Peter", "St.", "saint or street"),
        ("e.g. this", "e.g.", "several ways"),
        ("R&D", "R&D", "sign"),
        ("100 #5", "#5", "several ways"),
        ("두 개와 5 개", "", "not written in the letters"),
    ],
)
def test_what_is_not_certain_stays_with_its_reason(written: str, part: str, why: str) -> None:
    wording = in_words(written, "en")
    assert part in wording.text
    assert any(part in doubt and why in doubt for doubt in wording.doubts)
