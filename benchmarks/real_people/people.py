"""Real people: a base trained on some, and adapters for others whom it has never heard.

The speech beside the checkout is that of 125 people who read 20 English sentences each. A fold's base is trained on
100 of them; each of the other 25 adapts to 14 sentences (about 50 s) and is tested on up to 6, of which neither the
base nor the person has trained on any. `full` is a copy of the base with all weights tuned, at the learning rate of
the best held-out loss on two of the people. Errors are in percent, each with its 95 % interval over people.

Bars: the default recipe recovers 90 % of full tuning's gain in characters; nobody's words are worse beyond chance; the
base's CER on these unseen people is at most 38 %.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import CACHE, emit, fresh_processes, say
from benchmarks.full_tuning import FullRecipe
from benchmarks.gains.quality_work import one_thread
from benchmarks.real_people.base import VOICES_H, PeopleBase, base_of_people, epochs_in
from benchmarks.real_people.gains import figures
from benchmarks.real_people.work import PersonScores, Setting, score_person, sentences_apart, tuned_loss
from benchmarks.recipes import Recipe, mean, numbers, parse_recipe
from benchmarks.speech import Speaker, digest
from ds2ray import storage
from ds2ray.config import DataConfig
from ds2ray.tables.manifest import Utterance
from ds2ray.tables.users import read_users

SPEECH = Path(__file__).resolve().parents[3] / "shared" / "speech" / "so762"
RECIPES = ("default", "last=after_layer=-1,num_epochs=20,learning_rate=0.002")
NUM_FOLDS, VALID_PEOPLE, OTHERS = 5, 5, 40
CHILD_YEARS = 13
MIN_RECOVERED, MAX_CER = 0.9, 38.0


@dataclass(frozen=True)
class Person:
    """One person of the corpus."""

    user_id: str
    age: int
    utterances: list[Utterance]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", default=str(SPEECH), help="users.csv and speakers.csv (default: %(default)s)")
    parser.add_argument("--fold", type=int, default=0, help="which fifth of the people the base never hears")
    parser.add_argument("--folds", type=int, default=1, help=f"so many folds, at most {NUM_FOLDS}, one after the other")
    parser.add_argument("--people", type=int, default=0, help="of the whole corpus, at most; 0: all")
    parser.add_argument("--adapt-sentences", type=int, default=14)
    parser.add_argument("--test-sentences", type=int, default=6, help="at most")
    parser.add_argument("--recipes", nargs="+", default=RECIPES, help="adapters: name=key=value,…; the first counts")
    parser.add_argument(
        "--full-rates", default="0.0003,0.001", help="learning rates that full tuning tries; empty: none"
    )
    parser.add_argument("--base", default="", help="a model.pt for every fold; empty: trained if need be")
    parser.add_argument(
        "--hours", type=float, default=0.0, help="of two CPU cores for the base, about; 0: as train=real_people has it"
    )
    parser.add_argument("--voices-hours", type=float, default=VOICES_H, help="of synthetic voices, before people")
    parser.add_argument("--train", nargs="*", default=[], help="settings of jobs/train.py for the base, key=value …")
    parser.add_argument("--workers", type=int, default=2, help="processes, of one thread each")
    parser.add_argument("--cache", default=CACHE, help="keeps bases between runs")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    if not storage.exists(storage.join(args.speech, "users.csv")):
        parser.error(f"there is no {args.speech}/users.csv; --speech=… takes a folder of that kind")
    people = read_people(args.speech)[: args.people or None]
    recipes = tuple(parse_recipe(text) for text in args.recipes)
    scores: list[PersonScores] = []
    costs: list[float | None] = []
    for fold in range(args.fold, min(args.fold + args.folds, NUM_FOLDS)):
        of_this, base_cpu_s = of_fold(args, people, fold, recipes)
        scores += of_this
        costs.append(base_cpu_s)
    fields = {name: getattr(args, name) for name in ("fold", "folds", "adapt_sentences", "test_sentences")}
    fields["base_cpu_s"] = costs
    names = [recipe.name for recipe in recipes]
    ages = {person.user_id: person.age for person in people}
    groups = {
        "children": [one for one in scores if ages[one.user_id] < CHILD_YEARS],
        "adults": [one for one in scores if ages[one.user_id] >= CHILD_YEARS],
    }
    found = figures(scores, names)
    by_age = {group: figures(some, names) for group, some in groups.items() if some}
    emit("people", {**fields, **found, "by_age": by_age, "falls_short": falls_short(found, names[0])}, args.save)


def read_people(folder: str) -> list[Person]:
    """All people of the corpus, in an order that depends on their names alone and mixes ages."""
    with open(storage.join(folder, "speakers.csv"), encoding="utf-8") as table:
        ages = {row["user_id"]: int(row["age"]) for row in csv.DictReader(table)}
    users, _ = read_users(storage.join(folder, "users.csv"), DataConfig())
    people = [Person(user.user_id, ages[user.user_id], user.utterances) for user in users]
    return sorted(people, key=lambda person: digest(person.user_id))


def of_fold(
    args: argparse.Namespace, people: Sequence[Person], fold: int, recipes: Sequence[Recipe]
) -> tuple[list[PersonScores], float | None]:
    """Train the fold's base, and score all people whom it has not heard; also the CPU seconds of the base."""
    unseen = people[fold::NUM_FOLDS]
    seen = [person for person in people if person not in unseen]
    valid, train = seen[:VALID_PEOPLE], seen[VALID_PEOPLE:]
    base = PeopleBase(storage.absolute(args.base), None)
    if not args.base:
        length = [f"train.num_epochs={epochs_in(args.hours)}"] if args.hours else []
        base = base_of_people(
            args.cache, _utterances(train), _utterances(valid), [*length, *args.train], args.voices_hours
        )
    taken = frozenset(utterance.transcript for utterance in _utterances(seen))
    speakers = [
        Speaker(person.user_id, *sentences_apart(person.utterances, args.adapt_sentences, args.test_sentences, taken))
        for person in unseen
    ]
    speakers = [speaker for speaker in speakers if speaker.test]
    others = tuple(_utterances(valid)[:OTHERS])
    with ProcessPoolExecutor(args.workers, mp_context=fresh_processes(), initializer=one_thread) as pool:
        full = None
        if rates := numbers(args.full_rates):
            losses = defaultdict(list)
            for rate in rates:
                for pilot in speakers[:2]:
                    losses[rate].append(pool.submit(tuned_loss, base.path, pilot, FullRecipe(rate), recipes[0]))
            full = FullRecipe(min(rates, key=lambda rate: mean([work.result() for work in losses[rate]])))
            say(f"full tuning at {full.learning_rate:g}")
        setting = Setting(base.path, tuple(recipes), full, others)
        work = [pool.submit(score_person, setting, speaker) for speaker in speakers]
        scores = []
        for number, one in enumerate(work, start=1):
            scores.append(one.result())
            say(f"fold {fold}: {number} of {len(work)} people")
    return scores, base.cpu_s


def _utterances(people: Sequence[Person]) -> list[Utterance]:
    return [utterance for person in people for utterance in person.utterances]


def falls_short(found: dict[str, Any], recipe: str) -> list[str]:
    """The names of the bars that are missed."""
    of_default = found["recipes"][recipe]
    missed = {
        "gain_recovered": (of_default.get("gain_recovered") or 0.0) < MIN_RECOVERED,
        "nobody_worse": of_default["worse_beyond_chance"] > 0,
        "cer_base": found["cer_base"][0] > MAX_CER,
    }
    return [name for name, is_missed in missed.items() if is_missed]


if __name__ == "__main__":
    main()
