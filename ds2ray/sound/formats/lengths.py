"""How many bytes a recording has by its header, in formats whose decoder reads what it finds of it, and only it."""

from typing import BinaryIO

from ds2ray.errors import InputError
from ds2ray.sound.formats.spliced import Stretch, spliced
from ds2ray.sound.formats.wav import MAX_CHUNKS, is_placeholder

_SPHERE = b"NIST_1A"
_WAVE_64 = b"riff\x2e\x91\xcf\x11"
_IFF = b"FORM"
_CORE_AUDIO = b"caff"
_CORE_AUDIO_UNKNOWN = 2**63  # -1, where a program did not know
_SUN = b".snd"
_SPHERE_CODINGS = {"pcm", "ulaw", "alaw", "mu-law", "a-law"}


def recordings(file: BinaryIO, size_bytes: int) -> list[BinaryIO]:
    """The recordings in an AIFF, AU, CAF, Wave64 or NIST SPHERE file, each as a file; any other file as it is.

    Raises:
        InputError: a header says that there were more bytes.
    """
    starts = [0]
    while (end := _end(file, starts[-1], size_bytes)) is not None:
        starts.append(end)
    if len(starts) == 1:
        return [file]
    return [spliced(file, [Stretch(a, b)]) for a, b in zip(starts, [*starts[1:], size_bytes], strict=True)]


def _end(file: BinaryIO, start: int, size_bytes: int) -> int | None:
    """Where another recording of the same format follows the one that begins at `start`; None: nowhere."""
    file.seek(start)
    head = file.read(1024)
    core_audio = head[:4] == _CORE_AUDIO
    promised = _promised_by_core_audio(file, start, size_bytes) if core_audio else _promised(head)
    if promised is None or promised <= 0 or is_placeholder(promised):
        return None
    # some count a padding byte that they do not write
    if start + promised > size_bytes + 1:
        raise InputError(f"is truncated: {size_bytes - start} of {promised} bytes are there")
    file.seek(start + promised)
    return start + promised if len(head) > 4 and file.read(4) == head[:4] else None


def _promised(head: bytes) -> int | None:
    if head[:4] == _IFF:
        return 8 + int.from_bytes(head[4:8], "big")
    if head[:4] == _SUN:
        length = int.from_bytes(head[8:12], "big")
        return None if length == 0xFFFFFFFF else int.from_bytes(head[4:8], "big") + length
    if head[:8] == _WAVE_64:
        return int.from_bytes(head[16:24], "little")
    if head[:7] == _SPHERE:
        return _promised_by_sphere(head)
    return None


def _promised_by_core_audio(file: BinaryIO, start: int, size_bytes: int) -> int | None:
    """Bytes up to the end of the chunk `data`; CAF is a header of 8 bytes and chunks `<id> <length, 8 bytes> …`."""
    place = start + 8
    for _ in range(MAX_CHUNKS):
        if place + 12 > size_bytes:
            break
        file.seek(place)
        name, length = file.read(4), int.from_bytes(file.read(8), "big")
        place += 12 + length
        if name == b"data":
            return None if length >= _CORE_AUDIO_UNKNOWN else place - start
    return None


def _promised_by_sphere(head: bytes) -> int | None:
    """A SPHERE header is lines `name -type value`, padded to the number of bytes in its second line."""
    lines = head.decode("latin-1").splitlines()
    fields = {words[0]: words[2] for line in lines[2:] if len(words := line.split(maxsplit=2)) == 3}
    if fields.get("sample_coding", "pcm") not in _SPHERE_CODINGS:
        return None  # compressed: libsndfile refuses it
    try:
        samples = int(fields["sample_count"]) * int(fields["channel_count"])
        return int(lines[1]) + samples * int(fields["sample_n_bytes"])
    except (KeyError, ValueError, IndexError):
        return None
