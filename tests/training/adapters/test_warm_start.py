"""Returning users: training goes on from the adapter that there is, where that is fair and of the same kind."""

import copy
from dataclasses import replace
from typing import Any

import pytest
from base_training import TrainedBase
from toy_speech import make_utterances

from ds2ray.config import AdaptConfig, AdapterConfig
from ds2ray.model.adapters.kinds import build_adapter
from ds2ray.model.weights import Base, to_bytes
from ds2ray.tables.manifest import Utterance
from ds2ray.training.adapters.cohort import CohortResult, adapt_cohort, results_of
from ds2ray.training.adapters.judging.gate import CurrentAdapter
from ds2ray.training.adapters.judging.results import AdapterFit
from ds2ray.training.adapters.judging.split import CROSS_VALIDATED, split_rule
from ds2ray.training.adapters.stack import stacked

ADAPTER = AdapterConfig(hidden_dims=[16], after_layer=-1)
ADAPT = AdaptConfig(
    num_epochs=4,
    batch_size=4,
    learning_rate=0.01,
    held_out_fraction=0.3,
    cross_validate_below=0,
    warm_epochs=2,
    warm_learning_rate=0.002,
)
Fleet = dict[str, list[Utterance]]
FIRST_NIGHT, SECOND_NIGHT = 10, 11


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    folder = tmp_path_factory.mktemp("users")
    return {
        name: make_utterances(folder, 12, seed=seed, pitch=pitch)
        for seed, (name, pitch) in enumerate({"ann": 1.3, "bob": 0.8, "carl": 1.1}.items())
    }


def adapted(base: Base, users: Fleet, **options: Any) -> dict[str, CohortResult]:
    adapter, adapt = options.pop("adapter", ADAPTER), options.pop("adapt", ADAPT)
    return {one.user_key: one for one in results_of(adapt_cohort(base, users, adapter, adapt, **options))}


def fit_of(result: CohortResult) -> AdapterFit:
    assert result.fit is not None, result.reason
    return result.fit


def first_night(base: Base, utterances: list[Utterance]) -> CurrentAdapter:
    """The adapter of a user's first night, as the store would give it in the second."""
    fit = fit_of(adapted(base, {"ann": utterances})["ann"])
    adapter = build_adapter(base.model.encoding_dim(ADAPTER.after_layer), ADAPTER)
    adapter.load_state_dict(fit.state)
    return CurrentAdapter(adapter, split=split_rule(len(utterances), ADAPT), num_utterances=len(utterances))


@pytest.fixture(scope="module")
def current(trained_base: TrainedBase, users: Fleet) -> CurrentAdapter:
    return first_night(copy.deepcopy(trained_base.base), users["ann"][:FIRST_NIGHT])


def second_night(base: Base, users: Fleet, current: CurrentAdapter, **options: Any) -> CohortResult:
    speech = users["ann"][: options.pop("count", SECOND_NIGHT)]
    return adapted(base, {"ann": speech}, open_current={"ann": current}.get, **options)["ann"]


def test_training_goes_on_for_a_few_epochs_and_is_better_or_nothing(
    base: Base, users: Fleet, current: CurrentAdapter
) -> None:
    result = second_night(base, users, current)
    fit = fit_of(result)
    assert fit.score_start is not None
    assert result.current_error == fit.score_start.words.rate()
    assert fit.trained
    assert fit.epochs == 2
    afresh = fit_of(second_night(base, users, current, adapt=replace(ADAPT, num_epochs=2, warm_start=False)))
    assert fit.loss_after < afresh.loss_after < afresh.loss_before


@pytest.mark.parametrize(
    ("changed", "options"),
    [
        ({}, {"count": FIRST_NIGHT}),  # other speech, as there is not more of it
        ({}, {"count": FIRST_NIGHT - 1}),
        ({"num_utterances": 7}, {}),  # more than half as much again
        ({"num_utterances": None}, {}),  # of a release that did not say how many
        ({"split": ""}, {}),
        ({"split": CROSS_VALIDATED}, {}),
        ({}, {"adapt": replace(ADAPT, seed=1)}),  # other speech is held out
        ({"split": CROSS_VALIDATED}, {"adapt": replace(ADAPT, cross_validate_below=16)}),
        ({}, {"adapt": replace(ADAPT, warm_start=False)}),
        ({}, {"adapt": replace(ADAPT, force=True)}),
        ({}, {"adapter": replace(ADAPTER, hidden_dims=[8])}),
    ],
)
def test_training_begins_afresh(
    base: Base, users: Fleet, current: CurrentAdapter, changed: dict[str, Any], options: dict[str, Any]
) -> None:
    fit = fit_of(second_night(base, users, replace(current, **changed), **options))
    assert fit.score_start is None
    alone = {"adapter": ADAPTER, "adapt": ADAPT} | {k: v for k, v in options.items() if k != "count"}
    afresh = fit_of(adapted(base, {"ann": users["ann"][: options.get("count", SECOND_NIGHT)]}, **alone)["ann"])
    assert to_bytes(fit.state) == to_bytes(afresh.state)


def test_a_current_adapter_that_no_epoch_improves_is_kept(base: Base, users: Fleet, current: CurrentAdapter) -> None:
    result = second_night(base, users, current, adapt=replace(ADAPT, warm_learning_rate=3.0))
    fit = fit_of(result)
    assert not fit.trained
    assert not result.better
    assert result.reason == "training did not lower the held-out loss of the current adapter"
    assert to_bytes(fit.state) == to_bytes(current.adapter.state_dict())


def test_a_returning_user_has_the_same_adapter_in_any_company(
    base: Base, users: Fleet, current: CurrentAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = {"bob": users["bob"], "ann": users["ann"][:SECOND_NIGHT], "carl": users["carl"]}
    open_current = {"ann": current}.get
    alone = {name: adapted(base, {name: speech}, open_current=open_current)[name] for name, speech in fleet.items()}
    together = adapted(base, fleet, open_current=open_current)
    for name, result in together.items():
        assert to_bytes(fit_of(result).state) == to_bytes(fit_of(alone[name]).state)
    monkeypatch.setattr(stacked, "STACK_ROWS", {})  # as on a GPU
    for name, result in adapted(base, fleet, open_current=open_current).items():
        assert fit_of(result).epochs == fit_of(alone[name]).epochs
        assert fit_of(result).loss_after == pytest.approx(fit_of(alone[name]).loss_after, rel=1e-3)
