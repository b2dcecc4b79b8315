"""Log-mel features and SpecAugment."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2ray.config import AudioConfig, AugmentConfig, Statistics
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


KINDS = [{"normalise": False}, {"statistics": Statistics.utterance}, {"statistics": Statistics.speech}]


@pytest.mark.parametrize("kind", KINDS, ids=["raw", "utterance", "speech"])
@settings(max_examples=25)
@given(lengths=st.lists(st.integers(1, 5000), min_size=1, max_size=4), extra=st.integers(0, 4000))
def test_padding_changes_no_frame(kind: dict[str, Any], lengths: list[int], extra: int) -> None:
    log_mel = LogMel(AudioConfig(num_mels=16, **kind))
    waveforms, num_samples = noise(*lengths, padded_to=max(lengths) + extra)
    features, frames = log_mel(waveforms, num_samples)
    for row, length in enumerate(lengths):
        alone, alone_frames = log_mel(waveforms[row : row + 1, :length], num_samples[row : row + 1])
        count = int(frames[row])
        assert count == int(alone_frames[0]) == num_feature_frames(length, AudioConfig())
        torch.testing.assert_close(features[row, :count], alone[0], atol=2e-4, rtol=1e-4)
        assert features[row, count:].abs().sum() == 0


def test_statistics_of_the_utterance_are_zero_mean_and_unit_variance_over_its_own_frames() -> None:
    log_mel = LogMel(AudioConfig(num_mels=16, statistics=Statistics.utterance))
    features, frames = log_mel(*noise(16000, 8000))
    for row, count in enumerate(frames.tolist()):
        speech = features[row, :count]
        torch.testing.assert_close(speech.mean(0), torch.zeros(16), atol=1e-4, rtol=0)
        torch.testing.assert_close(speech.square().mean(0), torch.ones(16), atol=1e-3, rtol=0)


def speech_like(num_samples: int = 16000, level: float = 0.2) -> torch.Tensor:
    """Noise that comes and goes four times a second over 40 dB, float32 [num_samples]."""
    generator = torch.Generator().manual_seed(1)
    turns = 2 * torch.pi * 4 * torch.arange(num_samples) / 16000
    return level * 10 ** (turns.cos() - 1) * torch.randn(num_samples, generator=generator)


@pytest.mark.parametrize("around", [0.0, 0.001], ids=["silence", "faint noise"])
@pytest.mark.parametrize("seconds", [0.25, 1.0, 4.0])
def test_what_is_around_the_speech_changes_nothing_of_it(around: float, seconds: float) -> None:
    log_mel = LogMel(AudioConfig(num_mels=16))
    speech, pad = speech_like(), round(seconds * 16000)
    sides = around * torch.randn(2, pad, generator=torch.Generator().manual_seed(2))
    padded = torch.cat([sides[0], speech, sides[1]])
    inside = slice(pad // 160 + 3, (pad + 16000) // 160 - 3)  # windows that see nothing of the sides
    alone, _ = log_mel(speech[None], torch.tensor([16000]))
    within, _ = log_mel(padded[None], torch.tensor([len(padded)]))
    assert (within[0, inside] - alone[0, 3:-4][: inside.stop - inside.start]).abs().max() < 0.03
    assert within[0, : pad // 160 - 3].mean() < -1  # silence is quiet, and so it stays
    of_utterance = LogMel(AudioConfig(num_mels=16, statistics=Statistics.utterance))
    if seconds > 0.5:  # which the statistics of the whole utterance do not give
        alone, _ = of_utterance(speech[None], torch.tensor([16000]))
        within, _ = of_utterance(padded[None], torch.tensor([len(padded)]))
        assert (within[0, inside] - alone[0, 3:-4][: inside.stop - inside.start]).abs().max() > 0.3


@pytest.mark.parametrize("level", [0.0, 1e-5, 1e-3, 0.1])
def test_where_nobody_speaks_nothing_is_made_loud(level: float) -> None:
    features, _ = LogMel(AudioConfig(num_mels=16))(level * noise(80000)[0], torch.tensor([80000]))
    assert features.std() < 0.4
    assert features.mean().abs() < 0.1
    assert level > 0 or features.abs().max() < 1e-3


@pytest.mark.parametrize("statistics", Statistics)
def test_loudness_does_not_matter_and_silence_is_finite(statistics: Statistics) -> None:
    log_mel = LogMel(AudioConfig(num_mels=16, statistics=statistics))
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
