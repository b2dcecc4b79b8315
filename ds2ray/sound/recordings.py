"""Training audio as people record it: silence and noise around the speech, rooms, faint or clipped levels, telephones;
and recordings in which nobody speaks.

All of it works on whole batches, on their device. Small draws come from torch's global generator of the CPU, noise
from that of the device.

Shapes: B utterances of a batch, S samples of the longest, S' with what is put around it.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ds2ray.config import AugmentConfig
from ds2ray.padding import frame_mask

TELEPHONE_HZ = 8000
TELEPHONE_BAND_HZ = (300.0, 3400.0)
"""ITU-T G.712: the band of a telephone line."""
MU = 255.0
"""ITU-T G.711."""
LOWEST_HZ = 50.0
"""Below it noise of no colour gets louder."""
SILENCE_DB = (-85.0, -15.0)
"""Levels of what is heard where nobody speaks, to full scale."""
CLICKS_PER_S = 3.0
ROOM_DB = 60.0
"""A room's reverberation time is that after which its sound is so much weaker."""
DIRECT_DB = (0.0, 15.0)
"""Least and most by which the direct sound is above its reverberation."""


def as_recorded(
    waveforms: Tensor, num_samples: Tensor, config: AugmentConfig, sample_rate_hz: int
) -> tuple[Tensor, Tensor]:
    """Speech with shares of the changes that `config` names.

    Args:
        waveforms: float32 [B, S], zero after each row's end.
        num_samples: int64 [B].

    Returns:
        waveforms float32 [B, S'], zero after each row's end, and their lengths int64 [B].
    """
    if config.pad_share > 0 and torch.rand(()) < config.pad_share:
        waveforms, num_samples = _with_silence(waveforms, num_samples, config.max_pad_s * sample_rate_hz)
    mask = frame_mask(num_samples, waveforms.shape[1])
    rows = _drawn(config.room_share, waveforms)
    if len(rows):
        waveforms = waveforms.index_copy(0, rows, _in_rooms(waveforms[rows], config.room_s, sample_rate_hz))
    rows = _drawn(config.background_share, waveforms)
    if len(rows):
        level = _level(waveforms[rows]) * _decibels(config.background_snr_db, waveforms[rows], -1)
        waveforms = waveforms.index_add(0, rows, level * coloured_noise(waveforms[rows], sample_rate_hz))
    if config.gain_db != [0.0, 0.0]:
        waveforms = waveforms * _decibels(config.gain_db, waveforms)
    rows = _drawn(config.clip_share, waveforms)
    if len(rows):
        loud = waveforms[rows]
        limit = loud.abs().amax(1, keepdim=True) * _decibels(config.clip_db, loud, -1)
        waveforms = waveforms.index_copy(0, rows, loud.clamp(-limit, limit))
    rows = _drawn(config.telephone_share, waveforms)
    if len(rows) and sample_rate_hz > TELEPHONE_HZ:
        waveforms = waveforms.index_copy(0, rows, _by_telephone(waveforms[rows], sample_rate_hz))
    return waveforms * mask, num_samples


def nobody_speaks(num_rows: int, num_samples: int, sample_rate_hz: int, device: torch.device) -> Tensor:
    """Digital silence, noise of any colour and level, hum of mains, and clicks: float32 [num_rows, num_samples]."""
    like = torch.empty(num_rows, num_samples, device=device)
    kind = torch.rand(num_rows, 1).to(device)
    noise = _decibels(SILENCE_DB, like) * coloured_noise(like, sample_rate_hz)
    mains_hz = torch.where(torch.rand(num_rows, 1) < 0.5, 50.0, 60.0).to(device)
    turns = 2 * math.pi * mains_hz * torch.arange(num_samples, device=device) / sample_rate_hz
    hum = torch.zeros_like(like)
    for harmonic in range(1, 6):
        hum += torch.rand(num_rows, 1).to(device) / harmonic * (harmonic * turns).sin()
    clicks = torch.randn_like(like) * (torch.rand_like(like) < CLICKS_PER_S / sample_rate_hz)
    sounds = torch.where(kind > 0.2, noise, 0.0)
    sounds = sounds + torch.where((kind > 0.8) & (kind < 0.9), _decibels(SILENCE_DB, like) * hum, 0.0)
    return sounds + torch.where(kind > 0.9, 0.3 * clicks, 0.0)


def coloured_noise(like: Tensor, sample_rate_hz: int) -> Tensor:
    """Noise of the shape [B, S] of `like`, with a root mean square of 1; in each row its power falls with another power
    of the frequency, between none (white) and two (brown)."""
    num_rows, num_samples = like.shape
    size = num_samples + num_samples % 2
    hz = torch.arange(size // 2 + 1, device=like.device) * sample_rate_hz / size
    fall = torch.rand(num_rows, 1).to(like.device)
    shape = hz.clamp(min=LOWEST_HZ) ** -fall
    random = torch.randn(num_rows, len(hz), 2, device=like.device)
    noise = torch.fft.irfft(torch.view_as_complex(random) * shape, size)[:, :num_samples]
    return noise / (noise.square().mean(1, keepdim=True) + 1e-20).sqrt()


def _drawn(share: float, waveforms: Tensor) -> Tensor:
    """Indices int64 of the rows that a share's probability falls on, on the device of the waveforms."""
    drawn = torch.rand(len(waveforms)) < share
    return drawn.nonzero()[:, 0].to(waveforms.device)


def _decibels(between: Sequence[float], like: Tensor, sign: int = 1) -> Tensor:
    """A factor for each row of `like`, [B, 1]: so many decibels, or with a negative sign so many fewer."""
    drawn = between[0] + (between[1] - between[0]) * torch.rand(len(like), 1)
    return (10 ** (sign * drawn / 20)).to(like.device)


def _level(waveforms: Tensor) -> Tensor:
    """Root mean square of each row's speech, [B, 1], by the samples that are loud: silence in it changes little."""
    power = waveforms.square()
    return (power.square().sum(1, keepdim=True) / (power.sum(1, keepdim=True) + 1e-12) / 3).sqrt()


def _with_silence(waveforms: Tensor, num_samples: Tensor, max_samples: float) -> tuple[Tensor, Tensor]:
    """Digital silence on both sides, of other lengths in each row. How long it is at most is drawn for the batch, more
    often short than long, as a batch costs what its longest row does."""
    longest = max_samples * float(torch.rand(())) ** 2
    before, after = (longest * torch.rand(2, len(waveforms))).long().to(waveforms.device)
    total = num_samples + before + after
    source = torch.arange(int(total.max()), device=waveforms.device) - before[:, None]
    inside = (source >= 0) & (source < num_samples[:, None])
    return waveforms.gather(1, source.clamp(0, waveforms.shape[1] - 1)) * inside, total


def _in_rooms(waveforms: Tensor, room_s: Sequence[float], sample_rate_hz: int) -> Tensor:
    """Reverberation by noise that fades exponentially, after the direct sound."""
    num_rows, num_samples = waveforms.shape
    times_s = room_s[0] + (room_s[1] - room_s[0]) * torch.rand(num_rows, 1)
    seconds = torch.arange(int(room_s[1] * sample_rate_hz)) / sample_rate_hz
    fading = 10 ** (-ROOM_DB / 20 * seconds / times_s)
    room = fading.to(waveforms.device) * torch.randn(num_rows, len(seconds), device=waveforms.device)
    room[:, 0] = 0
    room = room / room.square().sum(1, keepdim=True).sqrt() * _decibels(DIRECT_DB, waveforms, -1)
    room[:, 0] = 1
    size = num_samples + len(seconds)
    spectrum = torch.fft.rfft(waveforms, size) * torch.fft.rfft(room, size)
    return torch.fft.irfft(spectrum, size)[:, :num_samples]


def _by_telephone(waveforms: Tensor, sample_rate_hz: int) -> Tensor:
    """At 8 kHz: a half with all that this rate holds, a quarter with a telephone's band, and a quarter with its
    samples of 8 bits, too."""
    num_samples = waveforms.shape[1]
    size = num_samples + num_samples % 2
    kind = torch.rand(len(waveforms), 1).to(waveforms.device)
    spectrum = torch.fft.rfft(waveforms, size)
    hz = torch.arange(spectrum.shape[1], device=waveforms.device) * sample_rate_hz / size
    of_line = (hz >= TELEPHONE_BAND_HZ[0]) & (hz <= TELEPHONE_BAND_HZ[1])
    spectrum = spectrum * torch.where(kind < 0.5, hz < TELEPHONE_HZ / 2, of_line)
    # at the telephone's own rate, so that its steps make no sound above its band
    size_there = max(2, 2 * round(size * TELEPHONE_HZ / sample_rate_hz / 2))
    there = torch.fft.irfft(spectrum[:, : size_there // 2 + 1], size_there) * (size_there / size)
    there = torch.where(kind < 0.75, there, _in_eight_bits(there))
    return torch.fft.irfft(torch.fft.rfft(there), size)[:, :num_samples] * (size / size_there)


def _in_eight_bits(waveforms: Tensor) -> Tensor:
    """Mu-law and back; what is above full scale is cut off."""
    curved = waveforms.clamp(-1, 1)
    curved = curved.sign() * torch.log1p(MU * curved.abs()) / math.log1p(MU)
    steps = (curved * 127).round() / 127
    return steps.sign() * torch.expm1(steps.abs() * math.log1p(MU)) / MU
