"""Settings of features."""

import math
from dataclasses import dataclass

from ds2ray.config.fields import require, setting


@dataclass(frozen=True, kw_only=True)
class AudioConfig:
    """Sound to features. Part of the base's fingerprint: training and recognition share these settings."""

    sample_rate_hz: int = setting(16000, "waveforms are resampled to this rate")
    num_mels: int = setting(80, "log-mel channels: the model's input_dim")
    window_s: float = setting(0.025, "length of one analysis window")
    hop_s: float = setting(0.010, "distance between windows: one feature frame")
    normalise: bool = setting(True, "zero mean and unit variance per utterance and mel channel")

    def __post_init__(self) -> None:
        require(self.sample_rate_hz >= 4000, "audio.sample_rate_hz", self.sample_rate_hz, "at least 4000")
        require(1 <= self.num_mels <= 512, "audio.num_mels", self.num_mels, "1 to 512")
        require(0 < self.hop_s <= self.window_s, "audio.hop_s", self.hop_s, "above 0 and at most audio.window_s")

    @property
    def fft_size(self) -> int:
        """Samples of a Fourier transform: a power of two that holds the window and is fine enough for every mel channel
        to cover a frequency."""
        size = 1 << (round(self.window_s * self.sample_rate_hz) - 1).bit_length()
        # HTK's mel scale, as torchaudio uses it; the lowest channel is the narrowest
        mels_per_channel = 2595 * math.log10(1 + self.sample_rate_hz / 2 / 700) / (self.num_mels + 1)
        narrowest_hz = 700 * (10 ** (2 * mels_per_channel / 2595) - 1)
        while self.sample_rate_hz / size > narrowest_hz:
            size *= 2
        return size
