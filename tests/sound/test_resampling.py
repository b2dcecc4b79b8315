"""Resampling: in pieces as at once, and in bounded memory for any rate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import likeness, warble
from torchaudio.functional import resample as reference

from ds2ray.sound.resampling import Resampler, resample


@settings(max_examples=40)
@given(
    st.sampled_from([8000, 11025, 12000, 22050, 24000, 32000, 44100, 48000, 96000]),
    st.lists(st.integers(0, 9000), min_size=1, max_size=8),
)
def test_pieces_are_those_of_the_whole(from_hz: int, lengths: list[int]) -> None:
    waveform = warble(sum(lengths), from_hz)
    resampler = Resampler(from_hz, 16000)
    ends = np.cumsum(lengths)
    pieces = [resampler.push(waveform[end - length : end]) for end, length in zip(ends, lengths, strict=True)]
    joined = np.concatenate([*pieces, resampler.finish()])
    whole = resample(waveform, from_hz, 16000) if len(waveform) else waveform
    assert joined.shape == whole.shape
    np.testing.assert_allclose(joined, whole, atol=1e-5)


@pytest.mark.parametrize("from_hz", [8000, 22050, 44100, 48000])
def test_common_rates_are_resampled_exactly(from_hz: int) -> None:
    import torch

    waveform = warble(from_hz, from_hz)
    expected = reference(torch.from_numpy(waveform), from_hz, 16000).numpy()
    np.testing.assert_array_equal(resample(waveform, from_hz, 16000), expected)


@pytest.mark.parametrize("from_hz", [7919, 11127, 44101, 999_983])
def test_a_rate_without_a_common_divisor_needs_no_gigabytes(from_hz: int) -> None:
    waveform = resample(warble(2 * from_hz, from_hz), from_hz, 16000)
    assert abs(len(waveform) - 32000) <= 1
    if from_hz < 16000:
        assert likeness(warble(30000), waveform) > 0.98
