"""Noise from a folder of audio, mixed into speech for training."""

import functools
import logging
import random

import numpy as np

from ds2ray import storage
from ds2ray.config import AugmentConfig
from ds2ray.errors import InputError
from ds2ray.sound.audio import AUDIO_SUFFIXES, is_audio, read_waveform

log = logging.getLogger(__name__)

KEPT_DECODED = 32
"""Recordings that stay in memory: a collection's are read again and again."""


class NoiseFolder:
    """The recordings below a folder.

    Raises:
        InputError: there are none.
    """

    def __init__(self, config: AugmentConfig, sample_rate_hz: int) -> None:
        self.config, self.sample_rate_hz = config, sample_rate_hz
        found = storage.list_objects(config.noise_dir, recursive=True)
        self.uris = [info.uri for info in found if is_audio(info.uri)]
        if not self.uris:
            raise InputError(
                f"train.augment.noise_dir={config.noise_dir!r}: no audio in it; give a folder with files that end in "
                f"{', '.join(AUDIO_SUFFIXES)}"
            )
        self._decoded = functools.lru_cache(KEPT_DECODED)(self._decode)

    def mix(self, speech: np.ndarray, draws: random.Random) -> np.ndarray:
        """Speech float32 [num_samples], with a share's probability with noise; `draws` decides on all of it."""
        chosen = draws.random() < self.config.noise_share
        uri, start, snr_db = draws.choice(self.uris), draws.random(), draws.uniform(*self.config.noise_snr_db)
        noise = self._decoded(uri) if chosen else None
        return speech if noise is None else add_noise(speech, noise, int(start * len(noise)), snr_db)

    def _decode(self, uri: str) -> np.ndarray | None:
        try:
            return read_waveform(uri, self.sample_rate_hz)
        except (InputError, FileNotFoundError) as error:
            log.warning("noise is left out: %s: %s", uri, error)
            return None


def add_noise(speech: np.ndarray, noise: np.ndarray, start: int, snr_db: float) -> np.ndarray:
    """Speech with as much noise as the ratio of their powers says; silence on either side leaves it as it is.

    Args:
        speech: float32 [num_samples].
        noise: float32 [any number], used from sample `start` on, over and over.
    """
    places = (start + np.arange(len(speech))) % len(noise)
    part = noise[places]
    speech_power, noise_power = (float(np.mean(np.square(samples, dtype=np.float64))) for samples in (speech, part))
    if speech_power == 0 or noise_power == 0:
        return speech
    gain = np.sqrt(speech_power / noise_power / 10 ** (snr_db / 10))
    return (speech + gain * part).astype(np.float32)
