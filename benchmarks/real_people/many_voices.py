"""Hours of speech by hundreds of synthetic voices, for a base to learn letters from before it hears people.

    python -m benchmarks.real_people.many_voices --hours 10 --output FOLDER

Each sentence has a voice of its own: accent, timbre, rate and pitch are drawn. Two of five sentences are those of the
given manifest, where there is one; others come from Python's own documentation, or are words of the manifest in any
order. FOLDER receives train.parquet and valid.parquet.
"""

import argparse
import io
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pydoc_data import topics

import numpy as np
import soundfile

from benchmarks.common import say
from ds2ray import storage
from ds2ray.config import AudioConfig
from ds2ray.demo.espeak import Voice, synthesise
from ds2ray.sound.resampling import resample
from ds2ray.tables.manifest import Utterance, read_manifest, write_manifest

ACCENTS = (
    *("en", "en-us", "en-us-nyc", "en-029", "en-gb-scotland"),
    *("en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd"),
)
TIMBRES = (
    *(f"m{number}" for number in range(1, 9)),
    *(f"f{number}" for number in range(1, 6)),
    *("adam", "Alicia", "Andrea", "Andy", "anika", "Annie", "antonio", "aunty", "belinda", "benjamin", "boris"),
    *("caleb", "david", "Denis", "Diogo", "ed", "edward", "Gene", "grandma", "grandpa", "Henrique", "Hugo", "ian"),
    *("iven", "Jacky", "john", "klatt2", "klatt4", "Lee", "linda", "marcelo", "Marco", "Mario", "max", "Michael"),
    *("michel", "miguel", "Mike", "norbert", "pablo", "paul", "pedro", "quincy", "Reed", "rob", "robert", "sandro"),
    *("shelby", "steph", "steph3", "travis"),
)
NUM_VALID = 200
SHORTEST, LONGEST = 3, 14
"""Words of a sentence of the documentation."""
AT_ONCE = 400


@dataclass(frozen=True)
class Texts:
    """What is read: given sentences, others, and words."""

    given: Sequence[str]
    others: Sequence[str]
    words: Sequence[str]

    @classmethod
    def with_documentation(cls, given: Sequence[str]) -> "Texts":
        others = sentences_of_documentation()
        words = sorted({word for sentence in given or others for word in sentence.split()})
        return cls(given or others, others, words)

    def draw(self, draws: random.Random) -> str:
        kind = draws.random()
        if kind < 0.4:
            return draws.choice(self.given)
        if kind < 0.75:
            return draws.choice(self.others)
        return " ".join(draws.choices(self.words, k=draws.randint(2, 8)))


def sentences_of_documentation() -> list[str]:
    """Stretches of plain words out of the help pages that Python brings along."""
    text = " ".join(topics.topics.values()).lower().replace("\n", " ")
    found = set()
    for sentence in re.split(r"[.:;]\s", text):
        for stretch in re.findall(r"(?:\b[a-z]+(?:'[a-z]+)?\b[ ,]+)+", sentence):
            words = re.findall(r"[a-z]+(?:'[a-z]+)?", stretch)[:LONGEST]
            if len(words) >= SHORTEST:
                found.add(" ".join(words))
    return sorted(found)


def speak(texts: Texts, hours: float, seed: int) -> Iterator[Utterance]:
    """Utterances of about so many hours, each by a voice of its own."""
    draws = random.Random(seed)
    spoken_s, number = 0.0, 0
    while spoken_s < 3600 * hours:
        requests = [(texts.draw(draws), _voice(draws)) for _ in range(AT_ONCE)]
        waveforms, rate_hz = synthesise(requests)
        for (text, voice), waveform in zip(requests, waveforms, strict=True):
            if not np.any(waveform):
                continue
            number += 1
            utterance = _utterance(number, text, voice, resample(waveform, rate_hz, AudioConfig.sample_rate_hz))
            spoken_s += utterance.duration_s or 0.0
            yield utterance
        say(f"{spoken_s / 3600:.1f} of {hours:g} hours are spoken")


def _voice(draws: random.Random) -> Voice:
    return Voice(
        draws.choice(ACCENTS),
        draws.choice(TIMBRES),
        rate_wpm=draws.randint(95, 175),
        pitch=draws.randint(15, 95),
        pitch_range=draws.randint(20, 90),
    )


def _utterance(number: int, text: str, voice: Voice, waveform: np.ndarray) -> Utterance:
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, AudioConfig.sample_rate_hz, format="FLAC", subtype="PCM_16")
    speaker = f"{voice.language}+{voice.variant}"
    duration_s = len(waveform) / AudioConfig.sample_rate_hz
    return Utterance(f"spoken-{number}", speaker, buffer.getvalue(), duration_s, text, number)


def make_voices(folder: str, given: Sequence[str], hours: float, seed: int = 0) -> tuple[str, str]:
    """Write train.parquet and valid.parquet into a folder; returns their URIs."""
    utterances = list(speak(Texts.with_documentation(given), hours, seed))
    train, valid = storage.join(folder, "train.parquet"), storage.join(folder, "valid.parquet")
    write_manifest(train, utterances[NUM_VALID:])
    write_manifest(valid, utterances[:NUM_VALID])
    return train, valid


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--output", required=True, help="folder of the two manifests")
    parser.add_argument("--manifest", default="", help="its transcripts are read, too")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    given = [u.transcript.lower() for u in read_manifest(args.manifest).utterances] if args.manifest else []
    say(f"wrote {', '.join(make_voices(args.output, given, args.hours, args.seed))}")


if __name__ == "__main__":
    main()
