"""What only FFmpeg decodes: read to its last sample where PyAV is installed, and else refused with what to do."""

import io
import os
import random
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from sounds import RATE_HZ, encoded, likeness, warble

from ds2ray.errors import InputError
from ds2ray.sound.audio import probe, read_waveform
from ds2ray.sound.pieces import read_pieces

av = pytest.importorskip("av", reason="PyAV is not installed: ds2ray[av]")

KINDS = [
    ("ipod", "aac", 44100),  # m4a
    ("mp4", "aac", 16000),
    ("adts", "aac", 16000),
    ("ipod", "alac", 16000),
    ("webm", "libopus", 48000),
    ("matroska", "aac", 22050),
    ("asf", "wmav2", 44100),
    ("3gp", "aac", 8000),
]


def made(container: str, codec: str, rate_hz: int, layout: str = "mono", title: str = "", **options: str) -> bytes:
    """Two seconds of warble, in a file of this kind."""
    descriptor, path = tempfile.mkstemp()
    os.close(descriptor)
    # in a file, as a header in front needs a second pass over what was written
    with av.open(path, "w", format=container, options=options) as output:
        output.metadata.update({"title": title} if title else {})
        stream = output.add_stream(codec, rate=rate_hz, layout=layout)
        stream.bit_rate = 96000
        channels = len(stream.layout.channels)
        frame = av.AudioFrame.from_ndarray(
            np.tile(warble(2 * rate_hz, rate_hz), (channels, 1)), format="fltp", layout=layout
        )
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    data = Path(path).read_bytes()
    os.remove(path)
    return data


@pytest.mark.parametrize(("container", "codec", "rate_hz"), KINDS)
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_it_is_read(container: str, codec: str, rate_hz: int, layout: str) -> None:
    data = made(container, codec, rate_hz, layout)
    measured, waveform = probe(data), read_waveform(data, rate_hz)
    assert (measured.sample_rate_hz, measured.num_samples) == (rate_hz, len(waveform))
    assert measured.num_channels == (1 if layout == "mono" else 2)
    assert abs(len(waveform) - 2 * rate_hz) < 3000  # a coder's first and last frame
    assert likeness(warble(2 * rate_hz, rate_hz)[2100:-8000], waveform, 6000) > 0.97
    np.testing.assert_allclose(np.concatenate(list(read_pieces(data, rate_hz, 0.3))), waveform, atol=1e-6)


@pytest.mark.parametrize("container", ["ipod", "matroska"])
def test_a_title_in_another_encoding_is_no_fault(container: str) -> None:
    data = made(container, "aac", RATE_HZ, title="written later")
    written = data.replace(b"written later", "한글 제목 다".encode("cp949") + b"\xff")
    assert len(written) == len(data)
    assert written != data
    assert probe(written) == probe(data)
    np.testing.assert_array_equal(read_waveform(written, RATE_HZ), read_waveform(data, RATE_HZ))


@pytest.mark.parametrize(("container", "codec", "rate_hz"), KINDS)
def test_damage_is_refused_or_read_and_never_anything_else(container: str, codec: str, rate_hz: int) -> None:
    intact = made(container, codec, rate_hz)
    draws = random.Random(container + codec)
    outcomes = set()
    for _ in range(15):
        data = bytearray(intact)
        if draws.random() < 0.4:
            del data[draws.randrange(1, len(data)) :]
        for _ in range(draws.choice([1, 3, 20])):
            data[draws.randrange(len(data))] = draws.randrange(256)
        for read in (probe, lambda data: read_waveform(data, RATE_HZ, 30.0)):
            try:
                read(bytes(data))
                outcomes.add("read")
            except InputError:
                outcomes.add("refused")
    assert outcomes <= {"read", "refused"}


@pytest.mark.parametrize(("container", "codec", "rate_hz"), [kind for kind in KINDS if kind[0] not in ("adts", "asf")])
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_cut_file_never_passes_as_whole(container: str, codec: str, rate_hz: int, share: float) -> None:
    whole = made(container, codec, rate_hz, movflags="faststart")
    read_waveform(whole, rate_hz)
    with pytest.raises(InputError):
        read_waveform(whole[: int(share * len(whole))], rate_hz)


def test_a_film_without_sound_is_refused() -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 16
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), dtype=np.uint8), format="rgb24")
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    with pytest.raises(InputError, match="no sound"):
        probe(buffer.getvalue())


@pytest.mark.parametrize(("container", "codec", "rate_hz"), KINDS)
def test_without_pyav_it_says_what_to_do(
    container: str, codec: str, rate_hz: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = made(container, codec, rate_hz)
    monkeypatch.setitem(sys.modules, "av", None)
    for read in (probe, lambda data: read_waveform(data, RATE_HZ)):
        with pytest.raises(InputError, match=r"needs PyAV: install ds2ray\[av\], or convert it"):
            read(data)


def test_what_libsndfile_does_not_know_in_a_container_that_it_knows() -> None:
    data = made("ogg", "flac", RATE_HZ)
    assert abs(len(read_waveform(data, RATE_HZ)) - 2 * RATE_HZ) < 3000


def test_a_wav_of_another_coding() -> None:
    data = made("wav", "adpcm_yamaha", RATE_HZ)
    assert likeness(warble()[:-1300], read_waveform(data, RATE_HZ)) > 0.9


def test_without_pyav_what_libsndfile_says_comes_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    data = made("wav", "adpcm_yamaha", RATE_HZ)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r"cannot be decoded as audio \(.*\); perhaps PyAV can: install ds2ray\[av\]"):
        read_waveform(data, RATE_HZ)


def test_other_files_do_not_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert len(read_waveform(encoded(warble(), "FLAC"), RATE_HZ)) == 2 * RATE_HZ
