"""The quality of adapters: their share of the gain of full fine-tuning, by recipe and minutes of speech, the users who
are worse off, and the errors on ordinary speech.

Users speak with the demo's accents. WERs are on test sentences that neither training nor the gate saw. The ceiling is
a copy of the base per user with all weights trained: same utterances, epochs and early stopping; its rate, its batch
norm and its masking are chosen on pilot users by held-out loss. `gain_recovered` is the mean gain of the adapters over
that of the ceiling, on the users that both were trained for; `harmed` counts among all users.
"""

import argparse
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor

from benchmarks.common import CACHE, emit, fresh_processes, say
from benchmarks.full_tuning import FullRecipe
from benchmarks.gains.quality_work import (
    FullScore,
    Setting,
    adapt_users,
    one_thread,
    ordinary_wer,
    tune_fully,
)
from benchmarks.recipes import Recipe, mean, numbers, parse_recipe
from benchmarks.speech import Speaker, base_corpus, speakers, trained_base
from ds2ray import storage
from ds2ray.config import AdapterConfig, ModelConfig
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.model.files import load_model_file
from ds2ray.tables.manifest import read_manifest

OTHER_RECIPES = (
    "epochs4=num_epochs=4",
    "rate2=learning_rate=0.002",
    "middle=after_layer=1",
    "last=after_layer=-1,num_epochs=20,learning_rate=0.002",
    "last8=after_layer=-1,num_epochs=8,learning_rate=0.002",
)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=24, help="users of the default recipe")
    parser.add_argument("--full-users", type=int, default=8, help="of these, users of full fine-tuning and the recipes")
    parser.add_argument(
        "--pilots", type=int, default=2, help="of these, users that the settings of full fine-tuning are chosen on"
    )
    parser.add_argument("--minutes", default="2,0.5,1,5", help="speech per user; the first is the headline")
    parser.add_argument("--few-users", type=int, default=4, help="users for the other amounts of speech")
    parser.add_argument(
        "--recipes",
        nargs="*",
        default=OTHER_RECIPES,
        help="name=key=value,… beside the default, or in place of it if the name is `default`",
    )
    parser.add_argument("--full-rates", default="0.0003,0.001,0.003", help="learning rates that full tuning tries")
    parser.add_argument("--test-sentences", type=int, default=25, help="per user")
    parser.add_argument("--base-sentences", type=int, default=400, help="sentences that the base is trained on")
    parser.add_argument("--base", default="", help="a model.pt; empty: the demo's base, trained if need be")
    parser.add_argument("--workers", type=int, default=2, help="processes, of one thread each")
    parser.add_argument("--quick", action="store_true", help="8 users, 2 of full fine-tuning, 2 minutes, no recipes")
    parser.add_argument("--cache", default=CACHE, help="keeps speech, base and fully tuned copies between runs")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    if args.quick:
        args.users, args.full_users, args.pilots = min(args.users, 8), min(args.full_users, 2), 1
        args.minutes = args.minutes.split(",")[0]
        args.recipes = () if args.recipes is OTHER_RECIPES else args.recipes
    recipes = [parse_recipe(text) for text in args.recipes]
    default = next((recipe for recipe in recipes if recipe.name == "default"), parse_recipe("default"))
    others = [recipe for recipe in recipes if recipe.name != "default"]
    minutes, rates = numbers(args.minutes), numbers(args.full_rates)
    ordinary = base_corpus(args.cache, args.base_sentences, 40)
    base_path = storage.absolute(args.base) if args.base else trained_base(args.cache, ordinary)
    users = speakers(args.cache, args.users, max(minutes), args.test_sentences, ordinary)
    said = tuple(read_manifest(ordinary.valid_manifest).utterances)
    with ProcessPoolExecutor(args.workers, mp_context=fresh_processes(), initializer=one_thread) as pool:
        setting = Setting(base_path, said, storage.absolute(args.cache))
        quality = Quality(setting, users, default, args.workers, pool)
        emit("quality", quality.compare(args, others, minutes, rates), args.save)


class Quality:
    """The comparison of adapters with full fine-tuning, done by a pool of processes."""

    def __init__(self, setting: Setting, users: list[Speaker], default: Recipe, workers: int, pool: Executor) -> None:
        self.setting, self.users, self.default = setting, users, default
        self.workers, self.pool = workers, pool

    def compare(
        self, args: argparse.Namespace, recipes: Sequence[Recipe], minutes: Sequence[float], rates: Sequence[float]
    ) -> dict[str, object]:
        """The fields of the JSON line."""
        tuned = self.users[: args.full_users]
        full_recipe = self.choose_full_recipe(tuned[: args.pilots], minutes[0], rates)
        full = self.tune(tuned, minutes[0], full_recipe)
        wer_ordinary = self.pool.submit(ordinary_wer, self.setting).result()
        rows = [self.row(self.default, self.users, minutes[0], full, wer_ordinary)]
        for recipe in recipes:
            rows.append(self.row(recipe, tuned, minutes[0], full, wer_ordinary))
        few = tuned[: args.few_users]
        for other in minutes[1:]:
            rows.append(self.row(self.default, few, other, self.tune(few, other, full_recipe), wer_ordinary))
        return {
            **{name: rows[0][name] for name in ("gain_recovered", "harmed", "harmed_at_gate", "users", "minutes")},
            "users_full": len(tuned),
            **self.parameters(),
            "full_fine_tuning": {
                "learning_rate": full_recipe.learning_rate,
                "update_statistics": full_recipe.update_statistics,
                "masked": full_recipe.masked,
                "wer_ordinary": mean([score.wer_ordinary for score in full]),
            },
            "tried": rows,
        }

    def choose_full_recipe(self, pilots: Sequence[Speaker], minutes: float, rates: Sequence[float]) -> FullRecipe:
        """The settings with the best held-out loss: the rate is chosen first, then the statistics, then masking."""

        def loss(recipe: FullRecipe) -> float:
            return mean([score.held_out_loss for score in self.tune(pilots, minutes, recipe)])

        best = min((FullRecipe(rate) for rate in rates), key=loss)
        best = min((best, FullRecipe(best.learning_rate, update_statistics=True)), key=loss)
        best = min((best, FullRecipe(best.learning_rate, best.update_statistics, masked=True)), key=loss)
        say(f"full fine-tuning is best with {best}")
        return best

    def tune(self, users: Sequence[Speaker], minutes: float, recipe: FullRecipe) -> list[FullScore]:
        """The scores of a fully tuned copy of the base for each user."""
        work = [
            self.pool.submit(tune_fully, self.setting, user.with_minutes(minutes), recipe, self.default.adapt)
            for user in users
        ]
        scores = [part.result() for part in work]
        say(f"{minutes:g} min, {recipe}: WER {mean([score.wer for score in scores]):.1f} % of {len(users)} users")
        return scores

    def row(
        self, recipe: Recipe, users: Sequence[Speaker], minutes: float, full: Sequence[FullScore], wer_ordinary: float
    ) -> dict[str, object]:
        """A recipe's row of the table."""
        spoken = [user.with_minutes(minutes) for user in users]
        shares = [spoken[start :: self.workers] for start in range(self.workers)]
        work = [self.pool.submit(adapt_users, self.setting, share, recipe) for share in shares if share]
        scores = {score.user_id: score for part in work for score in part.result()}
        compared = [scores[score.user_id] for score in full if score.user_id in scores]
        gain_full = mean([a.wer_base - f.wer for a, f in zip(compared, full, strict=True)])
        gain = mean([score.wer_base - score.wer_adapter for score in compared])
        recovered = gain / gain_full if gain_full > 0 else None
        row: dict[str, object] = {
            "recipe": recipe.name,
            "changed": recipe.changed,
            "after_layer": recipe.adapter.after_layer,
            "epochs": recipe.adapt.num_epochs,
            "learning_rate": recipe.adapt.learning_rate,
            "minutes": minutes,
            "users": len(users),
            "gain_recovered": recovered,
            "wer_base": mean([score.wer_base for score in compared]),
            "wer_adapter": mean([score.wer_adapter for score in compared]),
            "wer_full": mean([score.wer for score in full]),
            "wer_ordinary_base": wer_ordinary,
            "wer_ordinary_adapter": mean([score.wer_ordinary for score in scores.values()]),
            "harmed": sum(score.harmed for score in scores.values()),
            "harmed_at_gate": sum(score.harmed_at_gate for score in scores.values()),
            "published": sum(score.published for score in scores.values()),
        }
        say(", ".join(f"{name} {_shown(row[name])}" for name in SHOWN))
        return row

    def parameters(self) -> dict[str, object]:
        """The adapter's parameters as a share of the base's, here and for the preset `ds2`."""
        base = load_model_file(self.setting.base_path)
        ds2 = DeepSpeech2.from_config(ModelConfig(num_rnn_layers=5), 80, len(base.vocabulary))
        return {
            "parameters_share": _share(base.model, self.default.adapter),
            "parameters_share_ds2": _share(ds2, self.default.adapter),
        }


SHOWN = ("recipe", "minutes", "gain_recovered", "wer_base", "wer_adapter", "wer_full", "wer_ordinary_adapter", "harmed")


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _share(model: AcousticModel, adapter: AdapterConfig) -> float:
    model.add_adapter(adapter)
    counts = model.count_parameters()
    return counts["adapter"] / counts["base"]


if __name__ == "__main__":
    main()
