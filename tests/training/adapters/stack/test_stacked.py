"""Adapters trained in a stack are those trained alone, whoever else is in it and in whatever order."""

import dataclasses
import random
from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from architectures import ADAPTERS, AUDIO, MEMBERS
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_loop import fit_plainly

from ds2ray.batching.batches import epoch_batches, spread_order
from ds2ray.config import Activation, AdaptConfig, AdapterConfig, AdapterKind, TextConfig
from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.adapters.mlp import MLPAdapter
from ds2ray.model.building import build_model
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.text import Vocabulary
from ds2ray.training.adapters.judging.results import AdapterFit
from ds2ray.training.adapters.judging.split import Part, split, undivided
from ds2ray.training.adapters.speech import UserSpeech, tokens_of, with_recordings
from ds2ray.training.adapters.stack.bank import AdapterBank, BankAdamW
from ds2ray.training.adapters.stack.learners import Learner, fresh_adapter, is_judged
from ds2ray.training.adapters.stack.stacked import StackedTraining
from ds2ray.training.further import further_recordings
from ds2ray.training.seeds import derive_seed

VOCABULARY = Vocabulary.from_transcripts(["abcde "], TextConfig())
CONFIG = AdaptConfig(
    num_epochs=3, batch_size=3, learning_rate=1e-3, patience_epochs=2, held_out_fraction=0.3, cross_validate_below=0
)

SHAPES = [
    AdapterConfig(kind=AdapterKind.lhuc),
    *(AdapterConfig(hidden_dims=dims, dropout=p) for dims in ([5], [6, 4]) for p in (0.0, 0.3)),
]

BOTH_WAYS = pytest.mark.parametrize("at_once", [False, True], ids=["each-user", "at-once"])
"""As on CPUs, and as on GPUs."""


def small_model() -> DeepSpeech2:
    torch.manual_seed(0)
    return DeepSpeech2(8, len(VOCABULARY), num_rnn_layers=2, rnn_hidden_dim=6, conv_channels=2)


def speech_of_user(
    user: str, num_utterances: int, dim: int, config: AdaptConfig = CONFIG, num_heard: int = 0
) -> UserSpeech:
    draws = random.Random(user)
    seed = derive_seed(0, user)
    generator = torch.Generator().manual_seed(seed)
    frames = [torch.randn(draws.randint(8, 30), dim, generator=generator) for _ in range(num_utterances)]
    texts = ["".join(draws.choices("abcde", k=draws.randint(1, 3))) for _ in frames]
    ids = [f"{user}-{number}" for number in range(num_utterances)]
    speech = UserSpeech(user, seed, frames, tokens_of(VOCABULARY, texts), texts, split(ids, config, seed))
    recordings = further_recordings(ids, [1.0] * num_utterances, undivided(speech.parts), seed)
    encodings = [torch.randn(draws.randint(16, 60), dim, generator=generator) for _ in recordings]
    speech = with_recordings(speech, recordings, encodings, VOCABULARY.space)
    rows = range(len(speech.frames), len(speech.frames) + num_heard)
    return dataclasses.replace(
        speech,
        frames=[*speech.frames, *(torch.randn(draws.randint(8, 30), dim, generator=generator) for _ in rows)],
        tokens=[*speech.tokens, *tokens_of(VOCABULARY, [draws.choice("abcde") for _ in rows])],
        parts=[dataclasses.replace(part, heard=rows) for part in speech.parts],
        weights={row: draws.uniform(0.5, 1) for row in rows},
    )


def alone(model: AcousticModel, speech: UserSpeech, adapter: AdapterConfig, config: AdaptConfig) -> AdapterFit:
    own = fresh_adapter(model, adapter, speech.seed, "cpu")
    return fit_plainly(model, own, speech, VOCABULARY, config, adapter.after_layer)


def stack_of(
    model: AcousticModel, speeches: Sequence[UserSpeech], adapter: AdapterConfig, config: AdaptConfig, at_once: bool
) -> StackedTraining:
    adapters = [fresh_adapter(model, adapter, speech.seed, "cpu") for speech in speeches]
    stack = StackedTraining(model, adapters, speeches, VOCABULARY, config, adapter.after_layer)
    stack.bank.at_once = at_once
    return stack


def assert_same(one: AdapterFit, other: AdapterFit | str) -> None:
    assert isinstance(other, AdapterFit)
    for name, tensor in one.state.items():
        torch.testing.assert_close(other.state[name], tensor, atol=3e-4, rtol=1e-3)
    assert (other.epochs, other.bad_steps) == (one.epochs, one.bad_steps)
    assert other.loss_before == pytest.approx(one.loss_before, rel=1e-4)
    assert other.loss_after == pytest.approx(one.loss_after, rel=1e-3)
    assert other.score_before == one.score_before


@BOTH_WAYS
@pytest.mark.parametrize("after_layer", [-1, 0, 1])
@settings(max_examples=5)
@given(
    sizes=st.lists(st.integers(2, 11), min_size=1, max_size=3),
    order=st.randoms(use_true_random=False),
    shape=st.sampled_from(SHAPES),
    cross_validate_below=st.sampled_from([0, 7]),
    kl_weight=st.sampled_from([0.0, 0.5]),
    further_share=st.sampled_from([0.0, 0.4, 1.0]),
    num_heard=st.sampled_from([0, 1, 8]),
)
def test_a_stack_gives_every_user_the_adapter_of_training_alone(
    at_once: bool,
    after_layer: int,
    sizes: list[int],
    order: random.Random,
    shape: AdapterConfig,
    cross_validate_below: int,
    kl_weight: float,
    further_share: float,
    num_heard: int,
) -> None:
    model = small_model()
    config = dataclasses.replace(
        CONFIG, cross_validate_below=cross_validate_below, num_folds=3, kl_weight=kl_weight, further_share=further_share
    )
    adapter = dataclasses.replace(shape, after_layer=after_layer)
    dim = model.encoding_dim(after_layer)
    users = [(f"user-{number}", size) for number, size in enumerate(sizes)]
    order.shuffle(users)
    speeches = [speech_of_user(user, size, dim, config, num_heard) for user, size in users]
    fits = dict(stack_of(model, speeches, adapter, config, at_once).run())
    assert sorted(fits) == list(range(len(users)))
    for place, speech in enumerate(speeches):
        assert_same(alone(model, speech, adapter, config), fits[place])


@BOTH_WAYS
@pytest.mark.parametrize("kind", ADAPTERS)
@pytest.mark.parametrize("member", MEMBERS)
def test_so_it_does_for_every_architecture_and_kind(member: str, kind: str, at_once: bool) -> None:
    torch.manual_seed(0)
    model = build_model(MEMBERS[member], AUDIO, len(VOCABULARY))
    for after_layer in (0, 1):
        adapter = dataclasses.replace(ADAPTERS[kind], after_layer=after_layer)
        dim = model.encoding_dim(after_layer)
        speeches = [speech_of_user(f"user-{size}", size, dim) for size in (4, 9)]
        fits = dict(stack_of(model, speeches, adapter, CONFIG, at_once).run())
        for place, speech in enumerate(speeches):
            assert_same(alone(model, speech, adapter, CONFIG), fits[place])


def learner_of(part: Part, share: float, batch_size: int = 4) -> Learner:
    config = dataclasses.replace(CONFIG, further_share=share, batch_size=batch_size, num_epochs=12)
    return Learner(0, 0, part, 7, config, lambda row: 5 + row, {}, 0)


def steps_of(learner: Learner) -> list[list[int]]:
    """The rows of all steps of all epochs."""
    steps = []
    for epoch in range(learner.config.num_epochs):
        learner.begin(epoch)
        while not learner.waits:
            steps.append(learner.rows())
            learner.position += 1
    return steps


TRAIN, FURTHER = list(range(8)), [10, 11, 12, 13, 14]


@pytest.mark.parametrize(("share", "every"), [(0.0, []), (0.25, [3, 7]), (0.5, [1, 3, 5, 7]), (1.0, list(range(8)))])
def test_the_steps_on_further_recordings_are_evenly_spread(share: float, every: list[int]) -> None:
    steps = steps_of(learner_of(Part(TRAIN, [8, 9], FURTHER), share))
    assert len(steps) == 24  # as many as without
    assert [number for number, rows in enumerate(steps) if set(rows) <= set(FURTHER)] == [
        first + number for first in (0, 8, 16) for number in every
    ]


def test_every_row_is_trained_on_about_as_often_as_any_other_of_its_kind() -> None:
    counts = Counter(row for rows in steps_of(learner_of(Part(TRAIN, [8, 9], FURTHER), 0.5)) for row in rows)
    assert set(counts) == {*TRAIN, *FURTHER}
    assert {counts[row] for row in TRAIN} == {6}
    assert {counts[row] for row in FURTHER} == {4}  # twelve steps, three to a pass


def test_a_step_has_half_as_many_further_recordings_as_utterances_and_at_least_one() -> None:
    for batch_size, own, further in ((4, 4, 2), (2, 2, 1), (1, 1, 1)):
        steps = steps_of(learner_of(Part(TRAIN, [8, 9], FURTHER), 0.5, batch_size))
        assert max(map(len, steps[0::2])) == own
        assert max(map(len, steps[1::2])) == further


def test_without_further_recordings_every_step_is_on_utterances_in_their_order() -> None:
    shares = [steps_of(learner_of(Part(TRAIN, [8, 9]), share)) for share in (0.0, 0.5)]
    assert shares[0] == shares[1]
    for epoch in range(12):
        batches = sorted(epoch_batches([5 + row for row in TRAIN], 4, 1, 7, epoch), key=max)
        assert shares[0][2 * epoch : 2 * epoch + 2] == [batches[rank] for rank in spread_order(2, 2 * epoch)]


@BOTH_WAYS
def test_users_that_stop_early_leave_the_stack_and_the_others_go_on(at_once: bool) -> None:
    model, adapter = small_model(), AdapterConfig(hidden_dims=[5], dropout=0.0, after_layer=-1)
    config = dataclasses.replace(CONFIG, num_epochs=15, patience_epochs=1, learning_rate=0.2)
    speeches = [speech_of_user(f"user-{n}", 4 + 2 * n, model.encoding_dim()) for n in range(5)]
    stack = stack_of(model, speeches, adapter, config, at_once)
    fits, sizes, optimizer = {}, [], stack.optimizer
    assert isinstance(optimizer, BankAdamW)
    for place, fit in stack.run():
        fits[place] = fit
        assert len(stack.bank) == len(optimizer.steps) == len(stack.learners)
        sizes.append(len(stack.bank))
    assert sizes[0] == 5
    assert sizes[-1] <= 2
    epochs = [fit.epochs for fit in fits.values() if isinstance(fit, AdapterFit)]
    assert len(epochs) == 5
    assert min(epochs) < max(epochs)
    for place, speech in enumerate(speeches):
        one, other = alone(model, speech, adapter, config), fits[place]
        assert isinstance(other, AdapterFit)
        assert other.epochs == one.epochs


@BOTH_WAYS
def test_a_user_without_a_finite_step_fails_alone(at_once: bool) -> None:
    model, adapter = small_model(), AdapterConfig(hidden_dims=[5], dropout=0.0, after_layer=-1)
    good, bad = (speech_of_user(user, 6, model.encoding_dim()) for user in ("good", "bad"))
    for row in (*bad.parts[0].train, *bad.parts[0].further):
        bad.frames[row].fill_(float("nan"))
    fits = dict(stack_of(model, [bad, good], adapter, CONFIG, at_once).run())
    assert "no step of epoch 1 had a finite loss and gradient" in str(fits[0])
    assert_same(alone(model, good, adapter, CONFIG), fits[1])


def test_the_padded_product_of_gpus_is_the_loop_of_cpus() -> None:
    torch.manual_seed(0)
    adapters = [MLPAdapter(6, [5, 4], Activation.gelu) for _ in range(3)]
    for adapter in adapters:
        torch.nn.init.normal_(adapter.output.weight)
    bank = AdapterBank(adapters)
    frames, counts = torch.randn(12, 6), [3, 7, 2]
    scales = [torch.rand(12, 5), torch.rand(12, 4)]
    users = [2, 0, 1]
    expected = bank(frames, users, counts, scales)
    plain = torch.cat([adapters[u].eval()(part) for u, part in zip(users, frames.split(counts), strict=True)])
    torch.testing.assert_close(bank(frames, users, counts, ()), plain, atol=1e-5, rtol=1e-5)
    bank.at_once = True
    torch.testing.assert_close(bank(frames, users, counts, scales), expected, atol=1e-5, rtol=1e-5)


@BOTH_WAYS
def test_the_optimizer_is_torchs_for_each_user(at_once: bool) -> None:
    torch.manual_seed(0)
    adapters = [MLPAdapter(4, [3]) for _ in range(3)]
    bank = AdapterBank(adapters)
    bank.at_once = at_once
    optimizer = BankAdamW(bank, weight_decay=0.1, max_grad_norm=0.5)
    plain = [torch.optim.AdamW(adapter.parameters(), lr=1.0, weight_decay=0.1) for adapter in adapters]
    rates = torch.tensor([0.01, 0.02, 0.03])
    for step in range(4):
        active = torch.tensor([True, step % 2 == 0, True])
        for name in bank.names:
            bank.stacked(name).grad = torch.randn(bank.stacked(name).shape)
        bank.stacked("norm.weight").grad[2, 0] = float("nan") if step == 1 else 1.0  # type: ignore[index]
        expected = torch.tensor([True, step % 2 == 0, step != 1])
        for user, adapter in enumerate(adapters):
            for name, parameter in adapter.named_parameters():
                parameter.grad = bank.stacked(name).grad[user].clone()  # type: ignore[index]
            torch.nn.utils.clip_grad_norm_(adapter.parameters(), 0.5)
            plain[user].param_groups[0]["lr"] = float(rates[user])
            if expected[user]:
                plain[user].step()
        assert optimizer.step(rates, active).tolist() == expected.tolist()
    for user, adapter in enumerate(adapters):
        for name, tensor in adapter.state_dict().items():
            torch.testing.assert_close(bank.state_of(user)[name], tensor, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("num_epochs", "patience_epochs", "judged"),
    [(6, 10, [3, 4, 5]), (6, 6, [3, 4, 5]), (6, 5, [0, 1, 2, 3, 4, 5]), (1, 10, [0]), (3, 10, [1, 2])],
)
def test_held_out_speech_is_heard_where_training_may_end(
    num_epochs: int, patience_epochs: int, judged: list[int]
) -> None:
    config = dataclasses.replace(CONFIG, num_epochs=num_epochs, patience_epochs=patience_epochs)
    assert [epoch for epoch in range(num_epochs) if is_judged(epoch, config)] == judged
