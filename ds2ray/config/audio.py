"""Settings of features."""

import math
from dataclasses import dataclass
from typing import Any

from ds2ray.config.fields import Choice, from_plain, require, setting, to_plain


class Statistics(Choice):
    speech = "speech", "those about as loud as the utterance's speech: silence around it changes nothing"
    utterance = "utterance", "all of the utterance's, as in bases of releases without this setting"


@dataclass(frozen=True, kw_only=True)
class AudioConfig:
    """Sound to features. Part of the base's fingerprint: training and recognition share these settings."""

    sample_rate_hz: int = setting(16000, "waveforms are resampled to this rate")
    num_mels: int = setting(80, "log-mel channels: the model's input_dim")
    window_s: float = setting(0.025, "length of one analysis window")
    hop_s: float = setting(0.010, "distance between windows: one feature frame")
    normalise: bool = setting(True, "zero mean and unit variance per utterance and mel channel …")
    statistics: Statistics = setting(Statistics.speech, "… and which frames mean and variance are of")

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


def audio_to_plain(audio: AudioConfig) -> dict[str, Any]:
    """JSON-ready: what base.json and model.pt hold; as before there was a choice of statistics where they are of the
    whole utterance, so that the fingerprints of such bases stay what they are."""
    plain = to_plain(audio)
    return {name: value for name, value in plain.items() if (name, value) != ("statistics", "utterance")}


def audio_from_plain(values: dict[str, Any], where: str = "stored settings") -> AudioConfig:
    """The inverse of `audio_to_plain`: a base without the setting was trained with statistics of whole utterances.

    Raises as `from_plain` does.
    """
    known = values if not isinstance(values, dict) else {"statistics": Statistics.utterance.value, **values}
    return from_plain(AudioConfig, known, where)
