"""Facts about an audio file: rate, channels, length."""

from dataclasses import dataclass

from ds2ray.errors import InputError

MIN_RATE_HZ, MAX_RATE_HZ = 1000, 1_000_000
"""Rates outside are of damaged headers."""


@dataclass(frozen=True)
class AudioInfo:
    """An audio file's contents. `num_samples` counts per channel; of joined recordings, at the rate of the first.

    Attributes:
        note: how it is read, where that is not certain or not ordinary.
    """

    sample_rate_hz: int
    num_channels: int
    num_samples: int
    note: str = ""

    @property
    def duration_s(self) -> float:
        return self.num_samples / self.sample_rate_hz


class TooLong(InputError):
    """A recording has more seconds than its reader wants."""


def checked_rate(sample_rate_hz: int) -> int:
    """The same rate. Raises InputError where no sound can have it."""
    if not MIN_RATE_HZ <= sample_rate_hz <= MAX_RATE_HZ:
        raise InputError(f"cannot be decoded as audio (its header says {sample_rate_hz} Hz)")
    return sample_rate_hz
