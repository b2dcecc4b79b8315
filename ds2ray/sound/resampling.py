"""Band-limited resampling of sound, whole or piece by piece; torch is imported only where a rate is changed."""

import math
from fractions import Fraction

import numpy as np

_MAX_KERNEL = 2**22
"""Numbers in a resampling kernel: it has about (from / gcd) · (to / gcd) of them."""


def resample(waveform: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Band-limited resampling of float32 [num_samples].

    Rates without a common divisor (11127 Hz) are taken for the nearest that have one, which is less than a millionth
    off: their exact kernel would take gigabytes.
    """
    if from_hz == to_hz:
        return waveform
    import torch
    from torchaudio.functional import resample as resample_tensor

    ratio = _ratio(from_hz, to_hz)
    samples = torch.from_numpy(np.ascontiguousarray(waveform, dtype=np.float32))
    return resample_tensor(samples, ratio.numerator, ratio.denominator).numpy()


def change_speed(waveform: np.ndarray, speed: float) -> np.ndarray:
    """Play float32 [num_samples] `speed` times as fast: shorter and higher for speeds above 1."""
    return resample(waveform, round(speed * 1000), 1000)


class Resampler:
    """Resampling of a waveform that arrives in pieces: the pieces that it gives are those of the whole, resampled."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._ratio = _ratio(from_hz, to_hz)
        # torchaudio's kernel reaches 6 zero crossings of a filter at 0.99 of the lower rate, here with room to spare
        reach = 8 * max(1, math.ceil(self._ratio))
        self._context = math.ceil(reach / self._ratio.numerator) * self._ratio.numerator
        self._held = np.zeros(0, dtype=np.float32)
        self._led = 0  # samples at the front of `_held` that were resampled already and are context of what follows

    def push(self, waveform: np.ndarray) -> np.ndarray:
        """Take float32 [any number] and give what can be resampled without knowing what follows."""
        if self._ratio == 1:
            return waveform
        self._held = np.concatenate([self._held, waveform])
        step = self._ratio.numerator
        ready = (len(self._held) - self._led - self._context) // step * step
        if ready <= 0:
            return np.zeros(0, dtype=np.float32)
        end = self._led + ready
        done = self._resampled(self._held[: end + self._context])
        first, last = self._led // step, end // step
        result = done[first * self._ratio.denominator : last * self._ratio.denominator]
        lead = min(end, self._context)
        self._held, self._led = self._held[end - lead :], lead
        return result

    def finish(self) -> np.ndarray:
        """The samples that are left when the waveform has ended."""
        held, self._held = self._held, np.zeros(0, dtype=np.float32)
        if len(held) == self._led:
            return np.zeros(0, dtype=np.float32)
        return self._resampled(held)[self._led // self._ratio.numerator * self._ratio.denominator :]

    def _resampled(self, waveform: np.ndarray) -> np.ndarray:
        return resample(waveform, self._ratio.numerator, self._ratio.denominator)


def _ratio(from_hz: int, to_hz: int) -> Fraction:
    """Exactly from / to, or the nearest ratio whose kernel fits memory."""
    exact = Fraction(from_hz, to_hz)
    if exact.numerator * exact.denominator <= _MAX_KERNEL:
        return exact
    return exact.limit_denominator(max(1, math.isqrt(int(_MAX_KERNEL / exact))))
