"""Channels mixed to one: nothing cancels, nothing is weakened, and a note says what was not ordinary."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sounds import CASES, RATE_HZ, encoded, likeness, warble

from ds2ray.sound.audio import read_waveform
from ds2ray.sound.channels import Mixer
from ds2ray.sound.pieces import read_pieces


def mixed(*channels: np.ndarray) -> tuple[np.ndarray, str]:
    mixer = Mixer()
    return mixer.mix(np.stack(channels, axis=1)), mixer.note


SPEECH, OTHER = warble(), warble(seed=5)
DEAD = np.zeros_like(SPEECH)


def test_one_channel_stays_as_it_is() -> None:
    waveform, note = mixed(SPEECH)
    np.testing.assert_array_equal(waveform, SPEECH)
    assert note == ""


@pytest.mark.parametrize("right", [SPEECH, OTHER, 0.5 * SPEECH + 0.1 * OTHER, np.roll(SPEECH, 8)])
def test_an_ordinary_pair_is_averaged_without_a_note(right: np.ndarray) -> None:
    waveform, note = mixed(SPEECH, right)
    np.testing.assert_array_equal(waveform, np.stack([SPEECH, right], axis=1).mean(axis=1))
    assert note == ""


@pytest.mark.parametrize("gain", [1.0, 0.9, 0.3, 2.0])
@pytest.mark.parametrize("noise", [0.0, 0.01])
@pytest.mark.parametrize("constant", [0.0, 0.3])
def test_opposite_phase_does_not_cancel(gain: float, noise: float, constant: float) -> None:
    hiss = np.random.default_rng(0).standard_normal(len(SPEECH)).astype(np.float32)
    waveform, note = mixed(SPEECH + np.float32(constant), -gain * SPEECH + noise * hiss + np.float32(constant))
    assert abs(np.corrcoef(waveform, SPEECH)[0, 1]) > 0.98
    assert waveform.std() > 0.6 * SPEECH.std()
    assert "of opposite phase, turned so that nothing cancels" in note


def test_a_dead_channel_weakens_nothing() -> None:
    for dead in (DEAD, DEAD + np.float32(0.2), 1e-5 * OTHER):
        waveform, note = mixed(dead, SPEECH)
        np.testing.assert_array_equal(waveform, SPEECH)
        assert note == "used channel 2 of 2; 1 is silent"


def test_six_channels_of_which_one_is_dead_and_one_turned() -> None:
    waveform, note = mixed(SPEECH, -SPEECH, SPEECH, DEAD, SPEECH, SPEECH)
    np.testing.assert_allclose(waveform, SPEECH, atol=1e-6)
    assert note == (
        "averaged channels 1, 2, 3, 5, 6 of 6; 4 is silent; 2 of opposite phase, turned so that nothing cancels"
    )


def test_six_ordinary_channels_have_a_note() -> None:
    assert mixed(*[SPEECH] * 6)[1] == "averaged channels 1, 2, 3, 4, 5, 6 of 6"


def test_silence_on_all_channels_is_silence() -> None:
    waveform, note = mixed(DEAD, DEAD)
    assert not waveform.any()
    assert note == ""


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_to_be_refused(value: float) -> None:
    broken = SPEECH.copy()
    broken[7] = value
    with np.errstate(invalid="ignore"):
        assert not np.isfinite(mixed(SPEECH, broken)[0]).all()


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=8).filter(lambda gains: max(map(abs, gains)) > 0.05))
def test_whatever_the_gains_a_voice_is_heard(gains: list[float]) -> None:
    waveform, _ = mixed(*[np.float32(gain) * SPEECH for gain in gains])
    live = [abs(gain) for gain in gains if abs(gain) > 0.99e-3 * max(map(abs, gains))]
    assert waveform.std() > 0.99 * np.mean(live) * SPEECH.std()


def test_pieces_are_mixed_alike_though_one_channel_begins_late() -> None:
    late = SPEECH.copy()
    late[: RATE_HZ // 2] = 0
    data = encoded(np.stack([SPEECH, -late], axis=1), "WAV", subtype="FLOAT")
    notes: list[str] = []
    waveform = np.concatenate(list(read_pieces(data, RATE_HZ, 0.1, tell=notes.append)))
    assert likeness(SPEECH[:-1300], waveform) > 0.95
    assert notes == ["averaged channels 1, 2 of 2; 2 of opposite phase, turned so that nothing cancels"]


@pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is not here")
def test_the_sample_of_opposite_phase() -> None:
    notes: list[str] = []
    waveform = read_waveform(str(CASES / "stereo_opposite.wav"), RATE_HZ, tell=notes.append)
    one = read_waveform(str(CASES / "stream_sox.wav"), RATE_HZ)
    np.testing.assert_allclose(np.abs(waveform), np.abs(one), atol=1e-3)
    assert notes == ["averaged channels 1, 2 of 2; 2 of opposite phase, turned so that nothing cancels"]
