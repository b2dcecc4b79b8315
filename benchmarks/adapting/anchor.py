"""What adapters forget, and what an anchor costs: errors on ordinary speech and on the user's own, by its weight.

The same users are trained as one cohort in one thread with each recipe, where `anchor_weight=0` has an anchor that is
only judged and `none` has no anchor at all. The anchor is of the base's training speech; ordinary speech is other
sentences of the same voices, and test sentences of the users are ones that neither training nor the gate has seen.
`rise` is in points of WER on ordinary speech and `gain` on the users' own, means of all adapters, whatever the gate
says of them; `gain_share` is the share of the gain of the first recipe, and `cost` that of its CPU seconds, encoding
the users' speech left out.

Bars of the last recipe: rise <= 1, gain_share >= 0.95, cost <= 1.1.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.adapting.adapt import base_named
from benchmarks.common import CACHE, emit, say
from benchmarks.full_tuning import Heard, hear, scores_of
from benchmarks.recipes import Recipe, mean, parse_recipe
from benchmarks.speech import Speaker, base_corpus, speakers
from ds2ray.fleet.anchor_speech import spread
from ds2ray.metrics import Score
from ds2ray.model.files import load_model_file
from ds2ray.model.weights import Base
from ds2ray.tables.manifest import Utterance, read_manifest
from ds2ray.training.adapters.anchor import encode_anchor
from ds2ray.training.adapters.cohort import adapt_cohort, results_of
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.adapters.judging.results import AdapterFit
from ds2ray.training.adapters.progress import StageClock

RECIPES = ("none=", "judged=anchor_weight=0", "twice=anchor_weight=0.8", "now=")
BARS = {"rise": 1.0, "cost": 1.1}
GAIN_BAR = 0.95


@dataclass(frozen=True)
class Fleet:
    """The users, their test sentences, and ordinary speech: the anchor's, and other sentences."""

    base: Base
    users: Sequence[Speaker]
    tests: Sequence[Heard]
    anchor: Sequence[Utterance]
    ordinary: Heard

    def score(self, heard: Heard) -> Score:
        return sum(scores_of(self.base.model, heard, self.base.vocabulary), Score())

    def row(self, recipe: Recipe) -> dict[str, Any]:
        """The figures of a recipe."""
        clock = StageClock()
        encoder = Encoder(self.base, recipe.adapter.after_layer)
        anchor = None if recipe.name == "none" else encode_anchor(self.base, self.anchor, encoder, recipe.adapt)
        started_s = time.process_time()
        speech = {user.user_id: user.adapt for user in self.users}
        events = adapt_cohort(self.base, speech, recipe.adapter, recipe.adapt, stages=clock, anchor=anchor)
        results = {one.user_key: one for one in results_of(events)}
        encode_s = sum(clock.seconds[stage] for stage in ("read", "mel", "encode"))
        seconds = time.process_time() - started_s - encode_s
        of_base = self.score(self.ordinary).words.rate()
        metric = recipe.adapt.gate_metric
        gains, rises, judged = [], [], []
        for user, heard in zip(self.users, self.tests, strict=True):
            fit = results[user.user_id].fit
            if fit is None:
                raise RuntimeError(f"{user.user_id} could not be trained: {results[user.user_id].reason}")
            before = self.score(heard).words.rate()
            after, ordinary = self._through(fit, recipe, heard)
            gains.append(before - after)
            rises.append(ordinary - of_base)
            judged.append(fit.anchor.rise(metric) if fit.anchor else 0.0)
        figures = {
            "train_s": seconds / len(self.users),
            "gain": 100 * mean(gains),
            "rise": 100 * mean(rises),
            "most": 100 * max(rises),
            "rise_judged": 100 * mean(judged),
            "published": sum(one.better for one in results.values()),
        }
        say(f"{recipe.name}: " + ", ".join(f"{name} {value:.3g}" for name, value in figures.items()))
        return {"recipe": recipe.name, "changed": recipe.changed, **figures}

    def _through(self, fit: AdapterFit, recipe: Recipe, heard: Heard) -> tuple[float, float]:
        """WER of a user's test sentences and of ordinary speech through the adapter."""
        model = self.base.model
        model.add_adapter(recipe.adapter)
        assert model.adapter is not None
        model.adapter.load_state_dict(fit.state)
        rates = self.score(heard).words.rate(), self.score(self.ordinary).words.rate()
        model.adapter = None
        return rates


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=8, help="users of the cohort")
    parser.add_argument("--voices", type=int, default=24, help="voices that these are the first of")
    parser.add_argument("--minutes", type=float, default=1.2, help="speech per user")
    parser.add_argument("--test-sentences", type=int, default=20, help="per user, for the WER")
    parser.add_argument("--recipes", nargs="+", default=RECIPES, help="name=key=value,…; the first is the reference")
    parser.add_argument("--base", default="trained", help="`trained` on the demo's voices, or a model.pt")
    parser.add_argument("--cache", default=CACHE, help="keeps speech and base between runs")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    recipes = [parse_recipe(text) for text in args.recipes]
    corpus = base_corpus(args.cache, 400, 40)
    users = speakers(args.cache, args.voices, args.minutes, args.test_sentences, corpus)[: args.users]
    users = [user.with_minutes(args.minutes) for user in users]
    base = load_model_file(base_named(args.base, "tiny", args.cache, corpus, users, ""))
    fleet = Fleet(
        base,
        users,
        [hear(base, user.test) for user in users],
        spread(read_manifest(corpus.train_manifest).utterances),
        hear(base, read_manifest(corpus.valid_manifest).utterances),
    )
    rows = [fleet.row(recipe) for recipe in recipes]
    figures = {
        "rise": rows[-1]["rise"],
        "gain_share": rows[-1]["gain"] / rows[0]["gain"],
        "cost": rows[-1]["train_s"] / rows[0]["train_s"],
    }
    short = [name for name, bar in BARS.items() if figures[name] > bar]
    short += ["gain_share"] * (figures["gain_share"] < GAIN_BAR)
    fields = {name: getattr(args, name) for name in ("users", "minutes", "base")}
    fields["wer_ordinary_base"] = 100 * fleet.score(fleet.ordinary).words.rate()
    emit("anchor", {**fields, **figures, "recipes": rows, "falls_short": short}, args.save)


if __name__ == "__main__":
    main()
