"""Cohorts on a device with too little memory: fewer users at a time, the same adapters."""

from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
import torch
from toy_speech import make_utterances

from ds2ray.config import AdaptConfig, AdapterConfig
from ds2ray.model.weights import Base
from ds2ray.tables.manifest import Utterance
from ds2ray.training.adapters import cohort
from ds2ray.training.adapters.cohort import TOO_LARGE, CohortResult, adapt_cohort, results_of
from ds2ray.training.adapters.judging.results import AdapterFit
from ds2ray.training.adapters.stack import stacked
from ds2ray.training.adapters.stack.stacked import StackedTraining

ADAPTER = AdapterConfig(hidden_dims=[16], after_layer=-1)
ADAPT = AdaptConfig(num_epochs=2, batch_size=4, held_out_fraction=0.3, cross_validate_below=0)
NAMES = ("ann", "bob", "carl")


@pytest.fixture
def users(tmp_path: Path) -> dict[str, list[Utterance]]:
    return {name: make_utterances(tmp_path, 6, seed=seed) for seed, name in enumerate(NAMES)}


def put_in_small_memory(
    monkeypatch: pytest.MonkeyPatch, max_users: int, too_large: Collection[str] = ()
) -> list[list[str]]:
    """Train all users in one stack, as on a GPU, and let it fail with more users, or with one that is too large.

    Returns:
        The users of the stacks that are tried.
    """
    tried: list[list[str]] = []

    class InSmallMemory(StackedTraining):
        def steps(self) -> Iterator[tuple[int, AdapterFit | str] | float]:
            names = [speech.user_key for speech in self.speeches]
            tried.append(names)
            if len(names) > max_users or {*names} & {*too_large}:
                raise torch.OutOfMemoryError("out of memory")
            yield from super().steps()

    monkeypatch.setattr(stacked, "STACK_ROWS", {})
    monkeypatch.setattr(cohort, "StackedTraining", InSmallMemory)
    return tried


def adapted(base: Base, users: dict[str, list[Utterance]]) -> dict[str, CohortResult]:
    return {result.user_key: result for result in results_of(adapt_cohort(base, users, ADAPTER, ADAPT))}


def test_a_stack_that_does_not_fit_is_halved_and_gives_the_same_adapters(
    base: Base, users: dict[str, list[Utterance]], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = adapted(base, users)
    tried = put_in_small_memory(monkeypatch, max_users=1)
    found = adapted(base, users)
    assert tried == [["ann", "bob", "carl"], ["ann", "bob"], ["ann"], ["bob"], ["carl"]]
    for name in NAMES:
        one, other = found[name].fit, expected[name].fit
        assert one is not None
        assert other is not None
        for parameter, tensor in other.state.items():
            torch.testing.assert_close(one.state[parameter], tensor, atol=3e-4, rtol=1e-3)
        assert (one.epochs, one.score_after) == (other.epochs, other.score_after)


def test_a_user_whose_training_does_not_fit_alone_is_told_so(
    base: Base, users: dict[str, list[Utterance]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = put_in_small_memory(monkeypatch, max_users=3, too_large=["bob"])
    results = adapted(base, users)
    assert (results["bob"].failed, results["bob"].reason, results["bob"].fit) == (True, TOO_LARGE, None)
    assert results["ann"].fit is not None
    assert results["carl"].fit is not None
    assert tried == [["ann", "bob", "carl"], ["ann", "bob"], ["ann"], ["bob"], ["carl"]]
