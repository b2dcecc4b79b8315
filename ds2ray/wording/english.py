"""English numbers, dates, times, amounts and abbreviations in words, as far as they are certain."""

import re

from ds2ray.wording.english_tables import (
    ABBREVIATIONS,
    BEFORE_NUMBERS,
    BY_DIGITS,
    CALLED,
    CURRENCIES,
    DETERMINERS,
    MONTHS,
    SEVERAL_WAYS,
    SHORT_MONTHS,
    TITLES,
    UNITS,
)
from ds2ray.wording.library import cardinal, ordinal, year
from ds2ray.wording.rules import END, LEFT_OVER, START, Rule, UncertainError, doubt, rule

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
SIGNED = rf"[-−]?{NUMBER}"
YEAR = r"1[1-9]\d\d|20\d\d"
_MONTH = rf"{START}(?P<month>{'|'.join((*MONTHS, *sorted(SHORT_MONTHS, key=len, reverse=True)))})\b\.?"
_DAY = r"(?P<day>\d{1,2})(?P<suffix>st|nd|rd|th)?"
_DAY_FIRST = "|".join((*MONTHS, *(m.title() for m in (*MONTHS, *SHORT_MONTHS)), *map(str.upper, MONTHS)))
_SCALES = "hundred|thousand|million|billion|trillion"


def _word_before(match: re.Match[str]) -> str:
    words = match.string[: match.start()].split()
    return words[-1].lower() if words else ""


def _word_after(match: re.Match[str]) -> str:
    rest = match.string[match.end() :]
    words = re.match(r"\s+([^\W\d_]+)", rest)
    return words[1] if words else ""


def amount(text: str, language: str = "en") -> str:
    """A number that counts or measures, with or without a sign, commas between thousands and a decimal point."""
    sign, digits = ("minus ", text[1:]) if text[0] in "-−" else ("", text)
    whole, point, decimals = digits.replace(",", "").partition(".")
    if len(whole) > 1 and whole.startswith("0"):
        raise UncertainError("begins with a zero, and may be said digit by digit")
    said = cardinal(int(whole), language) if whole else ""
    if point:
        said = " ".join([said, "point", *(cardinal(int(digit), language) for digit in decimals)]).strip()
    return sign + said


def said_year(number: int) -> str:
    """A year, as in `nineteen eighty-four`."""
    return year(number, "en")


def _plain(match: re.Match[str]) -> str:
    text = match[0]
    digits = text.lstrip("-−")
    if "," in digits or "." in digits:
        return amount(text)
    number = int(digits)
    if len(digits) > 3 and number % 1000:
        raise UncertainError("may be a year, a count, or digits one by one; write a count as 1,984, or all in words")
    if number in CALLED or (len(digits) == 3 and _word_before(match) in BY_DIGITS):
        raise UncertainError("may be said digit by digit")
    return amount(text)


def _side_by_side(match: re.Match[str]) -> str:
    digits = match[0].split()
    if any(len(digit) > 1 for digit in digits):
        raise UncertainError("are numbers side by side, as in a telephone number, which are said in several ways")
    if "0" in digits:
        raise UncertainError("has a zero that may be said as zero or as oh")
    return " ".join(cardinal(int(digit), "en") for digit in digits)


def _month(match: re.Match[str]) -> str:
    name = match["month"].lower()
    if name in ("may", "march", "mar", "dec", "jun", "jan", "sep") and not match["month"][0].isupper():
        raise UncertainError("may be a month or another word")
    if name in ("may", "march") and not match.string[: match.start()].strip():
        raise UncertainError("may be a month or another word")
    return match["month"] if name in MONTHS else SHORT_MONTHS[name]


def _date(match: re.Match[str]) -> str:
    month, day = _month(match), int(match["day"])
    if not 1 <= day <= 31:
        raise UncertainError("is no date")
    if match["suffix"] and match["suffix"].lower() != _suffix(day):
        raise UncertainError("has a wrong ending")
    said = f"{month} {ordinal(day, 'en')}"
    return f"{said} {said_year(int(match['year']))}" if match["year"] else said


def _month_and_year(match: re.Match[str]) -> str:
    return f"{_month(match)} {said_year(int(match['year']))}"


def _time(match: re.Match[str]) -> str:
    hour, minute, half = int(match["hour"]), int(match["minute"] or 0), (match["half"] or "").lower()
    if hour > (12 if half else 23) or hour == 0 or minute > 59:
        raise UncertainError("is no time that is said in one way only")
    if minute == 0 and not half:
        raise UncertainError("may be said with o'clock or without")
    words = [cardinal(hour, "en")]
    if minute:
        words += (["oh"] if minute < 10 else []) + [cardinal(minute, "en")]
    return " ".join(words + ([half, "m"] if half else []))


def _money(match: re.Match[str]) -> str:
    number, scale = match["number"], (match["scale"] or "").lower()
    _require_noun(match)
    if "." in number and not scale:
        raise UncertainError("may be said with or without the names of both coins")
    if _word_after(match).lower().rstrip("s") in ("bill", "note", "coin"):
        raise UncertainError("is an adjective, said without the plural")
    one, several = CURRENCIES[match["sign"]]
    return " ".join(filter(None, [amount(number), scale, one if number == "1" and not scale else several]))


def _measure(match: re.Match[str]) -> str:
    _require_noun(match)
    one, several = UNITS[match["unit"].lower().replace(" ", "")]
    return f"{amount(match['number'])} {one if match['number'].lstrip('-−') == '1' else several}"


def _require_noun(match: re.Match[str]) -> None:
    if _word_before(match) in DETERMINERS:
        raise UncertainError("may be an adjective, said without the plural")


def _ordinal(match: re.Match[str]) -> str:
    number = int(match["number"].replace(",", ""))
    if number == 0 or match["suffix"].lower() != _suffix(number):
        raise UncertainError("has a wrong ending")
    return ordinal(number, "en")


def _suffix(number: int) -> str:
    return "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def _decade(match: re.Match[str]) -> str:
    number = int(match["number"])
    tens = number % 100
    if tens == 10 or (tens == 0 and (number == 0 or number % 1000 == 0)) or 100 <= number < 1100:
        raise UncertainError("may be said in several ways")
    said = cardinal(tens, "en").removesuffix("y") + "ies" if tens else "hundreds"
    return f"{cardinal(number // 100, 'en')} {said}" if number >= 100 else said


def _year_after_cue(match: re.Match[str]) -> str:
    if _word_after(match).lower().endswith("s"):
        raise UncertainError("may be a year or a count")
    return f"{match['cue']} {said_year(int(match['year']))}"


def _hyphenated(match: re.Match[str]) -> str:
    if match["word"].lower() in UNITS:
        raise UncertainError("has an abbreviation that may be said in several ways")
    return f"{amount(match['number'])}-{match['word']}"


def _before_name(match: re.Match[str]) -> str:
    if not _word_after(match):
        raise UncertainError("stands before no name, and may be said in several ways")
    return TITLES[match["title"].lower()]


def _doctor_or_drive(match: re.Match[str]) -> str:
    """`Dr.` and `St.` by where they stand: before a name, or after one."""
    before, after = match.string[: match.start()].split(), _word_after(match)
    title, place = ("doctor", "drive") if match["title"].lower() == "dr" else ("saint", "street")
    follows = bool(before) and before[-1][0].isalnum() and before[-1][-1].isalnum()
    if not match.string.islower() and not match.string.isupper():  # only a name has a capital letter
        capital_before = follows and before[-1][0].isupper()
        follows, after = capital_before, after if after[:1].isupper() else ""
    if bool(after) == follows:
        raise UncertainError(f"may be {title} or {place}")
    return title if after else place


def _units_pattern() -> str:
    return "|".join(re.escape(unit).replace("°", "°\\s?") for unit in sorted(UNITS, key=len, reverse=True))


_WITH_DOT = (*TITLES, *ABBREVIATIONS, *BEFORE_NUMBERS, "dr", "st")
ABBREVIATED = re.compile(
    rf"{START}(?:(?:{'|'.join(_WITH_DOT)})\.|(?:{'|'.join(map(re.escape, SEVERAL_WAYS))}))", re.IGNORECASE
)
"""Where an abbreviation stands that has a rule."""

RULES: tuple[Rule, ...] = (
    rule(rf"{START}(?P<title>dr|st)\.(?=\s|$)", _doctor_or_drive),
    rule(rf"{START}(?P<title>{'|'.join(TITLES)})\.(?=\s|$)", _before_name),
    rule(rf"{START}(?P<word>{'|'.join(ABBREVIATIONS)})\.{END}", lambda match: ABBREVIATIONS[match["word"].lower()]),
    rule(
        rf"{START}(?P<word>{'|'.join(BEFORE_NUMBERS)})\.\s?(?=\d)",
        lambda match: BEFORE_NUMBERS[match["word"].lower()] + " ",
    ),
    doubt(rf"{START}(?:{'|'.join(map(re.escape, SEVERAL_WAYS))}){END}", "may be said in several ways"),
    doubt(rf"{START}\d{{1,2}} (?:{_DAY_FIRST})\b", "is a date that may be said with the or without", 0),
    rule(rf"{_MONTH} {_DAY}(?:,? (?P<year>{YEAR}))?{END}", _date),
    rule(rf"{_MONTH},? (?P<year>{YEAR}){END}", _month_and_year),
    rule(rf"{START}(?P<hour>\d{{1,2}}):(?P<minute>\d\d)(?:\s?(?P<half>[ap])\.?\s?m\b\.?)?{END}", _time),
    rule(rf"{START}(?P<hour>\d{{1,2}})(?P<minute>)\s?(?P<half>[ap])\.?m\b\.?{END}", _time),
    rule(rf"{START}(?P<sign>[$€£¥₩₹])\s?(?P<number>{NUMBER})(?: (?P<scale>{_SCALES}))?{END}", _money),
    doubt(rf"{START}{NUMBER}\s?(?:[$€£¥₩₹]|usd|eur|gbp){END}", "is an amount of money in an order of its own"),
    rule(rf"{START}(?P<number>{SIGNED})\s?%{END}", lambda match: f"{amount(match['number'])} percent"),
    rule(rf"{START}(?P<number>{SIGNED})\s?(?P<unit>{_units_pattern()}){END}", _measure),
    doubt(rf"{START}{SIGNED} (?:[b-hj-z]|mi|am|pm){END}", "has a letter that stands for several units"),
    rule(rf"{START}(?P<number>\d{{1,3}}(?:,\d{{3}})+|\d+)(?P<suffix>st|nd|rd|th){END}", _ordinal),
    rule(rf"{START}(?P<number>[1-9]\d?\d?0)'?s{END}", _decade),
    rule(rf"{START}24/7{END}", lambda match: "twenty-four seven"),
    rule(rf"{START}(?P<number>\d{{1,3}})-(?P<word>[a-z]{{3,}}(?:-[a-z]+)*){END}", _hyphenated),
    rule(rf"\b(?P<cue>in|since|during|until|year) (?P<year>{YEAR}){END}", _year_after_cue),
    rule(rf"{START}\d+(?: \d+)+{END}", _side_by_side),
    doubt(rf"{START}\(?\+?\d+\)?(?:[-. ]\d+){{2,}}", "looks like a telephone number, a date or a version"),
    rule(rf"{START}{SIGNED}{END}", _plain),
    rule(r"(?<=\s)&(?=\s)", lambda match: "and"),
    *LEFT_OVER,
)
"""In the order in which they are tried."""
