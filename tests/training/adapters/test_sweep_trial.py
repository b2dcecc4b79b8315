"""A trial of a sweep measures what a run trains, and one user who cannot be trained stops nobody."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy_speech import make_utterances

from ds2ray.config import AdaptConfig, AdapterConfig
from ds2ray.fleet.sweep.points import SweepPoint
from ds2ray.model.weights import Base
from ds2ray.tables.manifest import Utterance
from ds2ray.training.adapters.cohort import adapt_cohort, results_of
from ds2ray.training.adapters.encode import Encoder
from ds2ray.training.adapters.speech import UserSpeech, encode_users
from ds2ray.training.adapters.sweep_trial import try_point

POINT = SweepPoint(
    AdapterConfig(hidden_dims=[8], after_layer=-1),
    AdaptConfig(num_epochs=3, batch_size=4, held_out_fraction=0.3, cross_validate_below=0),
)
CPU = torch.device("cpu")


@pytest.fixture
def users(tmp_path: Path) -> dict[str, list[Utterance]]:
    for name in ("ann", "bob"):
        (tmp_path / name).mkdir()
    return {
        "ann": make_utterances(tmp_path / "ann", 8, seed=5, pitch=1.3),
        "bob": make_utterances(tmp_path / "bob", 8, seed=6, pitch=0.8),
    }


@pytest.fixture
def speeches(base: Base, users: dict[str, list[Utterance]]) -> list[UserSpeech]:
    return encode_users(Encoder(base), users, POINT.adapt)


def test_it_measures_what_a_run_trains(
    base: Base, users: dict[str, list[Utterance]], speeches: list[UserSpeech]
) -> None:
    frames = [[rows.clone() for rows in speech.frames] for speech in speeches]
    trial = try_point(base, speeches, POINT, "one", CPU)
    fits = [result.fit for result in results_of(adapt_cohort(base, users, POINT.adapter, POINT.adapt))]
    for found, fit in zip(trial.of_users, fits, strict=True):
        assert fit is not None
        assert (found.loss_before, found.loss_after) == (fit.loss_before, fit.loss_after)
        assert (found.word_errors_after, found.words) == (
            fit.score_after.words.errors,
            fit.score_after.words.reference_length,
        )
        assert found.character_errors_before == fit.score_before.characters.errors
        assert trial.num_parameters == sum(tensor.numel() for tensor in fit.state.values())
    assert (trial.trial_id, trial.reason, trial.settings) == ("one", "", POINT.settings())
    # the next trial finds the encodings as they were
    for speech, before in zip(speeches, frames, strict=True):
        assert all(torch.equal(rows, own) for rows, own in zip(speech.frames, before, strict=True))


def spoilt(speech: UserSpeech) -> UserSpeech:
    """Speech whose training utterances are not finite."""
    (part,) = speech.parts
    frames = [rows * float("nan") if row in part.train else rows for row, rows in enumerate(speech.frames)]
    return replace(speech, frames=frames)


def test_who_cannot_be_trained_keeps_the_base(base: Base, speeches: list[UserSpeech]) -> None:
    ann, bob = speeches
    alone = try_point(base, [ann], POINT, "one", CPU).of_users[0]
    good, bad = try_point(base, [ann, spoilt(bob)], POINT, "one", CPU).of_users
    assert good == alone
    assert "no step of epoch 1" in bad.reason
    assert bad.loss_after == bad.loss_before > 0
    assert (bad.word_errors_after, bad.words > 0) == (bad.word_errors_before, True)


def test_speech_that_cannot_even_be_judged(base: Base, speeches: list[UserSpeech]) -> None:
    ann, bob = speeches
    nothing_held_out = replace(bob, parts=[replace(bob.parts[0], held_out=[])])
    trial = try_point(base, [ann, nothing_held_out], POINT, "one", CPU)
    assert trial.reason == ""
    assert "needs utterances to train on and held-out ones" in trial.of_users[1].reason
    assert trial.of_users[1].words == 0
    assert trial.loss == trial.of_users[0].loss_after


def test_with_nobody_left_the_trial_failed(base: Base, speeches: list[UserSpeech]) -> None:
    trial = try_point(base, [spoilt(speech) for speech in speeches], POINT, "one", CPU)
    assert trial.reason.startswith("no user could be trained: no step of epoch 1")
