"""Training audio as people record it."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2ray.config import AugmentConfig
from ds2ray.config.train import AS_IT_IS
from ds2ray.errors import ConfigError
from ds2ray.sound.recordings import as_recorded, coloured_noise, nobody_speaks

RATE_HZ = 16000
NOTHING = AugmentConfig(num_time_masks=0, num_mel_masks=0, **AS_IT_IS)
CHANGES = ("pad_share", "background_share", "clip_share", "telephone_share", "room_share")
CPU = torch.device("cpu")


def speech(*lengths: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Tones of several pitches under a slow swell: float32 [B, S] and lengths [B]."""
    draws = torch.Generator().manual_seed(seed)
    waveforms = torch.zeros(len(lengths), max(lengths))
    for row, length in enumerate(lengths):
        place = torch.arange(length) / RATE_HZ
        hz = 200 + 7000 * torch.rand(6, 1, generator=draws)
        tones = (2 * torch.pi * hz * place).sin().sum(0)
        waveforms[row, :length] = 0.05 * tones * (1 + (2 * torch.pi * 3 * place).sin())
    return waveforms, torch.tensor(lengths)


def only(**changes: Any) -> AugmentConfig:
    return replace(NOTHING, **changes)


def test_nothing_is_changed_without_a_share() -> None:
    waveforms, num_samples = speech(16000, 9000)
    changed, lengths = as_recorded(waveforms, num_samples, NOTHING, RATE_HZ)
    assert torch.equal(changed, waveforms)
    assert torch.equal(lengths, num_samples)


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6000), min_size=1, max_size=4),
    seed=st.integers(0, 99),
    rate_hz=st.sampled_from([8000, 11025, 16000, 44100]),
)
def test_all_changes_together_leave_finite_rows_that_end(lengths: list[int], seed: int, rate_hz: int) -> None:
    config = only(**dict.fromkeys(CHANGES, 0.7), max_pad_s=0.2, gain_db=[-20.0, 5.0])
    waveforms, num_samples = speech(*lengths)
    torch.manual_seed(seed)
    changed, total = as_recorded(waveforms, num_samples, config, rate_hz)
    assert changed.isfinite().all()
    assert (total >= num_samples).all()
    assert changed.shape[1] >= int(total.max())
    for row, length in enumerate(total.tolist()):
        assert changed[row, length:].abs().sum() == 0
    torch.manual_seed(seed)
    assert torch.equal(as_recorded(waveforms, num_samples, config, rate_hz)[0], changed)


def test_silence_lies_around_the_same_speech_and_differs_between_rows() -> None:
    waveforms, num_samples = speech(4000, 3000, 2000)
    torch.manual_seed(3)
    padded, total = as_recorded(waveforms, num_samples, only(pad_share=1.0, max_pad_s=0.5), RATE_HZ)
    befores = []
    for row, length in enumerate(num_samples.tolist()):
        before = int((padded[row] != 0).nonzero()[0]) - int((waveforms[row] != 0).nonzero()[0])
        assert torch.equal(padded[row, before : before + length], waveforms[row, :length])
        assert padded[row].count_nonzero() == waveforms[row].count_nonzero()
        assert 0 <= before <= int(total[row]) - length <= 2 * 0.5 * RATE_HZ
        befores.append(before)
    assert len(set(befores)) == 3


@pytest.mark.parametrize("snr_db", [10.0, 30.0])
def test_background_noise_is_as_loud_as_the_ratio_says(snr_db: float) -> None:
    waveforms, num_samples = speech(32000, 32000, 32000)
    config = only(background_share=1.0, background_snr_db=[snr_db, snr_db])
    noise = as_recorded(waveforms, num_samples, config, RATE_HZ)[0] - waveforms
    ratio_db = 10 * torch.log10(waveforms.square().mean(1) / noise.square().mean(1))
    assert (ratio_db - snr_db).abs().max() < 3  # the level is that of the louder samples


def test_a_clipped_row_has_many_samples_at_its_limits() -> None:
    waveforms, num_samples = speech(16000)
    clipped, _ = as_recorded(waveforms, num_samples, only(clip_share=1.0, clip_db=[12.0, 12.0]), RATE_HZ)
    limit = float(waveforms.abs().max()) * 10 ** (-12 / 20)
    assert float(clipped.abs().max()) == pytest.approx(limit)
    assert ((clipped == waveforms) | (clipped.abs() >= 0.999 * limit)).all()
    assert (clipped != waveforms).float().mean() > 0.02


def test_telephones_let_nothing_above_4_khz_through_and_little_else_is_lost() -> None:
    waveforms, num_samples = speech(*[16000] * 40)
    changed, _ = as_recorded(waveforms, num_samples, only(telephone_share=1.0), RATE_HZ)
    before, after = (torch.fft.rfft(samples).abs().square() for samples in (waveforms, changed))
    assert (after[:, 4010:].sum(1) < 1e-4 * after.sum(1)).all()
    kept = after[:, 500:3300].sum(1) / before[:, 500:3300].sum(1)
    assert ((kept > 0.9) & (kept < 1.1)).all()
    # a half holds all that is below 4 kHz, some have mu-law's steps
    assert int((after[:, 3450:3950].sum(1) > 0.5 * before[:, 3450:3950].sum(1)).sum()) >= 8
    at_8_khz, _ = as_recorded(waveforms, num_samples, only(telephone_share=1.0), 8000)
    assert torch.equal(at_8_khz, waveforms)


def test_a_room_rings_after_the_sound_and_leaves_it_in_place() -> None:
    waveforms, num_samples = torch.zeros(1, 16000), torch.tensor([16000])
    waveforms[0, 1000] = 1.0
    ringing, _ = as_recorded(waveforms, num_samples, only(room_share=1.0, room_s=[0.2, 0.2]), RATE_HZ)
    assert ringing[0, :999].abs().max() < 1e-5
    assert float(ringing[0, 1000]) == pytest.approx(1.0, abs=1e-4)
    early, late = (ringing[0, 1001 + start : 1801 + start].square().mean() for start in (0, 1600))
    assert 25 < 10 * torch.log10(early / late) < 35  # 60 dB in 0.2 s are 30 dB in 0.1 s


def test_gain_is_within_its_bounds() -> None:
    waveforms, num_samples = speech(*[400] * 50)
    changed, _ = as_recorded(waveforms, num_samples, only(gain_db=[-20.0, 6.0]), RATE_HZ)
    gain_db = 20 * torch.log10(changed.abs().amax(1) / waveforms.abs().amax(1))
    assert -20.01 <= float(gain_db.min()) < -10
    assert 0 < float(gain_db.max()) <= 6.01


def test_noise_has_a_level_of_one_and_colours() -> None:
    torch.manual_seed(0)
    noise = coloured_noise(torch.empty(40, 16000), RATE_HZ)
    torch.testing.assert_close(noise.square().mean(1), torch.ones(40))
    power = torch.fft.rfft(noise).abs().square()
    low_share = power[:, :1000].sum(1) / power.sum(1)
    assert float(low_share.min()) < 0.25  # white has an eighth there
    assert float(low_share.max()) > 0.9


def test_where_nobody_speaks_there_is_silence_noise_hum_or_clicks() -> None:
    torch.manual_seed(0)
    rows = nobody_speaks(200, 8000, RATE_HZ, CPU)
    assert rows.isfinite().all()
    levels = rows.square().mean(1).sqrt()
    assert 20 <= int((levels == 0).sum()) <= 60
    assert float(levels.max()) < 0.5
    loud = levels[levels > 0]
    assert float(loud.min()) < 1e-3 < 0.03 < float(loud.max())


@pytest.mark.parametrize(
    ("setting", "value"),
    [("pad_share", 1.5), ("telephone_share", -0.1), ("gain_db", [5.0, -5.0]), ("room_s", [0.0, 0.5])]
    + [("clip_db", [-1.0, 3.0]), ("max_pad_s", 0.0), ("background_snr_db", [3.0])],
)
def test_what_is_not_possible_is_refused_by_name(setting: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"train\.augment\.{setting}="):
        AugmentConfig(**{setting: value})
