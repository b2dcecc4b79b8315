"""Real speech of one person: the demo's base as it is, with all of its weights tuned, and with the user's adapter.

By default it is the speech that lies beside the checkout: prompts of a telephone system at 8 kHz, with pauses and whole
recordings of silence. It is treated as any user's: transcripts are normalised and checked against the base's
vocabulary, unusable recordings are left out and counted, `jobs/train.py` tunes a copy of the base, a fleet run adapts
the user, and `Transcriber` recognises. Training, held-out and test utterances have no sentence in common: of a sentence
that is said more than once only the first recording is used. Errors are in percent, of words and characters of the test
sentences; `little` and `much` are the halves of the test with less and more silence.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.adapting.ways import Task, fleet_run
from benchmarks.common import CACHE, emit, say, start_apart
from benchmarks.gains.real_recordings import FRAME_S, Parts, Recordings, Silence, divide, read_recordings
from benchmarks.recipes import Recipe, mean, parse_recipe
from benchmarks.speech import Speaker, base_corpus, run_training, trained_base
from ds2ray import storage
from ds2ray.config import ClusterConfig
from ds2ray.model.files import load_model_file
from ds2ray.recognition.hypothesis import Hypothesis
from ds2ray.recognition.transcriber import Transcriber
from ds2ray.store import Store, read_base_record
from ds2ray.tables.manifest import write_manifest
from ds2ray.text import normalise

SPEECH = Path(__file__).resolve().parents[3] / "shared" / "speech" / "allison-en" / "utterances.jsonl"
RECIPES = ("default", "long=hidden_dims=512x256,num_epochs=60,patience_epochs=20")
EXAMPLES = 8


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", default=str(SPEECH), help="a manifest of one speaker (default: %(default)s)")
    parser.add_argument("--test-fraction", type=float, default=0.2, help="share of the sentences that only test")
    parser.add_argument("--epochs", type=int, default=40, help="of full fine-tuning, at most")
    parser.add_argument("--patience", type=int, default=10, help="epochs without a better one after which it ends")
    parser.add_argument("--rate", type=float, default=1e-3, help="its highest learning rate")
    parser.add_argument("--recipes", nargs="+", default=RECIPES, help="adapters: name=key=value,…; the first counts")
    parser.add_argument("--base-sentences", type=int, default=400, help="sentences that the base is trained on")
    parser.add_argument("--base", default="", help="a model.pt; empty: the demo's base, trained if need be")
    parser.add_argument("--seed", type=int, default=0, help="draws the test sentences")
    parser.add_argument("--cluster-address", default="local", help="Ray's address; local: one for this run")
    parser.add_argument("--cache", default=CACHE, help="keeps the base between runs")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    if not storage.exists(args.speech):
        parser.error(f"there is no {args.speech}; --speech=… takes any manifest of one speaker's utterances")
    recipes = [parse_recipe(text) for text in args.recipes]
    base_path = storage.absolute(args.base)
    if not args.base:
        base_path = trained_base(args.cache, base_corpus(args.cache, args.base_sentences, 40))
    recordings = read_recordings(args.speech, load_model_file(base_path))
    parts = divide(recordings, args.test_fraction, args.seed)
    with tempfile.TemporaryDirectory(prefix="ds2ray-bench-") as folder:
        comparison = Comparison(base_path, recordings, parts, folder)
        emit("real_speech", comparison.run(args, recipes), args.save)


class Comparison:
    """The comparison for one base and one speaker: models are trained, and each recognises the test sentences."""

    def __init__(self, base_path: str, recordings: Recordings, parts: Parts, folder: str) -> None:
        self.base_path, self.recordings, self.parts, self.folder = base_path, recordings, parts, folder
        self.base = load_model_file(base_path)
        self.silence = {u.utterance_id: Silence.of(u, self.base.audio.sample_rate_hz) for u in recordings.usable}
        self.test = sorted(parts.test, key=lambda u: self.silence[u.utterance_id].share)
        self.heard: dict[str, list[Hypothesis]] = {}

    def run(self, args: argparse.Namespace, recipes: Sequence[Recipe]) -> dict[str, object]:
        """The fields of the JSON line. Full fine-tuning and the adapters train side by side, with a thread each."""
        described = self.describe()
        say("; ".join(f"{name}: {described[name]}" for name in ("utterances", "dropped", "lacking", "changed")))
        settings = [
            *(f"train.num_epochs={args.epochs}", f"train.patience_epochs={args.patience}", "train.metric=cer"),
            *("train.batch_size=8", f"train.learning_rate={args.rate}"),
        ]
        tuning = start_apart(tune_fully, self.base_path, self.parts, f"{self.folder}/full", settings)
        adapters = [self.adapter(recipe, ClusterConfig(address=args.cluster_address)) for recipe in recipes]
        full = self.full(tuning().seconds)
        base = {"system": "base", **self.errors("base", Transcriber.open(f"{self.folder}/full", self.base_path))}
        self.show_examples(recipes[0].name)
        headline = {"base": base, "full": full, "adapter": adapters[0]}
        return {
            **{f"{rate}_{name}": row[rate] for rate in ("wer", "cer") for name, row in headline.items()},
            **described,
            "systems": [base, full, *adapters],
        }

    def describe(self) -> dict[str, object]:
        """The fields about the speech: its division, the recordings left out, and the share of silence."""
        parts = {"train": self.parts.train, "held_out": self.parts.held_out, "test": self.parts.test}
        silences, silent = list(self.silence.values()), self.recordings.silent
        return {
            "speaker": self.recordings.user_id,
            "utterances": {name: len(part) for name, part in parts.items()},
            "minutes": {name: sum(u.duration_s or 0.0 for u in part) / 60 for name, part in parts.items()},
            "dropped": self.recordings.dropped,
            "lacking": self.recordings.lacking,
            "changed": self.recordings.changed,
            "silence_share": sum(s.quiet for s in silences) / max(1, sum(s.frames for s in silences)),
            "silence_before_s": FRAME_S * mean([s.before for s in silences]),
            "silence_after_s": FRAME_S * mean([s.after for s in silences]),
            "longest_silence_s": FRAME_S * max(s.longest for s in silences),
            "silent_recordings": len(silent),
            "silent_recordings_s": sum(u.duration_s or 0.0 for u in silent),
        }

    def full(self, seconds: float) -> dict[str, object]:
        """The base that full fine-tuning has published."""
        root = f"{self.folder}/full"
        return {
            "system": "full",
            **self.errors("full", Transcriber.open(root)),
            "epochs": int(read_base_record(Store(root)).metrics["epoch"]),
            "parameters": self.base.model.count_parameters()["base"],
            "seconds": seconds,
        }

    def adapter(self, recipe: Recipe, cluster: ClusterConfig) -> dict[str, object]:
        """The adapter of a fleet run with this one user, or the base where the gate has published none."""
        root = f"{self.folder}/{recipe.name}"
        speaker = Speaker(self.recordings.user_id, [*self.parts.train, *self.parts.held_out], self.parts.test)
        seconds = fleet_run(Task(self.base_path, recipe.adapter, recipe.adapt), [speaker], root, cluster, workers=1)
        errors = self.errors(recipe.name, Transcriber.open(root))
        self.base.model.add_adapter(recipe.adapter)
        return {
            "system": f"adapter {recipe.name}",
            **errors,
            "changed": recipe.changed,
            "published": any(hypothesis.adapter for hypothesis in self.heard[recipe.name]),
            "epochs_at_most": recipe.adapt.num_epochs,
            "parameters": self.base.model.count_parameters()["adapter"],
            "seconds": seconds,
        }

    def errors(self, name: str, transcriber: Transcriber) -> dict[str, float]:
        """The errors in percent, and the number of letters that are recognised where nothing is said."""
        heard = self.heard[name] = transcriber.transcribe_utterances(self.test)
        transcripts, half = [u.transcript for u in self.test], len(self.test) // 2
        score = transcriber.score(transcripts, heard)
        little = transcriber.score(transcripts[:half], heard[:half])
        much = transcriber.score(transcripts[half:], heard[half:])
        silent = transcriber.transcribe_utterances(self.recordings.silent)
        row = {
            "wer": 100 * score.words.rate(),
            "cer": 100 * score.characters.rate(),
            "cer_little": 100 * little.characters.rate(),
            "cer_much": 100 * much.characters.rate(),
            "letters_in_silent_recordings": sum(len(hypothesis.text.replace(" ", "")) for hypothesis in silent),
        }
        say(f"{name}: " + ", ".join(f"{field} {value:.3g}" for field, value in row.items()))
        return row

    def show_examples(self, adapter: str) -> None:
        """Examples from the test, from little to much silence, as each of the three models recognised them."""
        for place in range(0, len(self.test), max(1, len(self.test) // EXAMPLES)):
            texts = [f"{name} {self.heard[name][place].text!r}" for name in ("base", "full", adapter)]
            say(f"{normalise(self.test[place].transcript, self.base.vocabulary.config)!r} → {', '.join(texts)}")


def tune_fully(base_path: str, parts: Parts, root: str, settings: Sequence[str]) -> None:
    """Tune a copy of the base by jobs/train.py; it is published in a store at `root`."""
    manifests = {"train": parts.train, "held_out": parts.held_out}
    for name, utterances in manifests.items():
        write_manifest(f"{root}/{name}.parquet", utterances, audio_relative=False)
    run_training(
        *(f"train.pretrained_model_path={base_path}", f"train.manifest={root}/train.parquet"),
        *(f"train.valid_manifest={root}/held_out.parquet", f"train.output_dir={root}/outputs"),
        *(f"storage.root={root}", *settings),
    )


if __name__ == "__main__":
    main()
