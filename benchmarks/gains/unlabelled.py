"""Speech without transcripts: the share of the labelled gain that it recovers, and whether it makes anybody worse.

Each user has a few sentences with transcripts, which training and the gate need, and all others without. `few` learns
from the former alone, `heard` also from what is recognised in the others, night after night: in the first by the base
alone, then by the adapter that the user has; both with a language model of the base's own texts and a calibrated
confidence. `labelled` has all transcripts. Test sentences are others, and decoded greedily.

`recovered` is the share of what `labelled` gains over the base that `heard` gains, and `recovered_beyond_few` the share
of what it gains over `few`: the bar, 40 %, is for the latter. `wrong_words` are the wrong ones of those that were
learned from. `worse` counts users whose words are worse than the base's beyond chance.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace

import torch

from benchmarks.common import CACHE, emit, say
from benchmarks.full_tuning import hear, scores_of
from benchmarks.real_people.people import NUM_FOLDS, SPEECH, VALID_PEOPLE, read_people
from benchmarks.real_people.work import sentences_apart
from benchmarks.speech import Speaker, base_corpus, speakers, trained_base
from ds2ray import storage
from ds2ray.commands import calibrate, language_model
from ds2ray.config import AdaptConfig, AdapterConfig, CalibrateJob, DataConfig, LanguageModelJob, StorageConfig
from ds2ray.demo.gains import Comparison
from ds2ray.metrics import Score
from ds2ray.model.adapters.kinds import build_adapter
from ds2ray.model.stored import open_base, publish_base
from ds2ray.model.weights import Base
from ds2ray.recognition.opening import open_listener
from ds2ray.store import Store
from ds2ray.tables.manifest import Utterance, read_manifest, write_manifest
from ds2ray.training.adapters.cohort import CohortResult, adapt_cohort, results_of
from ds2ray.training.adapters.judging.gate import CurrentAdapter
from ds2ray.training.adapters.listening import Listener

LEAST_RECOVERED = 0.4
NUM_ADAPT, NUM_TEST = 14, 6
"""Sentences of each person of so762."""

Scores = dict[str, tuple[Score, ...]]
"""A score for each test sentence, by user."""


@dataclass(frozen=True)
class Given:
    """The users of a set, their base, the texts of its training half, and speech for the calibration."""

    base: str
    users: list[Speaker]
    texts: list[str]
    valid: list[Utterance]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=["demo", "so762"], default="demo")
    parser.add_argument("--base", default="", help="a model.pt; empty: the demo's, trained if need be")
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=1.3, help="of speech per user of the demo's kind")
    parser.add_argument("--test-sentences", type=int, default=25, help="per user of the demo's kind")
    parser.add_argument("--base-sentences", type=int, default=400, help="that the demo's base is trained on")
    parser.add_argument("--transcribed", type=int, default=AdaptConfig.min_utterances, help="sentences of each user")
    parser.add_argument("--nights", type=int, default=2)
    parser.add_argument("--confidence", type=float, default=AdaptConfig.unlabelled_confidence)
    parser.add_argument("--share", type=float, default=AdaptConfig.unlabelled_share)
    parser.add_argument("--epochs", type=int, default=AdaptConfig.num_epochs)
    parser.add_argument("--cache", default=CACHE, help="keeps speech and base between runs")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    given = of_demo(args) if args.set == "demo" else of_people(args)
    adapt = AdaptConfig(
        num_epochs=args.epochs, unlabelled_confidence=args.confidence, unlabelled_share=args.share, patience_epochs=10
    )
    with tempfile.TemporaryDirectory() as root:
        store, base = opened(given, root)
        bench = Unlabelled(base, given.users, adapt)
        fields = bench.compare(open_listener(store, base, args.confidence), args.transcribed, args.nights)
    missed = falls_short(fields)
    name = "unlabelled" + (f"-{args.set}" if args.set != "demo" else "")
    emit(name, {"set": args.set, "transcribed": args.transcribed, **fields, "falls_short": missed}, args.save)


def of_demo(args: argparse.Namespace) -> Given:
    """Users with the demo's accents."""
    ordinary = base_corpus(args.cache, args.base_sentences, 40)
    base = storage.absolute(args.base) if args.base else trained_base(args.cache, ordinary)
    users = speakers(args.cache, args.users, args.minutes, args.test_sentences, ordinary)
    return Given(base, users, [ordinary.train_manifest], read_manifest(ordinary.valid_manifest).utterances)


def of_people(args: argparse.Namespace) -> Given:
    """People of so762 whom the base has not heard, and texts that others have read."""
    if not args.base:
        raise SystemExit("--set so762 needs --base: a model.pt of bench-people")
    people = read_people(str(SPEECH))
    unseen = people[0::NUM_FOLDS]
    seen = [person for person in people if person not in unseen]
    taken = frozenset(u.transcript for person in seen for u in person.utterances)
    users = [Speaker(p.user_id, *sentences_apart(p.utterances, NUM_ADAPT, NUM_TEST, taken)) for p in unseen]
    said = [u.transcript for person in seen[VALID_PEOPLE:] for u in person.utterances]
    uri = storage.absolute(storage.join(args.cache, "unlabelled-texts.txt"))
    storage.write_bytes(uri, "".join(f"{sentence}\n" for sentence in said).encode())
    valid = [u for person in seen[:VALID_PEOPLE] for u in person.utterances]
    return Given(storage.absolute(args.base), [u for u in users if u.test][: args.users], [uri], valid)


def opened(given: Given, root: str) -> tuple[Store, Base]:
    """A store with the base, its language model and its calibration."""
    store = Store(root)
    base = open_base(store, given.base)
    publish_base(store, base, "benchmark", {})
    manifest = storage.join(root, "valid.parquet")
    write_manifest(manifest, given.valid, audio_relative=False)
    with redirect_stdout(sys.stderr):  # stdout is for the result alone
        language_model.run(LanguageModelJob(texts=given.texts, storage=StorageConfig(root=root)))
        calibrate.run(CalibrateJob(manifest=manifest, data=DataConfig(), storage=StorageConfig(root=root)))
    return store, base


class Unlabelled:
    """Adapters of the users in all ways, and their errors on the test sentences."""

    def __init__(self, base: Base, users: Sequence[Speaker], adapt: AdaptConfig) -> None:
        self.base, self.users, self.adapt = base, users, adapt
        self.adapter = AdapterConfig()
        self.heard = {user.user_id: hear(base, user.test) for user in users}

    def compare(self, listener: Listener, transcribed: int, nights: int) -> dict[str, object]:
        """All fields of the result."""
        whole = {user.user_id: user.adapt for user in self.users}
        few = {user: own[:transcribed] for user, own in whole.items()}
        without = {
            user: [*own[:transcribed], *(replace(one, transcript="") for one in own[transcribed:])]
            for user, own in whole.items()
        }
        found = {"base": self.scores({}), "labelled": self.scores(self.published(whole, {}))}
        found["few"] = self.scores(self.published(few, {}))
        current: dict[str, CurrentAdapter] = {}
        num_heard: list[int] = []
        for night in range(1, nights + 1):
            current = self.published(without, current, listener, num_heard)
            found[f"heard_{night}"] = self.scores(current)
        wer = {name: 100 * _sum(scores).words.rate() for name, scores in found.items()}
        for name, rate in wer.items():
            say(f"{name}: WER {rate:.2f} %")
        last = f"heard_{nights}"
        return {
            "users": len(self.users),
            "words": _sum(found["base"]).words.reference_length,
            "wer": wer,
            "recovered": _share(wer["base"], wer[last], wer["labelled"]),
            "recovered_beyond_few": _share(wer["few"], wer[last], wer["labelled"]),
            "worse": {
                name: sum(Comparison(found["base"][user], scores[user]).harmed() for user in scores)
                for name, scores in found.items()
                if name != "base"
            },
            "utterances_heard": num_heard,
            "untranscribed": sum(len(own) - transcribed for own in whole.values()),
        }

    def published(
        self,
        speech: Mapping[str, Sequence[Utterance]],
        current: Mapping[str, CurrentAdapter],
        listener: Listener | None = None,
        num_heard: list[int] | None = None,
    ) -> dict[str, CurrentAdapter]:
        """The adapters that users have after a night, those of before where the gate kept the new ones back."""
        results: list[CohortResult] = list(
            results_of(
                adapt_cohort(self.base, speech, self.adapter, self.adapt, open_current=current.get, listener=listener)
            )
        )
        if num_heard is not None:
            num_heard.append(sum(result.num_heard for result in results))
        found = dict(current)
        for result in results:
            if result.fit is None:
                raise RuntimeError(f"{result.user_key} could not be trained: {result.reason}")
            if result.better:
                adapter = build_adapter(self.base.model.encoding_dim(self.adapter.after_layer), self.adapter)
                adapter.load_state_dict(result.fit.state)
                metric = self.adapt.gate_metric
                ratio = result.fit.score_after.rate(metric) / max(1e-9, result.fit.score_before.rate(metric))
                found[result.user_key] = CurrentAdapter(adapter.eval(), ratio, "", None)
        return found

    def scores(self, adapters: Mapping[str, CurrentAdapter]) -> Scores:
        """Those of all users, by their adapters or, where there is none, by the base alone."""
        found = {}
        for user, test in self.heard.items():
            if user in adapters:
                self.base.model.add_adapter(self.adapter)
                assert self.base.model.adapter is not None
                self.base.model.adapter.load_state_dict(adapters[user].adapter.state_dict())
            found[user] = tuple(scores_of(self.base.model, test, self.base.vocabulary))
            self.base.model.adapter = None
        return found


def falls_short(fields: Mapping[str, object]) -> list[str]:
    """The bars that are missed."""
    share, worse = fields["recovered_beyond_few"], fields["worse"]
    missed = [] if isinstance(share, float) and share >= LEAST_RECOVERED else ["recovered_beyond_few"]
    return missed + (["nobody_worse"] if isinstance(worse, dict) and list(worse.values())[-1] else [])


def _sum(scores: Scores) -> Score:
    return sum((one for own in scores.values() for one in own), Score())


def _share(before: float, after: float, best: float) -> float | None:
    return (before - after) / (before - best) if before > best else None


if __name__ == "__main__":
    main()
