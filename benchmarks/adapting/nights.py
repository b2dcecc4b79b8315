"""Two nights of a fleet: a user's first, and one in which there is a tenth more speech.

Each recipe trains the same users twice in one process and thread, as cohorts do: first on nine tenths of their
speech, then on all of it, with the adapter of the first night as the one that they have. CPU seconds are per user,
those of reading and encoding apart; WER is that of sentences that nobody has trained on, with the adapter where the
gate lets it pass: as they are, two by two without a pause, and clipped. `new_cost` and `returning_cost` are CPU
seconds of the first and of the second night over those that the first recipe took for the first and for the second,
and `gain_share` is the share of the first recipe's gain (from the base's WER, second night).

Bars of the last recipe: new_cost <= 0.25, returning_cost <= 0.1, gain_share >= 0.95.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from benchmarks.adapting.adapt import base_named
from benchmarks.common import CACHE, emit, say
from benchmarks.full_tuning import Heard, scores_of
from benchmarks.recipes import Recipe, mean, parse_recipe
from benchmarks.speech import Speaker, base_corpus, speakers
from ds2ray.metrics import Score
from ds2ray.model.adapters.kinds import build_adapter
from ds2ray.model.files import load_model_file
from ds2ray.model.weights import Base
from ds2ray.sound.audio import read_waveform
from ds2ray.training.adapters.cohort import CohortResult, adapt_cohort, results_of
from ds2ray.training.adapters.judging.gate import CurrentAdapter
from ds2ray.training.adapters.judging.split import split_rule
from ds2ray.training.adapters.progress import StageClock

RECIPES = (
    "before=batch_size=8,num_epochs=20,warm_start=false",
    "now=",
)
NEW_SHARE = 0.9
"""Share of a user's speech that is there in the first night."""

BARS = {"new_cost": 0.25, "returning_cost": 0.1, "gain_share": 0.95}


@dataclass(frozen=True)
class Night:
    """A night's figures, per user: CPU seconds, those of reading and encoding among them, and WERs in percent."""

    seconds: float
    encode_s: float
    epochs: float
    published: float
    wers: dict[str, float]

    def described(self, name: str) -> dict[str, float]:
        values = {"s": self.seconds, "encode_s": self.encode_s, "epochs": self.epochs, "published": self.published}
        return {f"{name}_{key}": value for key, value in (values | self.wers).items()}


@dataclass(frozen=True)
class Fleet:
    """The users, and the speech that their adapters are judged on."""

    base: Base
    users: Sequence[Speaker]
    tests: Sequence[Mapping[str, Heard]]

    def wers(self, states: Sequence[dict[str, Any] | None], recipe: Recipe) -> dict[str, float]:
        """The WER of all users' test sentences, by kind, with adapters of these weights; None: by the base alone."""
        model = self.base.model
        scores: dict[str, Score] = {}
        for state, tests in zip(states, self.tests, strict=True):
            if state is not None:
                model.add_adapter(recipe.adapter)
                assert model.adapter is not None
                model.adapter.load_state_dict(state)
            for kind, heard in tests.items():
                scores[kind] = sum(scores_of(model, heard, self.base.vocabulary), scores.get(kind, Score()))
            model.adapter = None
        return {kind: 100 * score.words.rate() for kind, score in scores.items()}

    def night(self, recipe: Recipe, share: float, currents: dict[str, CurrentAdapter]) -> Night:
        """Adapt all users to a share of their speech; the adapters that pass the gate become their current ones."""
        spent = StageClock()
        results: dict[str, CohortResult] = {}
        speech = {user.user_id: user.adapt[: round(share * len(user.adapt))] for user in self.users}
        started_s = time.process_time()
        events = adapt_cohort(
            self.base, speech, recipe.adapter, recipe.adapt, open_current=dict(currents).get, stages=spent
        )
        for result in results_of(events):
            if result.fit is None:
                raise RuntimeError(f"{result.user_key} could not be trained: {result.reason}")
            results[result.user_key] = result
        seconds = time.process_time() - started_s
        model = self.base.model
        for user in self.users:
            result = results[user.user_id]
            if not result.better:
                continue
            assert result.fit is not None
            adapter = build_adapter(model.encoding_dim(recipe.adapter.after_layer), recipe.adapter)
            adapter.load_state_dict(result.fit.state)
            before, after = (
                s.rate(recipe.adapt.gate_metric) for s in (result.fit.score_before, result.fit.score_after)
            )
            currents[user.user_id] = CurrentAdapter(
                adapter,
                after / before if before else 1.0,
                split_rule(result.utterances_used, recipe.adapt),
                result.utterances_used,
            )
        states = [currents[u.user_id].adapter.state_dict() if u.user_id in currents else None for u in self.users]
        fits = [result.fit for result in results.values() if result.fit is not None]
        return Night(
            seconds=seconds / len(self.users),
            encode_s=sum(spent.seconds[stage] for stage in ("read", "mel", "encode")) / len(self.users),
            epochs=mean([float(fit.epochs) for fit in fits]),
            published=float(sum(result.better for result in results.values())),
            wers=self.wers(states, recipe),
        )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=24, help="users of the fleet")
    parser.add_argument("--minutes", type=float, default=2.0, help="speech per user in the second night")
    parser.add_argument("--recipes", nargs="+", default=RECIPES, help="name=key=value,…; the first is the reference")
    parser.add_argument("--model", default="tiny", help="shape of the base")
    parser.add_argument("--base", default="trained", help="`trained` on the demo's voices, or a model.pt")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each recipe, with seeds from 0 on")
    parser.add_argument("--test-sentences", type=int, default=20, help="per user, for the WER")
    parser.add_argument("--cache", default=CACHE, help="keeps speech and base between runs")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    recipes = [parse_recipe(text) for text in args.recipes]
    ordinary = base_corpus(args.cache, 400, 40)
    users = speakers(args.cache, args.users, args.minutes, args.test_sentences, ordinary)
    users = [user.with_minutes(args.minutes) for user in users]
    base = load_model_file(base_named(args.base, args.model, args.cache, ordinary, users, ""))
    fleet = Fleet(base, users, [tests_of(base, user) for user in users])
    of_base = fleet.wers([None] * len(users), recipes[0])
    rows = [row(fleet, recipe, seed) for recipe in recipes for seed in range(args.seeds)]
    table = [averaged(recipe, [one for one in rows if one["recipe"] == recipe.name]) for recipe in recipes]
    words = sum(len(u.transcript.split()) for user in users for u in user.test)
    fields = {"users": args.users, "minutes": args.minutes, "seeds": args.seeds, "base": args.base, "words": words}
    figures = against(table, of_base["wer"])
    short = [
        name for name, bar in BARS.items() if (figures[name] < bar if name == "gain_share" else figures[name] > bar)
    ]
    emit(
        "nights",
        {**fields, "base_alone": of_base, **figures, "recipes": table, "falls_short": short},
        args.save,
    )


def tests_of(base: Base, user: Speaker) -> dict[str, Heard]:
    """A user's test sentences as they are, two by two without a pause, and clipped 12 dB below their peaks."""
    spoken = [read_waveform(utterance.audio, base.audio.sample_rate_hz) for utterance in user.test]
    texts = [utterance.transcript for utterance in user.test]
    pairs = range(0, len(spoken) - 1, 2)
    joined = [np.concatenate(spoken[first : first + 2]) for first in pairs]
    clipped = [np.clip(4 * waveform, -np.abs(waveform).max(), np.abs(waveform).max()) for waveform in spoken]
    return {
        "wer": heard_of(base, spoken, texts),
        "wer_joined": heard_of(base, joined, [" ".join(texts[first : first + 2]) for first in pairs]),
        "wer_clipped": heard_of(base, clipped, texts),
    }


@torch.no_grad()
def heard_of(base: Base, waveforms: Sequence[np.ndarray], transcripts: list[str]) -> Heard:
    """Waveforms as the model hears them."""
    features = []
    for waveform in waveforms:
        samples = torch.from_numpy(np.ascontiguousarray(waveform, dtype=np.float32)).unsqueeze(0)
        features.append(base.model.features(samples, torch.tensor([samples.shape[1]]))[0].squeeze(0))
    return Heard(features, [torch.tensor(base.vocabulary.encode_known(text)) for text in transcripts], transcripts)


def row(fleet: Fleet, recipe: Recipe, seed: int) -> dict[str, Any]:
    """The figures of both nights of a recipe with a seed."""
    seeded = replace(recipe, adapt=replace(recipe.adapt, seed=seed))
    currents: dict[str, CurrentAdapter] = {}
    new = fleet.night(seeded, NEW_SHARE, currents)
    returning = fleet.night(seeded, 1.0, currents)
    figures = new.described("new") | returning.described("returning")
    say(f"{recipe.name}, seed {seed}: " + ", ".join(f"{name} {value:.3g}" for name, value in figures.items()))
    return {"recipe": recipe.name, **figures}


def averaged(recipe: Recipe, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The means over the seeds of a recipe."""
    names = [name for name in rows[0] if name != "recipe"]
    return {"recipe": recipe.name, "changed": recipe.changed, **{n: mean([one[n] for one in rows]) for n in names}}


def against(table: Sequence[dict[str, Any]], wer_base: float) -> dict[str, float]:
    """The figures of the last recipe against the first."""
    first, last = table[0], table[-1]
    return {
        "new_cost": last["new_s"] / first["new_s"],
        "returning_cost": last["returning_s"] / first["returning_s"],
        "gain_share": (wer_base - last["returning_wer"]) / (wer_base - first["returning_wer"]),
    }


if __name__ == "__main__":
    main()
