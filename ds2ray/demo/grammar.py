"""The sentences of the demo: small grammars of home and office commands."""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from ds2ray.errors import InputError


@dataclass(frozen=True)
class Grammar:
    """Sentence templates; `{slot}` stands for any phrase of that slot."""

    templates: tuple[str, ...]
    slots: Mapping[str, tuple[str, ...]]

    def num_sentences(self) -> int:
        """The number of sentences; a sentence of two templates counts twice."""
        return sum(prod(len(self.slots[s]) for s in re.findall(r"{(\w+)}", t)) for t in self.templates)

    def draw(self, count: int, seed: int) -> list[str]:
        """Draw `count` different sentences, every template about equally often.

        Raises:
            InputError: the grammar is too small for so many.
        """
        most = self.num_sentences() * 3 // 4  # a random draw rarely hits the last unused ones
        if count > most:
            raise InputError(f"{count} different sentences are asked for; the demo grammar gives up to {most}")
        rng = random.Random(f"{seed}/sentences")
        drawn: dict[str, None] = {}  # a set that keeps its order
        while len(drawn) < count:
            template = rng.choice(self.templates)
            drawn[re.sub(r"{(\w+)}", lambda slot: rng.choice(self.slots[slot[1]]), template)] = None
        return list(drawn)


# few words, each said often, so that a base learns them from minutes of speech on two processor cores
ENGLISH = Grammar(
    templates=(
        "{switch} the {room} {device} {when}",
        "{switch} the {device} {when}",
        "set the {room} {device} to {number} {when}",
        "set the {device} to {number} {when}",
        "{move} the {room} {opening} {when}",
        "play {genre} music in the {room}",
        "wake {person} at {number} {when}",
        "start a {number} minute timer",
        "call {person} about the {paper} {when}",
        "send {person} the {paper} {when}",
        "print {number} copies of the {paper} {when}",
        "order {number} bottles of {grocery} {when}",
        "cancel the {meeting} with {person} {when}",
    ),
    slots={
        "switch": ("turn on", "turn off", "check"),
        "move": ("open", "close", "lock"),
        "room": ("kitchen", "bedroom", "garage", "office", "garden"),
        "device": ("light", "fan", "heater", "radio"),
        "opening": ("door", "window"),
        "number": ("two", "three", "four", "five", "eight", "ten", "twenty"),
        "genre": ("jazz", "piano", "classical"),
        "person": ("anna", "marcus", "julia", "oliver"),
        "paper": ("report", "letter", "budget"),
        "grocery": ("milk", "coffee", "water"),
        "meeting": ("meeting", "lunch", "interview"),
        "when": ("today", "tomorrow", "now", "tonight"),
    },
)

KOREAN = Grammar(
    templates=(
        "{room} {device} {switch}",
        "{when} {room} {device} {switch}",
        "{room} 온도 {degrees} 도로 맞춰 줘",
        "{when} {number} 시에 깨워 줘",
        "{person}에게 {when} 전화 걸어 줘",
        "{person}에게 {paper} 보내 줘",
        "{when} {meeting} 취소해 줘",
        "{room}에서 {genre} 음악 틀어 줘",
        "{grocery} {number} 병 주문해 줘",
    ),
    slots={
        "room": ("거실", "부엌", "침실", "현관", "사무실", "욕실"),
        "device": ("불", "난로", "선풍기", "라디오", "가습기"),
        "switch": ("켜 줘", "꺼 줘", "확인해 줘"),
        "number": ("두", "세", "네", "다섯", "여섯", "일곱", "열"),
        "degrees": ("십팔", "이십", "이십이", "이십오"),
        "when": ("지금", "오늘 저녁", "내일 아침", "월요일", "금요일", "다음 주"),
        "person": ("민수", "지영", "할머니", "팀장님"),
        "paper": ("보고서", "계약서", "편지", "예산안", "일정표"),
        "meeting": ("회의", "면접", "점심 약속", "발표"),
        "genre": ("조용한", "신나는", "피아노", "클래식"),
        "grocery": ("우유", "커피", "주스", "생수"),
    },
)
