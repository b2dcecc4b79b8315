"""From waveforms to log-mel features: one path for training and recognition. SpecAugment is for training only.

Shapes: B utterances of a batch, S samples of the longest, F feature frames of the longest, M mel channels.
"""

import torch
from torch import Tensor, nn
from torchaudio.transforms import MelSpectrogram

from ds2ray.config import AudioConfig, AugmentConfig, Statistics
from ds2ray.padding import frame_mask

LOG_FLOOR = 1e-6
"""Added before the logarithm: about -60 dB below full scale, so that digital silence stays finite."""


TINY = 1e-12
"""Power that keeps quotients of digital silence defined."""

FULL_DB, NONE_DB = 20.0, 30.0
"""With statistics of speech, a frame counts fully down to so far below the utterance's level, and not at all from there
on: vowels and most consonants count, pauses and what is around the speech do not."""

RELATIVE_FLOOR = 1e-5
"""With statistics of speech, this share of the level is added before the logarithm, too: 50 dB below speech all is
equally silent, whatever the recorder makes of silence."""

LEAST_VARIANCE = 1.0
"""With statistics of speech, in squared nats, added to the variance: about a fifth of what speech has, and more than
steady noise has, which is not made larger for want of speech."""


class LogMel(nn.Module):
    """Log-mel features of padded waveforms, on whatever device they lie.

    Frames are centred on zero-padded waveforms, so padding after a row's end changes none of its frames.
    """

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.config = config
        self.hop_samples = round(config.hop_s * config.sample_rate_hz)
        self.normalise, self.of_speech = config.normalise, config.statistics is Statistics.speech
        window_samples = round(config.window_s * config.sample_rate_hz)
        self.mel = MelSpectrogram(
            sample_rate=config.sample_rate_hz,
            n_fft=config.fft_size,
            win_length=window_samples,
            hop_length=self.hop_samples,
            n_mels=config.num_mels,
            pad_mode="constant",
        )

    @torch.no_grad()
    def forward(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            waveforms: float32 [B, S], zero after each row's end.
            num_samples: int64 [B].

        Returns:
            features float32 [B, F, M], zero after each row's end, and their lengths int64 [B].
        """
        power = self.mel(waveforms).transpose(1, 2)
        lengths = 1 + num_samples // self.hop_samples
        mask = frame_mask(lengths, power.shape[1]).unsqueeze(2).float()
        if not self.normalise:
            return torch.log(power + LOG_FLOOR) * mask, lengths
        if self.of_speech:
            return _normalised_by_speech(power, mask), lengths
        features = torch.log(power + LOG_FLOOR)
        count = lengths[:, None, None]
        features = (features - (features * mask).sum(1, keepdim=True) / count) * mask
        return features / (features.square().sum(1, keepdim=True) / count + 1e-5).sqrt(), lengths


def _normalised_by_speech(power: Tensor, mask: Tensor) -> Tensor:
    """Logarithms of mel power with zero mean and unit variance over the frames that are about as loud as the speech.

    The level is the mean of the frames' power weighted by itself, to which silence adds nothing. Where all frames are
    silent, so are the features: zero, or in noise close to it.

    Args:
        power: [B, F, M]; mask: [B, F, 1], 1 in a row's frames and 0 after them.
    """
    loudness = power.mean(2, keepdim=True) * mask + TINY
    level = loudness.square().sum(1, keepdim=True) / loudness.sum(1, keepdim=True)
    below_db = 10 * torch.log10(loudness / level)
    counts = ((below_db + NONE_DB) / (NONE_DB - FULL_DB)).clamp(0, 1) * mask
    shares = counts / counts.sum(1, keepdim=True)
    features = torch.log(power + LOG_FLOOR + RELATIVE_FLOOR * level)
    features = (features - (features * shares).sum(1, keepdim=True)) * mask
    variance = (features.square() * shares).sum(1, keepdim=True)
    return features / (variance + LEAST_VARIANCE).sqrt()


def spec_augment(features: Tensor, lengths: Tensor, config: AugmentConfig) -> Tensor:
    """Mask random stretches of time and bands of channels with zeros, differently in each row.

    SpecAugment (Park et al., 2019) without time warping. Draws from torch's global generator.

    Args:
        features: float32 [B, F, M].
        lengths: int64 [B].
    """
    num_rows, num_frames, num_mels = features.shape
    for _ in range(config.num_time_masks):
        # at most a fifth of a row, so that short utterances keep most of their words
        longest = (lengths // 5).clamp(max=config.max_time_mask_frames)
        features = features * ~_random_span(lengths, longest, num_frames).unsqueeze(2)
    for _ in range(config.num_mel_masks):
        sizes = torch.full((num_rows,), num_mels, device=features.device)
        widest = torch.full_like(sizes, min(config.max_mel_mask_channels, num_mels // 2))
        features = features * ~_random_span(sizes, widest, num_mels).unsqueeze(1)
    return features


def _random_span(sizes: Tensor, longest: Tensor, width: int) -> Tensor:
    """bool [B, width], true in one random span of up to `longest` per row that lies within the row's `sizes`."""
    draws = torch.rand(2, len(sizes)).to(sizes.device)
    spans = (draws[0] * (longest + 1)).long()
    starts = (draws[1] * (sizes - spans + 1)).long()
    position = torch.arange(width, device=sizes.device)
    return (position >= starts[:, None]) & (position < (starts + spans)[:, None])
