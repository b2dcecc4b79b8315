"""The sets of the benchmark of decoders: what `make demo` has made, digits by a man whom the base never heard, and
people whom it never heard; each a store with a base and users' adapters, test sentences, others to choose weights on,
and the texts of the training half, which a language model is made of."""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.real_people.base import base_of_people
from benchmarks.real_people.digits import TAKES, TEST_SHARE, VALID_SHARE, base_without, divided, strings
from benchmarks.real_people.people import NUM_FOLDS, SPEECH, VALID_PEOPLE, Person, read_people
from benchmarks.real_people.work import sentences_apart
from benchmarks.recognition.robust import adapted
from benchmarks.speech import Speaker, digest
from ds2ray import storage
from ds2ray.config import AdaptConfig
from ds2ray.tables.manifest import Utterance, read_manifest

DEMO = (
    "demo",
    "demo-data/store",
    "demo-data/corpus/test.csv",
    "demo-data/corpus/valid.csv",
    "demo-data/corpus/train.csv",
)
WHO, MINUTES, BASE_MINUTES = "nicolas", 1.0, 12.0
"""Who of the digits' people is left out of the base, and the speech of the adapter and of each of the base's people."""
NUM_ADAPT, NUM_TEST = 14, 6
"""Sentences of each person of so762."""


@dataclass(frozen=True)
class Spoken:
    """A set.

    Attributes:
        root: of the store.
        test: sentences that are reported.
        valid: sentences that weights are chosen on; of none of the tested people, but for the demo's.
        texts: URIs of texts of the training half.
    """

    name: str
    root: str
    test: list[Utterance]
    valid: list[Utterance]
    texts: list[str]


def of_files(name: str, root: str, test: str, valid: str, texts: str) -> Spoken:
    """A set out of a store and manifests that are there."""
    return Spoken(name, root, read_manifest(test).utterances, read_manifest(valid).utterances, [texts])


def digits(cache: str, base: str = "", takes_uri: str = str(TAKES)) -> Spoken:
    """Strings of digits, by a man whom the base has not heard and who adapts to a minute of speech.

    Args:
        base: a model.pt; empty: trained if need be.
    """
    takes: dict[str, list[Utterance]] = defaultdict(list)
    for take in read_manifest(takes_uri).utterances:
        takes[take.user_id].append(take)
    wanted = argparse.Namespace(base_minutes=BASE_MINUTES, train=(), cache=cache)
    uri = storage.absolute(base) if base else base_without(wanted, takes, WHO)
    test_takes, adapt_takes = divided(takes[WHO], TEST_SHARE)
    test = strings(test_takes, f"{WHO}-test", count=60)
    person = Speaker(WHO, strings(adapt_takes, f"{WHO}-adapt", minutes=MINUTES), test)
    valid, said = [], []
    for other in sorted(takes.keys() - {WHO}):
        of_valid, of_train = divided(takes[other], VALID_SHARE)
        valid += strings(of_valid, f"{other}-valid", count=20)
        said += strings(of_train, f"{other}-train", minutes=BASE_MINUTES)
    root = adapted(uri, [person], AdaptConfig.num_epochs, cache)
    return Spoken("digits", root, test, valid, [_texts(cache, [utterance.transcript for utterance in said])])


def so762(cache: str, base: str = "", num_people: int = 0, folder: str = str(SPEECH)) -> Spoken:
    """Sentences that a fifth of the people read, whom the base has not heard.

    Args:
        base: a model.pt; empty: trained if need be.
        num_people: of these, at most; 0: all.
    """
    people = read_people(folder)
    unseen = people[0::NUM_FOLDS]
    seen = [person for person in people if person not in unseen]
    valid, train = _spoken(seen[:VALID_PEOPLE]), _spoken(seen[VALID_PEOPLE:])
    uri = storage.absolute(base) if base else base_of_people(cache, train, valid, []).path
    taken = frozenset(utterance.transcript for utterance in [*valid, *train])
    speakers = [
        Speaker(p.user_id, *sentences_apart(p.utterances, NUM_ADAPT, NUM_TEST, taken))
        for p in unseen[: num_people or None]
    ]
    root = adapted(uri, [speaker for speaker in speakers if speaker.test], AdaptConfig.num_epochs, cache)
    texts = _texts(cache, [utterance.transcript for utterance in train])
    return Spoken("so762", root, [u for speaker in speakers for u in speaker.test], valid, [texts])


def _texts(cache: str, sentences: Sequence[str]) -> str:
    """The URI of a text of these sentences."""
    uri = storage.absolute(storage.join(cache, f"texts-{digest(repr(sentences))}.txt"))
    storage.write_bytes(uri, "".join(f"{sentence}\n" for sentence in sentences).encode())
    return uri


def _spoken(people: Sequence[Person]) -> list[Utterance]:
    return [utterance for person in people for utterance in person.utterances]
