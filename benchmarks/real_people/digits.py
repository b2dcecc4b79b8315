"""Real people saying digits: one of four is left out of the base, and adapts to it with more and more speech.

Strings of three to seven digits are joined from single takes with pauses between them and around them, of the takes'
own background noise. No take of the tested strings is in the speech of the base or of the person's adaptation. `full`
is a copy of the base with all weights tuned. Errors are in percent, over the words of the person's test strings.
"""

import argparse
import io
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.common import CACHE, emit, say
from benchmarks.full_tuning import FullRecipe
from benchmarks.real_people.work import BASE, FULL, Setting, score_person, tuned_loss
from benchmarks.recipes import numbers, parse_recipe
from benchmarks.speech import Speaker, digest, run_training
from ds2ray import storage
from ds2ray.metrics import Score
from ds2ray.sound.audio import read_waveform
from ds2ray.tables.manifest import Utterance, read_manifest, write_manifest

TAKES = Path(__file__).resolve().parents[3] / "shared" / "speech" / "digits" / "takes.csv"
RATE_HZ = 8000
RECIPES = ("default", "last=after_layer=-1,num_epochs=20,learning_rate=0.002")
DIGITS, PAUSE_S, AROUND_S = (3, 7), (0.05, 0.4), (0.1, 0.5)
QUIET_S = 0.02
"""The quietest stretch of so many seconds in a take is taken for its background."""
TEST_SHARE, VALID_SHARE = 0.2, 0.1


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--takes", default=str(TAKES), help="a manifest of single takes (default: %(default)s)")
    parser.add_argument("--people", default="nicolas", help="who is left out, one after the other: a,b,…")
    parser.add_argument("--minutes", default="0.5,1,2,4", help="of speech for the adapter")
    parser.add_argument("--base-minutes", type=float, default=12.0, help="of speech of each of the others")
    parser.add_argument("--test-strings", type=int, default=60)
    parser.add_argument("--recipes", nargs="+", default=RECIPES, help="adapters: name=key=value,…")
    parser.add_argument(
        "--full-rates", default="0.0003,0.001", help="learning rates that full tuning tries; empty: none"
    )
    parser.add_argument("--train", nargs="*", default=[], help="settings of jobs/train.py for the base, key=value …")
    parser.add_argument("--cache", default=CACHE, help="keeps bases between runs")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    if not storage.exists(args.takes):
        parser.error(f"there is no {args.takes}; --takes=… takes a manifest of single takes")
    takes: dict[str, list[Utterance]] = defaultdict(list)
    for take in read_manifest(args.takes).utterances:
        takes[take.user_id].append(take)
    rows = [row for name in args.people.split(",") for row in of_person(args, takes, name)]
    emit("digits", {"base_minutes": args.base_minutes, "rows": rows}, args.save)


def of_person(args: argparse.Namespace, takes: dict[str, list[Utterance]], name: str) -> list[dict[str, object]]:
    """A row for each amount of speech of one person whom the base has not heard."""
    amounts = numbers(args.minutes)
    base_path = base_without(args, takes, name)
    test_takes, adapt_takes = divided(takes[name], TEST_SHARE)
    test = strings(test_takes, f"{name}-test", count=args.test_strings)
    speech = strings(adapt_takes, f"{name}-adapt", minutes=max(amounts))
    recipes = tuple(parse_recipe(text) for text in args.recipes)
    rows = []
    for minutes in amounts:
        person = Speaker(name, speech, test).with_minutes(minutes)
        full = None
        if rates := numbers(args.full_rates):
            full = min((FullRecipe(rate) for rate in rates), key=lambda r: tuned_loss(base_path, person, r, recipes[0]))
        scores = score_person(Setting(base_path, recipes, full, tuple(test[:1])), person)
        systems = [BASE, *(recipe.name for recipe in recipes), *([FULL] if full else [])]
        row: dict[str, object] = {
            "person": name,
            "minutes": minutes,
            "utterances": len(person.adapt),
            "words": sum(len(utterance.transcript.split()) for utterance in test),
            **{f"wer_{system}": 100 * sum(scores.own[system], Score()).words.rate() for system in systems},
            "published": sorted(scores.published),
        }
        say(str(row))
        rows.append(row)
    return rows


def base_without(args: argparse.Namespace, takes: dict[str, list[Utterance]], name: str) -> str:
    """Train a base on strings of all the others, unless the cache has it; returns the path of its model.pt."""
    described = (name, sorted(takes), args.base_minutes, *args.train)
    folder = storage.absolute(storage.join(args.cache, f"digits-{digest(repr(described))}"))
    parts: dict[str, list[Utterance]] = {"train": [], "valid": []}
    for other in sorted(takes.keys() - {name}):
        valid, train = divided(takes[other], VALID_SHARE)
        parts["valid"] += strings(valid, f"{other}-valid", count=20)
        parts["train"] += strings(train, f"{other}-train", minutes=args.base_minutes)
    for part, utterances in parts.items():
        if not storage.exists(storage.join(folder, f"{part}.parquet")):
            write_manifest(storage.join(folder, f"{part}.parquet"), utterances)
    say(f"training a base without {name}, or finding it trained …")
    run_training(
        *("train=demo", "model=tiny", f"audio.sample_rate_hz={RATE_HZ}", f"train.manifest={folder}/train.parquet"),
        *(f"train.valid_manifest={folder}/valid.parquet", f"train.output_dir={folder}"),
        *(f"storage.root={folder}/store", *args.train),
    )
    return f"{folder}/model.pt"


def divided(takes: Sequence[Utterance], share: float) -> tuple[list[Utterance], list[Utterance]]:
    """The first share of the takes of each digit, and the rest."""
    by_digit: dict[str, list[Utterance]] = defaultdict(list)
    for take in sorted(takes, key=lambda take: digest(take.utterance_id)):
        by_digit[take.transcript].append(take)
    first = [take for own in by_digit.values() for take in own[: max(1, round(share * len(own)))]]
    rest = [take for own in by_digit.values() for take in own[max(1, round(share * len(own))) :]]
    return first, rest


def strings(takes: Sequence[Utterance], name: str, count: int = 0, minutes: float = 0.0) -> list[Utterance]:
    """So many strings of digits, or so many minutes of them; the name decides on all draws."""
    draws = random.Random(name)
    waveforms = {take.utterance_id: read_waveform(take.audio, RATE_HZ) for take in takes}
    joined: list[Utterance] = []
    seconds = 0.0
    while len(joined) < count or seconds < 60 * minutes:
        chosen = draws.choices(takes, k=draws.randint(*DIGITS))
        waveform = string_of([waveforms[take.utterance_id] for take in chosen], draws)
        seconds += len(waveform) / RATE_HZ
        joined.append(
            Utterance(
                utterance_id=f"{name}-{len(joined):04d}",
                user_id=chosen[0].user_id,
                audio=_wav(waveform),
                duration_s=len(waveform) / RATE_HZ,
                transcript=" ".join(take.transcript for take in chosen),
                line=len(joined) + 1,
            )
        )
    return joined


def string_of(takes: Sequence[np.ndarray], draws: random.Random) -> np.ndarray:
    """Takes one after the other, with pauses of their own background: float32 [num_samples]."""
    background = min((quietest(take) for take in takes), key=lambda part: float(np.square(part).mean()))
    pieces = [pause(background, draws.uniform(*AROUND_S))]
    for number, take in enumerate(takes):
        if number:
            pieces.append(pause(background, draws.uniform(*PAUSE_S)))
        pieces.append(take)
    pieces.append(pause(background, draws.uniform(*AROUND_S)))
    return np.concatenate(pieces)


def quietest(take: np.ndarray) -> np.ndarray:
    """The quietest stretch of a take."""
    size = round(QUIET_S * RATE_HZ)
    parts = [take[start : start + size] for start in range(0, len(take) - size + 1, size)] or [take]
    return min(parts, key=lambda part: float(np.square(part).mean()))


def pause(background: np.ndarray, seconds: float) -> np.ndarray:
    """Background over and over, forwards and backwards so that it has no edges."""
    both = np.concatenate([background, background[::-1]])
    return np.resize(both, round(seconds * RATE_HZ)).astype(np.float32)


def _wav(waveform: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, RATE_HZ, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


if __name__ == "__main__":
    main()
