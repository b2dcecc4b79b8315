"""Cohorts: the same adapters in any company, and the gate."""

import copy
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from parrot import Parrot
from toy_cohorts import ADAPT, ADAPTER, Fleet, adapted, state_of, toy_users
from toy_speech import make_utterances

from ds2ray.batching.batches import SpeechDataset
from ds2ray.compat.adapter_manager import AdapterManager
from ds2ray.compat.adapter_trainer import AdapterTrainer
from ds2ray.config import ErrorMetric
from ds2ray.metrics import score_texts
from ds2ray.model.adapters.mlp import MLPAdapter
from ds2ray.model.weights import Base, to_bytes
from ds2ray.tables.manifest import Utterance
from ds2ray.training.adapters import cohort
from ds2ray.training.adapters.cohort import adapt_cohort, results_of
from ds2ray.training.adapters.judging.gate import CurrentAdapter
from ds2ray.training.adapters.judging.split import split_rule
from ds2ray.training.adapters.speech import UserSpeech
from ds2ray.training.adapters.stack import stacked
from ds2ray.training.hold_out import hold_out
from ds2ray.training.seeds import derive_seed


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return toy_users(tmp_path_factory.mktemp("users"))


def assert_close(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize("cross_validate_below", [0, 16])
@pytest.mark.parametrize(("after_layer", "num_epochs", "batch_size"), [(-1, 6, 4), (0, 4, 4), (0, 2, 1)])
def test_an_adapter_has_the_same_bytes_in_any_company(
    base: Base, users: Fleet, after_layer: int, num_epochs: int, batch_size: int, cross_validate_below: int
) -> None:
    adapter = replace(ADAPTER, after_layer=after_layer)
    adapt = replace(ADAPT, num_epochs=num_epochs, batch_size=batch_size, cross_validate_below=cross_validate_below)
    together = adapted(base, users, adapter=adapter, adapt=adapt)
    backwards = adapted(base, dict(reversed(users.items())), adapter=adapter, adapt=adapt)
    some = [{"bob": users["bob"]}, {"홍길동": users["홍길동"], "bob": users["bob"]}, {"ann": users["ann"]}]
    for results in (backwards, *(adapted(base, company, adapter=adapter, adapt=adapt) for company in some)):
        for name, result in results.items():
            assert to_bytes(state_of(result)) == to_bytes(state_of(together[name]))
    outputs = [state_of(together[name])["output.weight"] for name in users]
    assert not torch.allclose(outputs[0], outputs[1], atol=2e-3)


@pytest.mark.parametrize(("after_layer", "num_epochs"), [(-1, 6), (0, 4)])
def test_a_stack_of_all_users_gives_each_the_same_adapter(
    base: Base, users: Fleet, monkeypatch: pytest.MonkeyPatch, after_layer: int, num_epochs: int
) -> None:
    options = {"adapter": replace(ADAPTER, after_layer=after_layer), "adapt": replace(ADAPT, num_epochs=num_epochs)}
    apart = adapted(base, users, **options)
    monkeypatch.setattr(stacked, "STACK_ROWS", {})  # as on a GPU
    together = adapted(base, users, **options)
    for name in users:
        assert_close(state_of(together[name]), state_of(apart[name]))


@pytest.mark.parametrize(("after_layer", "num_epochs"), [(-1, 6), (0, 4)])
def test_the_plain_trainer_gives_the_same_adapter(
    base: Base, users: Fleet, tmp_path: Path, after_layer: int, num_epochs: int
) -> None:
    adapter = replace(ADAPTER, after_layer=after_layer)
    adapt = replace(ADAPT, num_epochs=num_epochs)
    in_cohort = adapted(copy.deepcopy(base), users, adapter=adapter, adapt=adapt)["ann"]
    utterances = users["ann"]
    seed = derive_seed(ADAPT.seed, "ann")
    train, held_out = hold_out([u.utterance_id for u in utterances], ADAPT.held_out_fraction, seed)
    torch.manual_seed(seed)
    base.model.add_adapter(adapter)

    def data_set(rows: Sequence[int]) -> SpeechDataset:
        # without the manifest's durations: what is measured must not be what the manifest says
        return SpeechDataset([replace(utterances[row], duration_s=None) for row in rows], base.vocabulary, base.audio)

    trainer = AdapterTrainer(
        trainset_list=[data_set(train[:3]), data_set(train[3:])],
        validset=data_set(held_out),
        num_workers=2,
        vocab=base.vocabulary,
        adapter_save_dir=str(tmp_path),
        config=ADAPT,
    )
    model = trainer.train(base.model, ADAPT.batch_size, 1000, num_epochs, "ann")
    assert trainer.fit is not None
    assert in_cohort.fit is not None
    assert_close(trainer.fit.state, state_of(in_cohort))
    assert trainer.fit.epochs == in_cohort.fit.epochs
    assert trainer.fit.loss_before == pytest.approx(in_cohort.fit.loss_before, rel=1e-4)
    assert trainer.fit.loss_after == pytest.approx(in_cohort.fit.loss_after, rel=1e-2)
    assert trainer.fit.score_before == in_cohort.fit.score_before
    saved = AdapterManager().load_adapter(copy.deepcopy(model), str(tmp_path / "ann_adapter.pt"))
    assert saved.adapter is not None
    assert_close(dict(saved.adapter.state_dict()), trainer.fit.state)


def test_users_are_helped_and_the_base_is_not_touched(base: Base, users: Fleet) -> None:
    before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    results = adapted(base, users, adapt=replace(ADAPT, gate_metric=ErrorMetric.cer, num_epochs=10))
    assert sum(result.better for result in results.values()) >= 2
    for result in results.values():
        assert result.better == (not result.reason)
        assert result.seconds > 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.model.state_dict().items())


def test_errors_are_counted_in_what_the_given_decoder_says(base: Base, users: Fleet) -> None:
    words = users["ann"][0].transcript.split()
    parrot = Parrot(tuple(base.vocabulary.encode_known(words[0])))
    adapt = replace(ADAPT, cross_validate_below=100, num_epochs=1)  # so that all utterances are judged
    fit = adapted(base, {"ann": users["ann"]}, adapt=adapt, decoder=parrot)["ann"].fit
    assert fit is not None
    spoken = [utterance.transcript for utterance in users["ann"]]
    assert fit.score_before == fit.score_after == score_texts(spoken, [words[0]] * len(spoken))


def test_speech_of_finished_users_takes_no_memory(base: Base, users: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[UserSpeech] = []
    encoding_of_users = cohort.encoding_of_users

    def noted(*args: Any) -> Generator[int, None, list[UserSpeech]]:
        encoded.extend((yield from encoding_of_users(*args)))
        return encoded

    monkeypatch.setattr(cohort, "encoding_of_users", noted)
    monkeypatch.setattr(stacked, "STACK_ROWS", {"cpu": 1})  # stacks of one user
    results = results_of(adapt_cohort(base, users, ADAPTER, replace(ADAPT, num_epochs=1)))
    for number, _ in enumerate(results):
        assert [len(speech.frames) > 0 for speech in encoded] == [place >= number for place in range(3)]
    assert [speech.frames for speech in encoded] == [[], [], []]


def test_the_current_adapter_is_compared_on_the_same_speech(base: Base, users: Fleet) -> None:
    first = adapted(base, {"ann": users["ann"]})["ann"]
    current = MLPAdapter.from_config(base.model.encoding_dim(), ADAPTER)
    current.load_state_dict(state_of(first))
    open_current = {"ann": CurrentAdapter(current)}.get
    second = adapted(base, {"ann": users["ann"]}, open_current=open_current)["ann"]
    assert first.fit is not None
    assert first.current_error is None
    assert second.current_error == first.fit.score_after.words.rate()


def test_a_current_adapter_is_not_judged_by_what_it_learned_from(base: Base, users: Fleet) -> None:
    adapt = replace(ADAPT, cross_validate_below=100)
    first = adapted(base, {"ann": users["ann"]}, adapt=adapt)["ann"]
    assert first.fit is not None
    current = MLPAdapter.from_config(base.model.encoding_dim(), ADAPTER)
    current.load_state_dict(state_of(first))
    open_current = {"ann": CurrentAdapter(current, error_ratio=0.25)}.get
    second = adapted(base, {"ann": users["ann"]}, adapt=adapt, open_current=open_current)["ann"]
    assert second.current_error == 0.25 * first.fit.score_before.words.rate()


ONE_EPOCH = replace(ADAPT, num_epochs=1, cross_validate_below=16)
GROWN = 18


@pytest.mark.parametrize(
    ("split", "fair"),
    [
        (split_rule(15, ONE_EPOCH), False),  # it has learned from all that there was
        (split_rule(GROWN, replace(ONE_EPOCH, seed=1)), False),
        (split_rule(GROWN, replace(ONE_EPOCH, held_out_fraction=0.2)), False),
        (split_rule(GROWN, ONE_EPOCH), True),
        ("", True),
    ],
)
def test_a_current_adapter_of_another_split_is_judged_by_its_record(
    base: Base, tmp_path: Path, split: str, fair: bool
) -> None:
    grown = {"dora": make_utterances(tmp_path, GROWN, seed=7, pitch=1.2)}
    current = MLPAdapter.from_config(base.model.encoding_dim(), ADAPTER)  # says what the base says
    open_current = {"dora": CurrentAdapter(current, error_ratio=0.25, split=split)}.get
    result = adapted(base, grown, adapt=ONE_EPOCH, open_current=open_current)["dora"]
    assert result.fit is not None
    before = result.fit.score_before.words.rate()
    assert before > 0
    assert result.current_error == (before if fair else 0.25 * before)


def test_rows_of_utterances_are_not_changed(base: Base, users: Fleet) -> None:
    before: list[Utterance] = list(users["ann"])
    adapted(base, {"ann": users["ann"]})
    assert list(users["ann"]) == before
