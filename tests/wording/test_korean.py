"""Korean in words: native or Sino-Korean numbers, by what is counted."""

import pytest

from ds2ray.wording.words import in_words


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("사과 3개를 5명이", "사과 세 개를 다섯 명이"),
        ("100개", "백 개"),
        ("7시 30분에", "일곱 시 삼십 분에"),
        ("13시", "십삼 시"),
        ("7:30", "일곱 시 삼십 분"),
        ("3시간 뒤", "세 시간 뒤"),
        ("3분 동안", "삼 분 동안"),
        ("2024년 3월 5일", "이천이십사 년 삼월 오 일"),
        ("6월과 10월", "유월과 시월"),
        ("1번째", "첫 번째"),
        ("25살", "스물다섯 살"),
        ("3학년 12층입니다", "삼 학년 십이 층입니다"),
        ("3개월", "삼 개월"),
        ("5,000원", "오천 원"),
        ("3만 5천원", "삼만 오천 원"),
        ("5% 3.5 10km", "오 퍼센트 삼 점 오 십 킬로미터"),
    ],
)
def test_what_is_certain_is_said(written: str, said: str) -> None:
    wording = in_words(written, "ko")
    assert (wording.text, wording.doubts) == (said, ())


@pytest.mark.parametrize(
    "written",
    [
        "3번",
        "3분",
        "3장",
        "21명",
        "24시간",
        "채널 7",
        "119",
        "6.25",
        "010-1234-5678",
        "19:30",
        "3개소",
        "1만원",
        "mp3 파일",
    ],
)
def test_what_is_not_certain_stays_with_its_reason(written: str) -> None:
    wording = in_words(written, "ko")
    assert wording.text == written
    assert wording.doubts
