"""Cohorts on a device with too little memory: fewer users at a time, the same adapters."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_speech import make_utterances

from ds2ray.config import AdaptConfig, AdapterConfig
from ds2ray.model.weights import Base
from ds2ray.training.adapters import cohort
from ds2ray.training.adapters.cohort import TOO_LARGE, CohortResult, adapt_cohort
from ds2ray.training.adapters.encoded import CohortUser
from ds2ray.training.adapters.fit import AdapterFit, fit_adapter
from ds2ray.training.adapters.stacked import StackedTraining
from ds2ray.training.seeds import derive_seed

ADAPTER = AdapterConfig(hidden_dims=[16], after_layer=-1)
ADAPT = AdaptConfig(num_epochs=2, batch_size=4, held_out_fraction=0.3, cross_validate_below=0)
NAMES = ("ann", "bob", "carl")


@pytest.fixture
def base(fresh_base: Callable[[], Base]) -> Base:
    return fresh_base()


@pytest.fixture
def users(tmp_path: Path) -> list[CohortUser]:
    return [CohortUser(name, make_utterances(tmp_path, 6, seed=seed)) for seed, name in enumerate(NAMES)]


def put_in_small_memory(monkeypatch: pytest.MonkeyPatch, max_users: int) -> list[int]:
    """Let the first step of a stack of more users fail; returns the list of the sizes that are tried."""
    tried: list[int] = []

    class InSmallMemory(StackedTraining):
        def steps(self) -> Iterator[tuple[int, AdapterFit | str] | float]:
            tried.append(len(self.speeches))
            if len(self.speeches) > max_users:
                raise torch.OutOfMemoryError("out of memory")
            yield from super().steps()

    monkeypatch.setattr(cohort, "StackedTraining", InSmallMemory)
    return tried


def adapted(base: Base, users: list[CohortUser]) -> dict[str, CohortResult]:
    return {result.user_key: result for result in adapt_cohort(base, users, ADAPTER, ADAPT)}


def test_a_stack_that_does_not_fit_is_halved_and_gives_the_same_adapters(
    base: Base, users: list[CohortUser], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = adapted(base, users)
    tried = put_in_small_memory(monkeypatch, max_users=1)
    found = adapted(base, users)
    assert tried == [3, 2, 1, 1, 1]
    for name in NAMES:
        one, other = found[name].fit, expected[name].fit
        assert one is not None
        assert other is not None
        for parameter, tensor in other.state.items():
            torch.testing.assert_close(one.state[parameter], tensor, atol=3e-4, rtol=1e-3)
        assert (one.epochs, one.score_after) == (other.epochs, other.score_after)


def test_a_user_whose_training_does_not_fit_alone_is_told_so(
    base: Base, users: list[CohortUser], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in_small_memory(monkeypatch, max_users=0)

    def fit(*arguments: Any, seed: int, **options: Any) -> AdapterFit:
        if seed == derive_seed(ADAPT.seed, "bob"):
            raise torch.OutOfMemoryError("out of memory")
        return fit_adapter(*arguments, seed=seed, **options)

    monkeypatch.setattr(cohort, "fit_adapter", fit)
    results = adapted(base, users)
    assert (results["bob"].failed, results["bob"].reason, results["bob"].fit) == (True, TOO_LARGE, None)
    assert results["ann"].fit is not None
    assert results["carl"].fit is not None
