"""The anchor: an adapter that is held to its base on ordinary speech forgets less, and is judged there."""

import logging
from dataclasses import replace
from typing import Any

import pytest
import torch
from toy_speech import make_utterances

from ds2ray.config import AdaptConfig, AdapterConfig
from ds2ray.errors import ConfigError
from ds2ray.metrics import ErrorCount, Score
from ds2ray.model.weights import Base, to_bytes
from ds2ray.tables.manifest import Utterance
from ds2ray.training.adapters import anchor as anchors
from ds2ray.training.adapters.anchor import Anchor, encode_anchor
from ds2ray.training.adapters.cohort import CohortResult, adapt_cohort, results_of
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.adapters.stack.learners import held_to_base

FIRST, LAST = AdapterConfig(hidden_dims=[16], after_layer=0), AdapterConfig(hidden_dims=[16], after_layer=-1)
ADAPT = AdaptConfig(
    num_epochs=6,
    batch_size=2,
    learning_rate=0.01,
    held_out_fraction=0.3,
    cross_validate_below=0,
    further_share=0.0,
    gate_confidence=0.0,
    anchor_manifest="ordinary.csv",
    anchor_weight=30.0,
)
Speech = list[Utterance]


@pytest.fixture(autouse=True)
def short_pieces_in_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy's words are short, and its steps few."""
    monkeypatch.setattr(anchors, "PIECE_S", 0.2)
    monkeypatch.setattr(anchors, "EVERY", 1)


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Speech:
    return make_utterances(tmp_path_factory.mktemp("ordinary"), 6, seed=7)


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Speech]:
    folder = tmp_path_factory.mktemp("users")
    return {
        name: make_utterances(folder, 8 + seed, seed=seed, pitch=pitch)
        for seed, (name, pitch) in enumerate({"ann": 1.3, "bob": 0.8}.items())
    }


def encoded(base: Base, ordinary: Speech, adapter: AdapterConfig = FIRST) -> Anchor:
    return encode_anchor(base, ordinary, Encoder(base, adapter.after_layer), ADAPT)


def adapted(base: Base, users: dict[str, Speech], anchor: Anchor | None, **options: Any) -> dict[str, CohortResult]:
    adapter, adapt = options.pop("adapter", FIRST), options.pop("adapt", ADAPT)
    events = adapt_cohort(base, users, adapter, adapt, anchor=anchor, **options)
    return {one.user_key: one for one in results_of(events)}


def weights(result: CohortResult) -> bytes:
    assert result.fit is not None, result.reason
    return to_bytes(result.fit.state)


def distance(base: Base, anchor: Anchor, result: CohortResult, adapter: AdapterConfig) -> float:
    """The mean divergence from the base on all pieces of the anchor."""
    assert result.fit is not None
    base.model.add_adapter(adapter)
    assert base.model.adapter is not None
    base.model.adapter.load_state_dict(result.fit.state)
    base.model.eval()
    lengths = torch.full((len(anchor.pieces),), anchor.pieces.shape[1])
    with torch.no_grad():
        heard = base.model.head(base.model.adapter(anchor.pieces), lengths, adapter.after_layer)
    base.model.adapter = None
    return anchors.kl_divergences(heard, anchor.of_base, lengths).mean().item()


@pytest.mark.parametrize("adapter", [FIRST, LAST])
def test_an_adapter_that_is_held_to_the_base_strays_less(
    base: Base, users: dict[str, Speech], ordinary: Speech, adapter: AdapterConfig
) -> None:
    anchor, ann = encoded(base, ordinary, adapter), {"ann": users["ann"]}
    held = adapted(base, ann, anchor, adapter=adapter)["ann"]
    free = adapted(base, ann, anchor, adapter=adapter, adapt=replace(ADAPT, anchor_weight=0.0))["ann"]
    assert distance(base, anchor, held, adapter) < 0.7 * distance(base, anchor, free, adapter)


def test_an_anchor_that_only_judges_changes_no_adapter(base: Base, users: dict[str, Speech], ordinary: Speech) -> None:
    anchor, ann = encoded(base, ordinary), {"ann": users["ann"]}
    judged = adapted(base, ann, anchor, adapt=replace(ADAPT, anchor_weight=0.0))["ann"]
    without = adapted(base, ann, None)["ann"]
    assert weights(judged) == weights(without)
    assert judged.fit is not None
    assert judged.fit.anchor is not None
    assert judged.fit.anchor.before == anchor.before.score
    assert without.fit is not None
    assert without.fit.anchor is None


def test_an_adapter_has_the_same_bytes_in_any_company(base: Base, users: dict[str, Speech], ordinary: Speech) -> None:
    anchor = encoded(base, ordinary)
    together = adapted(base, users, anchor)
    for name, speech in users.items():
        alone = adapted(base, {name: speech}, encoded(base, ordinary))[name]
        assert weights(together[name]) == weights(alone)
        assert together[name].fit == replace(together[name].fit, anchor=alone.fit.anchor)  # type: ignore[union-attr,type-var]


def test_the_gate_counts_what_an_adapter_costs_on_ordinary_speech(
    base: Base, users: dict[str, Speech], ordinary: Speech
) -> None:
    settings = replace(ADAPT, anchor_weight=0.0, max_anchor_rise=0.0)
    anchor = encoded(base, ordinary)
    ann = {"ann": users["ann"]}
    free = adapted(base, ann, anchor, adapt=settings)["ann"]
    assert free.fit is not None
    assert free.fit.anchor is not None
    refused = free.fit.anchor.rise(settings.gate_metric) > 0
    assert free.reason.startswith("ordinary speech: ") == refused


def test_what_cannot_be_used_is_left_out_and_told(
    base: Base, ordinary: Speech, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = replace(ordinary[0], audio=b"no audio", utterance_id="broken")
    with caplog.at_level(logging.WARNING):
        anchor = encoded(base, [damaged, *ordinary])
    assert len(anchor.speech.frames) == len(ordinary)
    assert "the anchor, " in caplog.text
    assert "broken" in caplog.text
    with pytest.raises(ConfigError, match=r"adapt\.anchor_manifest: 1 usable utterances, at least 3 are needed \(.+\)"):
        encoded(base, [damaged, ordinary[0]])


def test_an_anchor_without_a_piece_is_refused(base: Base, ordinary: Speech, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchors, "PIECE_S", 1000.0)
    with pytest.raises(ConfigError, match="no utterance is as long as 1000 s"):
        encoded(base, ordinary)


@pytest.mark.parametrize(("errors", "weight"), [(0, 0.4), (2, 0.32), (5, 0.2), (9, 0.2), (25, 0.2)])
def test_the_better_the_base_hears_a_user_the_stronger_it_pulls(errors: int, weight: float) -> None:
    before = Score(ErrorCount(errors, 0, 0, 10), ErrorCount(0, 0, 0, 50))
    assert held_to_base(AdaptConfig(anchor_weight=0.4), before).anchor_weight == pytest.approx(weight)
