"""Is anybody worse off? Many adaptations of voices that the base knows and of new ones, with little speech and more.

An adapter is scored whatever the gate says of it, so that one run tells of every gate: `gates` has the figures by the
least probability of an improvement that is asked for, 0 being a gate that asks for no worse held-out errors alone. The
headline is that of `adapt.gate_confidence`. `known` voices of the demo are those of its base's corpus, with sentences
that it has not heard, `new` ones are accents; of the digits one person is left out of the base, and of the people who
read sentences those are adapted whom `--people-base` has never heard. WERs are in percent, on test sentences that
neither training nor gate saw.

Bars: harmed beyond chance at most 1 %, nobody by more than 2 points of WER on at least 100 test words, and at most
10 % of those who would gain beyond chance wrongly refused.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from benchmarks.common import CACHE, emit, fresh_processes, say
from benchmarks.gains.harm_work import Adaptation, adapt_and_score, falls_short, figures
from benchmarks.gains.quality_work import one_thread
from benchmarks.real_people import digits, people
from benchmarks.real_people.work import sentences_apart
from benchmarks.recipes import numbers, parse_recipe
from benchmarks.speech import Speaker, base_corpus, known_speakers, speakers, trained_base
from ds2ray import storage
from ds2ray.tables.manifest import Utterance, read_manifest

CONFIDENCES = (0.0, 0.5, 0.8, 0.9, 0.95)
ADAPT_SENTENCES, TEST_SENTENCES = 14, 6
"""Of people who read sentences, who have only twenty."""


@dataclass(frozen=True)
class Source:
    """Users of one kind and the base that they adapt."""

    kind: str
    base_path: str
    users: Sequence[Speaker]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--known", type=int, default=32, help="users with the voices of the demo's base")
    parser.add_argument("--new", type=int, default=24, help="users with the demo's accents")
    parser.add_argument("--people", type=int, default=25, help="users who read sentences, at most")
    parser.add_argument("--people-base", default="", help="their base, a model.pt; empty: no such users")
    parser.add_argument("--people-heard", default="", help="a manifest of the speech that it was trained on")
    parser.add_argument("--left-out", default="nicolas", help="who is new to the base of digits; empty: no digits")
    parser.add_argument("--base-minutes", type=float, default=12.0, help="of each of the others, for that base")
    parser.add_argument("--train", nargs="*", default=[], help="settings of jobs/train.py for it, key=value …")
    parser.add_argument("--minutes", default="0.5,1,2,4", help="of speech for the adapter")
    parser.add_argument("--test-sentences", type=int, default=40, help="of each user of the demo")
    parser.add_argument("--recipe", default="default", help="name=key=value,…")
    parser.add_argument("--base-sentences", type=int, default=400, help="sentences that the demo's base is trained on")
    parser.add_argument("--base", default="", help="the demo's, a model.pt; empty: trained if need be")
    parser.add_argument("--workers", type=int, default=2, help="processes, of one thread each")
    parser.add_argument("--cache", default=CACHE, help="keeps speech and bases between runs")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    if args.people_base and not args.people_heard:
        parser.error("--people-base needs --people-heard=…, the manifest of its training, to know who is new to it")
    recipe = parse_recipe(args.recipe)
    sources = list(_sources(args))
    with ProcessPoolExecutor(args.workers, mp_context=fresh_processes(), initializer=one_thread) as pool:
        work = [
            pool.submit(adapt_and_score, source.base_path, source.kind, user, minutes, recipe)
            for source in sources
            for user in source.users
            for minutes in _amounts(user, numbers(args.minutes))
        ]
        done: list[Adaptation] = []
        for number, one in enumerate(work, start=1):
            done.append(one.result())
            say(f"{number} of {len(work)} adaptations")
    found = figures(done, recipe.adapt.gate_confidence)
    kinds = {source.kind: [one for one in done if one.kind == source.kind] for source in sources}
    fields = {
        **found,
        "gate_confidence": recipe.adapt.gate_confidence,
        "falls_short": falls_short(found),
        "gates": {f"{confidence:g}": figures(done, confidence) for confidence in CONFIDENCES},
        "by_kind": {kind: figures(some, recipe.adapt.gate_confidence) for kind, some in kinds.items()},
    }
    emit("harm", fields, args.save)


def _amounts(user: Speaker, minutes: Sequence[float]) -> list[float]:
    """Minutes, but for those that the user has not more speech for than for the ones before."""
    sizes = [len(user.with_minutes(one).adapt) for one in sorted(minutes)]
    return [one for place, one in enumerate(sorted(minutes)) if sizes[place] not in sizes[:place]]


def _sources(args: argparse.Namespace) -> Iterator[Source]:
    if args.known or args.new:
        ordinary = base_corpus(args.cache, args.base_sentences, 40)
        base_path = storage.absolute(args.base) if args.base else trained_base(args.cache, ordinary)
        minutes = max(numbers(args.minutes))
        if args.known:
            users = known_speakers(args.cache, args.known, minutes, args.test_sentences, ordinary)
            yield Source("demo known", base_path, users)
        if args.new:
            users = speakers(args.cache, args.new, minutes, args.test_sentences, ordinary)
            yield Source("demo new", base_path, users)
    if args.people_base:
        heard = read_manifest(args.people_heard).utterances
        yield Source("people new", storage.absolute(args.people_base), new_people(args.people, heard))
    if args.left_out and digits.TAKES.exists():
        yield from _of_digits(args)


def new_people(count: int, heard: Sequence[Utterance]) -> list[Speaker]:
    """People whom a base has not heard, with sentences that it has not heard either."""
    known, taken = {u.user_id for u in heard}, frozenset(u.transcript for u in heard)
    unseen = [person for person in people.read_people(str(people.SPEECH)) if person.user_id not in known]
    users = [
        Speaker(one.user_id, *sentences_apart(one.utterances, ADAPT_SENTENCES, TEST_SENTENCES, taken))
        for one in unseen[:count]
    ]
    return [user for user in users if user.test]


def _of_digits(args: argparse.Namespace) -> Iterator[Source]:
    """One who is new to the base of the others, and those, whose tested takes it has not heard."""
    takes: dict[str, list[Utterance]] = defaultdict(list)
    for take in read_manifest(str(digits.TAKES)).utterances:
        takes[take.user_id].append(take)
    base_path = digits.base_without(args, takes, args.left_out)
    minutes = max(numbers(args.minutes))

    def user(name: str, test_share: float) -> Speaker:
        test, adapt = digits.divided(takes[name], test_share)
        spoken = digits.strings(adapt, f"{name}-adapt", minutes=minutes)
        return Speaker(name, spoken, digits.strings(test, f"{name}-test", count=args.test_sentences))

    yield Source("digits new", base_path, [user(args.left_out, digits.TEST_SHARE)])
    others = sorted(takes.keys() - {args.left_out})
    yield Source("digits known", base_path, [user(name, digits.VALID_SHARE) for name in others])


if __name__ == "__main__":
    main()
