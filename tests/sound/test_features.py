"""Log-mel features and SpecAugment."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2ray.config import AudioConfig, AugmentConfig
from ds2ray.padding import frame_mask
from ds2ray.sound.audio import num_feature_frames
from ds2ray.sound.features import LogMel, spec_augment


def noise(*lengths: int, padded_to: int = 0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rows = [0.1 * torch.randn(length, generator=generator) for length in lengths]
    waveforms = torch.zeros(len(rows), max(padded_to, *lengths))
    for row, values in enumerate(rows):
        waveforms[row, : len(values)] = values
    return waveforms, torch.tensor(lengths)


@pytest.mark.parametrize("normalise", [True, False])
@settings(max_examples=25)
@given(lengths=st.lists(st.integers(1, 5000), min_size=1, max_size=4), extra=st.integers(0, 4000))
def test_padding_changes_no_frame(normalise: bool, lengths: list[int], extra: int) -> None:
    log_mel = LogMel(AudioConfig(num_mels=16, normalise=normalise))
    waveforms, num_samples = noise(*lengths, padded_to=max(lengths) + extra)
    features, frames = log_mel(waveforms, num_samples)
    for row, length in enumerate(lengths):
        alone, alone_frames = log_mel(waveforms[row : row + 1, :length], num_samples[row : row + 1])
        count = int(frames[row])
        assert count == int(alone_frames[0]) == num_feature_frames(length, AudioConfig())
        torch.testing.assert_close(features[row, :count], alone[0], atol=2e-4, rtol=1e-4)
        assert features[row, count:].abs().sum() == 0


def test_normalised_features_have_zero_mean_and_unit_variance_over_speech_alone() -> None:
    log_mel = LogMel(AudioConfig(num_mels=16))
    features, frames = log_mel(*noise(16000, 8000))
    for row, count in enumerate(frames.tolist()):
        speech = features[row, :count]
        torch.testing.assert_close(speech.mean(0), torch.zeros(16), atol=1e-4, rtol=0)
        torch.testing.assert_close(speech.square().mean(0), torch.ones(16), atol=1e-3, rtol=0)


def test_loudness_does_not_matter_and_silence_is_finite() -> None:
    log_mel = LogMel(AudioConfig(num_mels=16))
    waveforms, lengths = noise(16000)
    torch.testing.assert_close(log_mel(waveforms, lengths)[0], log_mel(5 * waveforms, lengths)[0], atol=0.02, rtol=0.02)
    assert log_mel(torch.zeros(1, 16000), lengths)[0].isfinite().all()


@pytest.mark.parametrize("num_mels", [1, 40, 80, 128, 256, 512])
def test_every_mel_channel_hears_something(num_mels: int) -> None:
    log_mel = LogMel(AudioConfig(num_mels=num_mels))  # torchaudio warns of channels without a frequency
    assert (log_mel.mel.mel_scale.fb.sum(0) > 0).all()


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    times=st.integers(0, 3),
    longest=st.integers(0, 30),
    bands=st.integers(0, 3),
    widest=st.integers(0, 30),
    seed=st.integers(0, 1000),
)
def test_spec_augment_only_masks(
    lengths: list[int], times: int, longest: int, bands: int, widest: int, seed: int
) -> None:
    config = AugmentConfig(
        num_time_masks=times, max_time_mask_frames=longest, num_mel_masks=bands, max_mel_mask_channels=widest
    )
    features = torch.rand(len(lengths), max(lengths), 16, generator=torch.Generator().manual_seed(seed)) + 1
    features = features * frame_mask(torch.tensor(lengths), max(lengths)).unsqueeze(2)
    torch.manual_seed(seed)
    masked = spec_augment(features, torch.tensor(lengths), config)
    assert ((masked == features) | (masked == 0)).all()
    for row, length in enumerate(lengths):
        silent_frames = int((masked[row, :length].sum(1) == 0).sum())
        silent_channels = int((masked[row, :length].sum(0) == 0).sum())
        if silent_channels < 16:
            assert silent_frames <= times * min(longest, length // 5)
        if silent_frames < length:
            assert silent_channels <= bands * min(widest, 8)
    torch.manual_seed(seed)
    assert torch.equal(spec_augment(features, torch.tensor(lengths), config), masked)


def test_spec_augment_treats_rows_differently_and_is_at_work() -> None:
    torch.manual_seed(0)
    masked = spec_augment(torch.ones(8, 100, 16), torch.full((8,), 100), AugmentConfig())
    assert (masked == 0).any()
    assert len({tuple((row == 0).flatten().tolist()) for row in masked}) == 8


def test_spec_augment_without_masks_changes_nothing() -> None:
    features = torch.rand(2, 20, 16)
    assert torch.equal(
        spec_augment(features, torch.tensor([20, 7]), AugmentConfig(num_time_masks=0, num_mel_masks=0)), features
    )
