"""The sound of training data: silence, bandwidth, level and clipping, by a sample of its utterances.

The measures are this project's own. An utterance's frames are 30 ms long; one is silent where its level is 30 dB below
the utterance's loud frames (their 95th percentile), or below -60 dB of full scale, so that steady noise counts as
silence where speech is well above it, and as sound where it is not. Bandwidth is where the mean spectrum falls 50 dB
below its strongest band for good. Of 36 utterances of speechocean762 at 16 kHz, 95 % had more than 7.2 kHz and all more
than 5.7 kHz by that; taken down to 8 kHz and up again, none had more than 4.9 kHz.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ds2ray.errors import InputError
from ds2ray.packs.references import row_groups_of
from ds2ray.progress import TellDone, untold_done
from ds2ray.sound.audio import read_waveform
from ds2ray.tables.manifest import Utterance
from ds2ray.training.data_report.spread import Spread

MOST_GROUPS = 10
"""Row groups of shards that are fetched for a sample."""
FRAME_S = 0.03
SILENT_DB, SILENT_DBFS = -30.0, -60.0
BAND_DB = -50.0
_FFT_SIZE = 512
_TINY = 1e-10  # -200 dB
CLIPPED, CLIPPED_SHARE = 0.99, 1e-3
"""An utterance is clipped where more than this share of its samples is as near to full scale."""
NARROW = 0.65
"""Speech is narrowband where its bandwidth is below this share of what the base's rate can hold."""


@dataclass(frozen=True)
class Heard:
    """What one utterance sounds like."""

    silence_share: float  # of its frames
    bandwidth_hz: float
    level_dbfs: float  # of its loud frames
    is_clipped: bool


@dataclass(frozen=True)
class Sample:
    """What a sample of utterances sounds like.

    Attributes:
        asked: utterances of the sample.
        unreadable: of these, those that cannot be decoded.
        sample_rate_hz: of the base, at which they are heard.
        silent: utterances in which nothing stands out of silence.
    """

    asked: int
    unreadable: int
    sample_rate_hz: int
    silence_share: Spread | None
    bandwidth_hz: Spread | None
    level_dbfs: Spread | None
    clipped: int
    narrow: int
    silent: int

    @property
    def heard(self) -> int:
        """Utterances that could be decoded."""
        return self.asked - self.unreadable


def hear_sample(
    utterances: Sequence[Utterance], size: int, sample_rate_hz: int, threads: int = 4, tell: TellDone = untold_done
) -> Sample:
    """Listen to utterances that are spread evenly over the manifest, or over some row groups of its shards.

    Args:
        size: utterances, at most; the sample is the same each time.
        threads: that read and decode.

    Raises:
        StorageError: the store cannot be reached or refuses the credentials.
    """
    places = sample_places(row_groups_of(utterance.audio for utterance in utterances), len(utterances), size)

    def hear(place: int) -> Heard | None:
        try:
            return heard(read_waveform(utterances[place].audio, sample_rate_hz), sample_rate_hz)
        except (InputError, FileNotFoundError):
            return None

    found: list[Heard] = []
    with ThreadPoolExecutor(threads) as pool:
        for done, one in enumerate(pool.map(hear, places), start=1):
            tell(done, len(places))
            found += [one] if one is not None else []
    sounding = [one for one in found if one.silence_share < 1]
    return Sample(
        asked=len(places),
        unreadable=len(places) - len(found),
        sample_rate_hz=sample_rate_hz,
        silence_share=Spread.of([one.silence_share for one in found]),
        bandwidth_hz=Spread.of([one.bandwidth_hz for one in sounding]),
        level_dbfs=Spread.of([one.level_dbfs for one in sounding]),
        clipped=sum(one.is_clipped for one in found),
        narrow=sum(one.bandwidth_hz < NARROW * sample_rate_hz / 2 for one in sounding),
        silent=len(found) - len(sounding),
    )


def sample_places(row_groups: np.ndarray | None, count: int, size: int) -> np.ndarray:
    """Indices of the utterances of a sample, rising.

    Args:
        row_groups: of each utterance in its shards, which are fetched as wholes, so that a few must do; None: there are
            none.
        count: utterances of the manifest.
        size: utterances of the sample, at most.
    """
    if row_groups is None:
        return _evenly(np.arange(count), size)
    groups = _evenly(np.unique(row_groups), MOST_GROUPS)
    each = max(1, size // len(groups))
    return np.sort(np.concatenate([_evenly(np.flatnonzero(row_groups == group), each) for group in groups]))[:size]


def _evenly(values: np.ndarray, most: int) -> np.ndarray:
    """Some of the values, spread evenly over them."""
    return values[np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int))]


def heard(waveform: np.ndarray, sample_rate_hz: int) -> Heard:
    """What float32 [num_samples] sounds like."""
    size = max(1, min(len(waveform), round(FRAME_S * sample_rate_hz)))
    frames = waveform[: len(waveform) // size * size].reshape(-1, size).astype(np.float64)
    levels = 10 * np.log10((frames**2).mean(axis=1) + _TINY) if len(frames) else np.array([SILENT_DBFS - 1])
    loud = float(np.percentile(levels, 95))
    return Heard(
        silence_share=float((levels < max(loud + SILENT_DB, SILENT_DBFS)).mean()),
        bandwidth_hz=_bandwidth_hz(waveform, sample_rate_hz),
        level_dbfs=loud,
        is_clipped=bool(len(waveform)) and float((np.abs(waveform) >= CLIPPED).mean()) > CLIPPED_SHARE,
    )


def _bandwidth_hz(waveform: np.ndarray, sample_rate_hz: int) -> float:
    """Where the mean spectrum of a waveform falls below `BAND_DB` for good."""
    padded = np.pad(waveform, (0, max(0, _FFT_SIZE - len(waveform))))
    frames = padded[: len(padded) // _FFT_SIZE * _FFT_SIZE].reshape(-1, _FFT_SIZE)
    power = (np.abs(np.fft.rfft(frames * np.hanning(_FFT_SIZE))) ** 2).mean(axis=0)
    within = np.flatnonzero(power >= 10 ** (BAND_DB / 10) * power.max())
    return float((within[-1] + 1) / len(power) * sample_rate_hz / 2)
