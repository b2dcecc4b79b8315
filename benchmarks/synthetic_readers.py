"""Synthetic voices that read what some people have read, and more sentences of the same words.

They teach a base how letters sound, and sentences that the people alone are too few to read.
"""

import itertools
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np

from benchmarks.people_speech import encoded
from ds2ray.config import AudioConfig
from ds2ray.demo.espeak import Voice, synthesise
from ds2ray.sound.resampling import resample
from ds2ray.tables.manifest import Utterance

ACCENTS = ("en-us", "en", "en-gb-scotland", "en-029", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc")
TIMBRES = (
    *("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "Andy", "Annie", "Lee", "Mike"),
    *("belinda", "linda", "steph", "john", "caleb", "david", "edward", "rob", "grandma", "grandpa", "aunty", "pablo"),
    *("zac", "quincy", "paul", "max", "michel", "victor", "adam", "Alicia", "Andrea", "Mario", "Jacky", "anika"),
    *("antonio", "benjamin", "boris", "miguel", "sandro", "shelby", "travis", "Diogo", "Gene", "Hugo", "Marco"),
)
RATES_WPM, PITCHES, RANGES = (90, 190), (15, 99), (20, 80)
NUM_VOICES = 160
AS_READ, REORDERED = 0.4, 0.4
"""Shares of the sentences that people have read, and that are made of pairs of words which follow one another in those;
the rest are words in any order."""
WORDS_IN_ANY_ORDER = (3, 7)
LONGEST_CHARACTERS = 70
QUIET, AROUND_SAMPLES = 0.01, 2000
PEAK = 0.5


def synthetic_speech(transcripts: Iterable[str], count: int, never: frozenset[str] = frozenset()) -> list[Utterance]:
    """So many sentences, those of the transcripts and others of their words, each read by one of many voices.

    Args:
        never: sentences that are left out.
    """
    draws = random.Random(0)
    limits = (RATES_WPM, PITCHES, RANGES)
    voices = [
        Voice(draws.choice(ACCENTS), draws.choice(TIMBRES), *(draws.randint(*between) for between in limits))
        for _ in range(NUM_VOICES)
    ]
    new = (sentence for sentence in sentences(transcripts, draws) if sentence not in never)
    said = [(sentence, draws.choice(voices)) for sentence in itertools.islice(new, count)]
    waveforms, rate_hz = synthesise(said)
    return [
        encoded(
            Utterance(f"synthetic-{number:06d}", "synthetic", b"", None, sentence, number + 1),
            without_edges(resample(waveform, rate_hz, AudioConfig.sample_rate_hz)),
        )
        for number, ((sentence, _), waveform) in enumerate(zip(said, waveforms, strict=True))
    ]


def sentences(transcripts: Iterable[str], draws: random.Random) -> Iterator[str]:
    """Sentences without end: transcripts as they are, their words reordered by pairs, and in any order."""
    known = sorted(set(transcripts))
    following = defaultdict(list)
    for sentence in known:
        words = sentence.split()
        for word, follower in zip(["", *words], [*words, ""], strict=True):
            following[word].append(follower)
    vocabulary = sorted(word for word in following if word)
    while True:
        kind = draws.random()
        if kind < AS_READ:
            yield draws.choice(known)
            continue
        if kind < AS_READ + REORDERED:
            words = [draws.choice(following[""])]
            while follower := draws.choice(following[words[-1]]):
                words.append(follower)
        else:
            words = draws.choices(vocabulary, k=draws.randint(*WORDS_IN_ANY_ORDER))
        sentence = " ".join(words)
        if len(sentence) <= LONGEST_CHARACTERS:
            yield sentence


def without_edges(waveform: np.ndarray) -> np.ndarray:
    """A synthetic voice's sound with an eighth of a second around it, at one level: float32 [num_samples]."""
    level = np.abs(waveform)
    loud = np.flatnonzero(level > QUIET * level.max())
    return waveform[max(0, loud[0] - AROUND_SAMPLES) : loud[-1] + AROUND_SAMPLES] * np.float32(PEAK / level.max())
