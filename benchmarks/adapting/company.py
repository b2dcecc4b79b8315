"""The price of adapters that do not depend on their company: users as cohorts treat them on CPUs against all together.

On a CPU no call of the trunk has speech of two users, and users share steps by a few, in batches that round each row
alike, so that an adapter has the same bytes in any company. The same users, base and settings, in seconds of one
thread's CPU time per user: `apart` as cohorts do it on CPUs; `together` in calls over all users and in one stack.
Training is timed for `--epochs`; `ratio` is apart over together for encoding and as many epochs as users train for.
Bar: at most 1.1 at both places; above it `falls_short` names the place.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence

import torch

from benchmarks.common import CACHE, emit, measured_apart, say
from benchmarks.speech import Speaker, base_corpus, saved_random_base, speakers, vocabulary_of
from ds2ray.config import AdaptConfig, AdapterConfig
from ds2ray.model.files import load_model_file
from ds2ray.model.weights import Base
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.adapters.speech import UserSpeech, encode_users
from ds2ray.training.adapters.stack.learners import fresh_adapter
from ds2ray.training.adapters.stack.stacked import StackedTraining, stacks

MAX_RATIO = 1.1
RATIO_EPOCHS = AdaptConfig().num_epochs


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=1.0, help="speech per user")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--model", default="ds2_small", help="shape of the base, whose weights are random")
    parser.add_argument("--repeats", type=int, default=2, help="the best of so many counts")
    parser.add_argument("--cache", default=CACHE, help="keeps speech between runs")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    ordinary = base_corpus(args.cache, 20, 5)
    users = [user.with_minutes(args.minutes) for user in speakers(args.cache, args.users, args.minutes, 1, ordinary)]
    places = {}
    with tempfile.TemporaryDirectory(prefix="ds2ray-bench-") as folder:
        base_path = saved_random_base(args.model, vocabulary_of([u for user in users for u in user.adapt]), folder)
        for name, after_layer in (("first", 0), ("last", -1)):
            places[name] = measured_apart(place, base_path, users, after_layer, args).value
            say(f"{name}: {places[name]}")
    fields = {name: getattr(args, name) for name in ("users", "minutes", "epochs", "model")}
    falls_short = [f"ratio at the {name} place" for name, figures in places.items() if figures["ratio"] > MAX_RATIO]
    emit("company", {**fields, "places": places, "falls_short": falls_short}, args.save)


def place(base_path: str, users: Sequence[Speaker], after_layer: int, args: argparse.Namespace) -> dict[str, float]:
    """CPU seconds per user at one place of adapters."""
    base = load_model_file(base_path)
    adapter = AdapterConfig(after_layer=after_layer)
    adapt = AdaptConfig(num_epochs=args.epochs, patience_epochs=args.epochs, cross_validate_below=0)
    encoder = Encoder(base, after_layer)
    speeches = encode_users(encoder, {user.user_id: user.adapt for user in users}, adapt)
    utterances = [utterance for user in users for utterance in user.adapt]
    seconds = {}
    device = torch.device("cpu")
    for name, users_together in (
        ("together", [speeches]),
        ("apart", list(stacks(base.model, speeches, device, adapt.batch_size))),
    ):
        encode_s, train_s = [], []
        for _ in range(args.repeats):
            started_s = time.process_time()
            if name == "together":
                encoder.encode(utterances)
            else:
                encode_users(encoder, {user.user_id: user.adapt for user in users}, adapt)
            encode_s.append(time.process_time() - started_s)
            started_s = time.process_time()
            train(base, users_together, adapter, adapt)
            train_s.append(time.process_time() - started_s)
        seconds[f"encode_{name}_s"], seconds[f"train_{name}_s"] = min(encode_s), min(train_s)
    epochs = RATIO_EPOCHS / args.epochs
    apart, together = (
        seconds[f"encode_{name}_s"] + epochs * seconds[f"train_{name}_s"] for name in ("apart", "together")
    )
    return {**{name: value / len(users) for name, value in seconds.items()}, "ratio": apart / together}


def train(base: Base, each: Sequence[Sequence[UserSpeech]], adapter: AdapterConfig, adapt: AdaptConfig) -> None:
    """Train the users of each stack."""
    for stack in each:
        adapters = [fresh_adapter(base.model, adapter, speech.seed, "cpu") for speech in stack]
        fits = list(StackedTraining(base.model, adapters, stack, base.vocabulary, adapt, adapter.after_layer).run())
        if any(isinstance(fit, str) for _, fit in fits):
            raise RuntimeError("a user could not be trained")


if __name__ == "__main__":
    main()
