"""Korean numbers in words: Sino-Korean or native, as what is counted asks for."""

import re

from ds2ray.wording.library import cardinal
from ds2ray.wording.rules import END, LEFT_OVER, START, Rule, UncertainError, doubt, rule

ONES = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
MONTHS = ("일월", "이월", "삼월", "사월", "오월", "유월", "칠월", "팔월", "구월", "시월", "십일월", "십이월")

_NATIVE = "개 명 살 마리 잔 병 시간 송이 켤레 벌 그루 채 가지 군데 곳 사람 그릇 자루 쌍 달 조각 봉지 상자 끼 바퀴 모금"
NATIVE = tuple(_NATIVE.split())
"""Counters after native numbers, up to 19 in any case."""
_SINO = (
    "년 년대 년도 개월 개년 개국 일 주 주일 원 달러 유로 엔 초 층 호 호선 세 세기 도 퍼센트 프로 학년 학기 인분 페이지 "
    "쪽 번지 위 회 회차 킬로미터 미터 센티미터 밀리미터 킬로그램 그램 리터 킬로 박 배 점 등 차 분기 교시 평 톤 만원"
)
SINO = tuple(_SINO.split())
"""Counters after Sino-Korean numbers."""
UNCERTAIN = {
    "번": "may be a count (세 번) or a number (삼 번)",
    "장": "may be sheets (세 장) or a chapter (삼 장)",
    "권": "may be a count (두 권) or a volume (이 권)",
    "대": "may be vehicles (세 대) or generations (삼 대)",
    "분": "may be minutes (삼 분) or persons (세 분)",
    "시": "is no hour that is said in one way only",
}
SIGNS = {
    "%": "퍼센트",
    "km": "킬로미터",
    "m": "미터",
    "cm": "센티미터",
    "mm": "밀리미터",
    "kg": "킬로그램",
    "g": "그램",
    "mg": "밀리그램",
    "l": "리터",
    "ml": "밀리리터",
}
PARTICLES = (
    "이|가|은|는|을|를|의|에|에서|도|만|로|으로|와|과|랑|이랑|하고|나|이나|부터|까지|마다|씩|쯤|정도|이다|다|이야|야|예요|"
    "이에요|입니다|입니까|였다|였어|이었다|짜리|보다|처럼|동안|간|전|후|째|뒤|밖에|이상|이하|이고|이며|인|요|이요|안에|만에|전에|후에"
)
AFTER_MINUTES = "동안|간|전|후|뒤|쯤|만에|전에|후에|뒤에|안에|이상|이하"

NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
TAIL = rf"(?P<tail>(?:{PARTICLES})*){END}"
_DAYS_TO_REMEMBER = frozenset({"3.1", "4.3", "4.19", "5.16", "5.18", "6.25", "6.10", "8.15", "12.12"})
_CALLED = frozenset({112, 114, 119, 911})


def sino(text: str) -> str:
    """A number in Sino-Korean, as in `천구백팔십사` and `삼 점 오`."""
    whole, point, decimals = text.replace(",", "").partition(".")
    if len(whole) > 1 and whole.startswith("0"):
        raise UncertainError("begins with a zero, and may be said digit by digit")
    said = cardinal(int(whole), "ko")
    if point:
        said = " ".join([said, "점", "".join(cardinal(int(digit), "ko") for digit in decimals)])
    return said


def native(number: int) -> str:
    """A native number from 1 to 99 as it stands before a counter: `스물한`."""
    return "스무" if number == 20 else TENS[number // 10] + ONES[number % 10]


def _counted(match: re.Match[str]) -> str:
    counter, tail, text = match["counter"], match["tail"], match["number"]
    if counter in UNCERTAIN:
        raise UncertainError(UNCERTAIN[counter])
    if counter in SINO:
        return f"{sino(text)} {counter}{tail}"
    if not text.isdigit():
        return f"{sino(text)} {counter}{tail}"
    number = int(text)
    if counter == "살" and 1 <= number < 100:
        return f"{native(number)} 살{tail}"
    if 20 <= number < 100 or (number > 100 and number % 100) or text.startswith("0"):
        raise UncertainError(f"may be said with a native number or a Sino-Korean one before {counter}")
    return f"{native(number) if number < 20 else sino(text)} {counter}{tail}"


def _counted_sign(match: re.Match[str]) -> str:
    return f"{sino(match['number'])} {SIGNS[match['counter'].lower()]}{match['tail']}"


def _hour(match: re.Match[str]) -> str:
    hour = int(match["hour"])
    if not 1 <= hour <= 24:
        raise UncertainError("is no hour")
    said = f"{native(hour) if hour <= 12 else sino(str(hour))} 시"
    minute = match["minute"]
    return f"{said} {sino(str(int(minute)))} 분{match['tail']}" if minute else said + match["tail"]


def _clock(match: re.Match[str]) -> str:
    hour, minute = int(match["hour"]), int(match["minute"])
    if not 1 <= hour <= 12 or minute > 59:
        raise UncertainError("may be said with twelve hours or with twenty-four")
    return f"{native(hour)} 시" + (f" {sino(str(minute))} 분" if minute else "") + match["tail"]


def _month(match: re.Match[str]) -> str:
    month = int(match["month"])
    if not 1 <= month <= 12:
        raise UncertainError("is no month")
    return MONTHS[month - 1] + match["tail"]


def _ordinal(match: re.Match[str]) -> str:
    number = int(match["number"])
    if not 1 <= number <= 99:
        raise UncertainError("may be said with a native number or a Sino-Korean one")
    return f"{'첫' if number == 1 else native(number)} 번째{match['tail']}"


def _scaled(match: re.Match[str]) -> str:
    if match["number"] == "1" and match["scale"][0] in "십백천만":
        raise UncertainError("may be said with 일 or without")
    rest = match["counter"] or ""
    return f"{sino(match['number'])}{match['scale']}{' ' if rest else ''}{rest}{match['tail']}"


def _won(match: re.Match[str]) -> str:
    return f"{sino(match['number'])} {'원' if match['sign'] == '₩' else '달러'}"


def _plain(match: re.Match[str]) -> str:
    text = match["number"]
    if text in _DAYS_TO_REMEMBER:
        raise UncertainError("may be a decimal or a day to remember")
    if "." in text or "," in text:
        return ("마이너스 " if match["sign"] else "") + sino(text) + match["tail"]
    number = int(text)
    if match["sign"]:
        return f"마이너스 {sino(text)}{match['tail']}"
    if number < 100 or number in _CALLED or (number >= 1000 and number % 1000):
        raise UncertainError("stands without what is counted: native, Sino-Korean or digit by digit")
    return sino(text) + match["tail"]


_COUNTERS = "|".join(sorted({*NATIVE, *SINO, *UNCERTAIN}, key=len, reverse=True))
_SIGNS = "|".join(sorted(SIGNS, key=len, reverse=True))

RULES: tuple[Rule, ...] = (
    doubt(rf"{START}\+?\d+(?:[-.]\d+){{2,}}|{START}\d+-\d[-\d]*", "looks like a telephone number, a date or a score"),
    doubt(rf"{START}\d[\d.,]*(?: \d[\d.,]*)+{END}", "are numbers side by side, which are said in several ways"),
    rule(rf"{START}(?P<hour>\d{{1,2}}):(?P<minute>\d\d)(?P<tail>){END}", _clock),
    rule(rf"{START}(?P<hour>\d{{1,2}})시 ?(?P<minute>\d{{1,2}})분{TAIL}", _hour),
    rule(rf"{START}(?P<hour>\d{{1,2}})시(?!간)(?P<minute>){TAIL}", _hour),
    rule(
        rf"{START}(?P<number>\d+)분(?= ?(?:{AFTER_MINUTES}))(?P<tail>(?:{PARTICLES})*){END}",
        lambda match: f"{sino(match['number'])} 분{match['tail']}",
    ),
    rule(
        rf"(?<=시간 )(?P<number>\d+)분{TAIL}",
        lambda match: f"{sino(match['number'])} 분{match['tail']}",
    ),
    rule(rf"{START}(?P<month>\d{{1,2}})월{TAIL}", _month),
    rule(rf"{START}(?P<number>\d{{1,3}}) ?번째{TAIL}", _ordinal),
    rule(
        rf"{START}(?P<number>{NUMBER})(?P<scale>[십백천만억조]+) ?(?P<counter>{_COUNTERS}|만 원)?{TAIL}",
        _scaled,
    ),
    rule(rf"{START}(?P<number>{NUMBER}) ?(?P<counter>{_SIGNS}){TAIL}", _counted_sign),
    rule(rf"{START}(?P<number>{NUMBER}) ?(?P<counter>{_COUNTERS}){TAIL}", _counted),
    rule(rf"{START}(?P<sign>[₩$])(?P<number>{NUMBER}){END}", _won),
    rule(rf"{START}(?P<sign>[-−]?)(?P<number>{NUMBER}){TAIL}", _plain),
    *LEFT_OVER,
)
"""In the order in which they are tried."""
