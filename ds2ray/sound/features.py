"""From waveforms to log-mel features: one path for training and recognition. SpecAugment is for training only.

Shapes: B utterances of a batch, S samples of the longest, F feature frames of the longest, M mel channels.
"""

import torch
from torch import Tensor, nn
from torchaudio.transforms import MelSpectrogram

from ds2ray.config import AudioConfig, AugmentConfig
from ds2ray.padding import frame_mask

LOG_FLOOR = 1e-6
"""Added before the logarithm: about -60 dB below full scale, so that digital silence stays finite."""


class LogMel(nn.Module):
    """Log-mel features of padded waveforms, on whatever device they lie.

    Frames are centred on zero-padded waveforms, so padding after a row's end changes none of its frames.
    """

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.config = config
        self.hop_samples = round(config.hop_s * config.sample_rate_hz)
        self.normalise = config.normalise
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
        features = torch.log(self.mel(waveforms) + LOG_FLOOR).transpose(1, 2)
        lengths = 1 + num_samples // self.hop_samples
        mask = frame_mask(lengths, features.shape[1]).unsqueeze(2)
        if self.normalise:
            count = lengths[:, None, None]
            features = (features - (features * mask).sum(1, keepdim=True) / count) * mask
            features = features / (features.square().sum(1, keepdim=True) / count + 1e-5).sqrt()
        return features * mask, lengths


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
