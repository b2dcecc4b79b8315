"""Cohorts of toy users, who have no more speech than a test needs."""

from pathlib import Path
from typing import Any

import torch
from toy_speech import make_utterances

from ds2ray.config import AdaptConfig, AdapterConfig
from ds2ray.model.weights import Base
from ds2ray.tables.manifest import Utterance
from ds2ray.training.adapters.cohort import CohortResult, adapt_cohort, results_of

ADAPTER = AdapterConfig(hidden_dims=[16], after_layer=-1)
ADAPT = AdaptConfig(
    num_epochs=6,
    batch_size=4,
    learning_rate=0.01,
    patience_epochs=3,
    held_out_fraction=0.3,
    cross_validate_below=0,
    gate_confidence=0.0,  # two held-out utterances make nobody confident
)
Fleet = dict[str, list[Utterance]]
PITCHES = {"ann": 1.3, "bob": 0.8, "홍길동": 1.15}


def toy_users(folder: Path) -> Fleet:
    return {
        name: make_utterances(folder, 10 + seed, seed=seed, pitch=pitch)
        for seed, (name, pitch) in enumerate(PITCHES.items())
    }


def adapted(base: Base, users: Fleet, **options: Any) -> dict[str, CohortResult]:
    adapter, adapt = options.pop("adapter", ADAPTER), options.pop("adapt", ADAPT)
    results = list(results_of(adapt_cohort(base, users, adapter, adapt, **options)))
    assert sorted(result.user_key for result in results) == sorted(users)
    return {result.user_key: result for result in results}


def state_of(result: CohortResult) -> dict[str, torch.Tensor]:
    assert result.fit is not None, result.reason
    return result.fit.state
