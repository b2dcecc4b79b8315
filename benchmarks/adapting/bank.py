"""The stacked step of adapters in parts: which product, which update and which stack size is fastest on this machine.

Every figure is the best of several repeats on one thread, at the widths of `ds2_small` after its last layer (D=1024)
and the default adapter (256 hidden).
"""

import argparse
import time
from collections.abc import Callable, Sequence

import torch
from plain_loop import fit_plainly
from torch import Tensor
from torch.nn import functional

from benchmarks.common import emit, say
from ds2ray.config import LAST_LAYER, AdaptConfig, AdapterConfig, Precision, TextConfig
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.model.adapters.mlp import MLPAdapter
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.text import Vocabulary
from ds2ray.training.adapters.judging.split import split
from ds2ray.training.adapters.speech import UserSpeech, tokens_of
from ds2ray.training.adapters.stack.bank import AdapterBank, BankAdamW
from ds2ray.training.adapters.stack.stacked import StackedTraining

VOCABULARY = Vocabulary.from_transcripts(["abcdefghijklmnopqrstuvwxyz '"], TextConfig())


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stacks", default="1,2,4,8,16,32", help="users in a stack")
    parser.add_argument("--frames", type=int, default=800, help="frames of a user's step, on average")
    parser.add_argument("--width", type=int, default=1024, help="width of the encodings")
    parser.add_argument("--hidden", type=int, default=256, help="width of the adapter's hidden layer")
    parser.add_argument("--repeats", type=int, default=5, help="repeats of each measurement")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    stacks = [int(number) for number in args.stacks.split(",")]
    products, updates, trainings = {}, {}, {}
    for users in stacks:
        say(f"a stack of {users} …")
        shape = Shape(users, args.frames, args.width, args.hidden, device)
        products[users] = product_ms(shape, args.repeats)
        updates[users] = update_ms(shape, args.repeats)
        trainings[users] = training_ms(shape, max(1, args.repeats // 2))
    emit(
        "bank",
        {
            "width": args.width,
            "hidden": args.hidden,
            "frames_per_user": args.frames,
            "product_ms_per_user": products,
            "update_ms_per_user": updates,
            "epoch_ms_per_user": trainings,
        },
        args.save,
    )


class Shape:
    """A bank of adapters, for users with unequal numbers of frames."""

    def __init__(self, users: int, frames: int, width: int, hidden: int, device: torch.device) -> None:
        torch.manual_seed(0)
        self.config = AdapterConfig(hidden_dims=[hidden], dropout=0.0, after_layer=-1)
        self.users, self.width, self.device = users, width, device
        self.bank = AdapterBank([MLPAdapter.from_config(width, self.config).to(device) for _ in range(users)])
        self.counts = [frames * (8 + user % 5) // 10 for user in range(users)]
        self.frames = torch.randn(sum(self.counts), width, device=device)


def product_ms(shape: Shape, repeats: int) -> dict[str, float]:
    """Milliseconds per user for forward and backward of all adapters, by way of multiplying."""
    everyone, bank, mlp = list(range(shape.users)), shape.bank, shape.bank.like
    weights = bank.weights()
    assert isinstance(mlp, MLPAdapter)

    def run(product: Callable[[], Tensor]) -> Callable[[], None]:
        def step() -> None:
            product().sum().backward()

        return step

    ways: dict[str, Callable[[], Tensor]] = {
        "loop": lambda: mlp.by_loop(weights, shape.frames, everyone, shape.counts, ()),
        "padded_baddbmm": lambda: mlp.by_padded_product(weights, shape.frames, everyone, shape.counts, ()),
        "any_kind": lambda: Adapter.stacked(mlp, weights, shape.frames, everyone, shape.counts, (), bank.at_once),
        "grouped_mm_bfloat16": lambda: grouped(shape),
    }
    return {name: best_ms(run(way), shape, repeats) for name, way in ways.items()}


def grouped(shape: Shape) -> Tensor:
    """The output of all adapters by torch's grouped product, in bfloat16."""
    bank = shape.bank
    ends = torch.tensor(shape.counts, device=shape.device).cumsum(0).to(torch.int32)
    users = torch.arange(shape.users, device=shape.device).repeat_interleave(
        torch.tensor(shape.counts, device=shape.device)
    )
    x = functional.layer_norm(shape.frames, shape.frames.shape[1:])
    x = x * bank.stacked("norm.weight")[users] + bank.stacked("norm.bias")[users]
    y = functional.grouped_mm(x.bfloat16(), bank.stacked("hidden.0.weight").bfloat16().transpose(1, 2), offs=ends)
    assert isinstance(bank.like, MLPAdapter)
    y = bank.like.activation(y.float() + bank.stacked("hidden.0.bias")[users])
    y = functional.grouped_mm(y.bfloat16(), bank.stacked("output.weight").bfloat16().transpose(1, 2), offs=ends)
    return shape.frames + y.float() + bank.stacked("output.bias")[users]


def update_ms(shape: Shape, repeats: int) -> dict[str, float]:
    """Milliseconds per user for AdamW of all adapters, one by one with the fused kernel or all at once."""
    optimizer = BankAdamW(shape.bank, weight_decay=1e-4, max_grad_norm=5.0)
    gradients = {name: torch.randn_like(shape.bank.stacked(name)) for name in shape.bank.names}
    rates = torch.full((shape.users,), 1e-3, device=shape.device)
    stepped = torch.ones(shape.users, dtype=torch.bool, device=shape.device)
    clip = torch.ones(shape.users, device=shape.device)
    ways = {"each_fused": optimizer.update_each, "together": optimizer.update_together}
    results = {}
    for name, way in ways.items():

        def step(way: Callable[..., None] = way) -> None:
            with torch.no_grad():
                optimizer.steps += 1
                way(gradients, rates, stepped, clip)

        results[name] = best_ms(step, shape, repeats)
    return results


def training_ms(shape: Shape, repeats: int) -> dict[str, float]:
    """Milliseconds of an epoch of a user with 30 utterances: the plain loop, the stack, the stack in bfloat16."""
    torch.manual_seed(0)
    model = DeepSpeech2(80, len(VOCABULARY), num_rnn_layers=1, rnn_hidden_dim=shape.width // 2).to(shape.device)
    config = AdaptConfig(num_epochs=3, patience_epochs=3, precision=Precision.float32)
    speeches = [speech_of(user, shape, config) for user in range(shape.users)]

    def fresh() -> MLPAdapter:
        return MLPAdapter.from_config(shape.width, shape.config).to(shape.device)

    def plain() -> None:
        for speech in speeches:
            fit_plainly(model, fresh(), speech, VOCABULARY, config, LAST_LAYER)

    def stack(precision: Precision) -> Callable[[], None]:
        settings = AdaptConfig(num_epochs=3, patience_epochs=3, precision=precision)
        return lambda: list(
            StackedTraining(model, [fresh() for _ in speeches], speeches, VOCABULARY, settings, -1).run()
        ).clear()

    ways = {"plain": plain, "stack": stack(Precision.float32), "stack_bfloat16": stack(Precision.bfloat16)}
    return {name: best_ms(way, shape, repeats) / config.num_epochs for name, way in ways.items()}


def speech_of(user: int, shape: Shape, config: AdaptConfig) -> UserSpeech:
    generator = torch.Generator().manual_seed(user)
    lengths = torch.randint(60, 140, (30,), generator=generator).tolist()
    frames = [torch.randn(length, shape.width, generator=generator).to(shape.device) for length in lengths]
    texts = ["".join(chr(97 + (user + row + place) % 26) for place in range(25)) for row in range(len(frames))]
    parts = split([str(row) for row in range(len(frames))], config, user)
    return UserSpeech(f"user-{user}", user, frames, tokens_of(VOCABULARY, texts), texts, parts)


def best_ms(step: Callable[[], None], shape: Shape, repeats: int) -> float:
    """Milliseconds per user, of the fastest of some repeats."""
    times = []
    for _ in range(repeats + 1):
        started_s = time.perf_counter()
        step()
        if shape.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started_s)
    return 1000 * min(times[1:]) / shape.users


if __name__ == "__main__":
    main()
