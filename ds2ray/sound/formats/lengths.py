"""How many bytes a file has by its header, in formats whose decoder takes what is left of a cut one for all of it."""

from typing import BinaryIO

from ds2ray.errors import InputError
from ds2ray.sound.formats.wav import MAX_CHUNKS, is_placeholder

_SPHERE = b"NIST_1A"
_WAVE_64 = b"riff\x2e\x91\xcf\x11"
_IFF = b"FORM"
_CORE_AUDIO = b"caff"
_CORE_AUDIO_UNKNOWN = 2**63  # -1, where a program did not know
_SUN = b".snd"
_SPHERE_CODINGS = {"pcm", "ulaw", "alaw", "mu-law", "a-law"}


def refuse_cut(file: BinaryIO, size_bytes: int) -> None:
    """Raise InputError where the header of AIFF, AU, CAF, Wave64 or NIST SPHERE says that there were more bytes."""
    file.seek(0)
    head = file.read(1024)
    promised = _promised_by_core_audio(file, size_bytes) if head[:4] == _CORE_AUDIO else _promised(head)
    # some count a padding byte that they do not write
    if promised is not None and promised > size_bytes + 1 and not is_placeholder(promised):
        raise InputError(f"is truncated: {size_bytes} of {promised} bytes are there")


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


def _promised_by_core_audio(file: BinaryIO, size_bytes: int) -> int | None:
    """The end of the chunk `data`; a CAF file is a header of 8 bytes and chunks `<id> <length, 8 bytes> <content>`."""
    place = 8
    for _ in range(MAX_CHUNKS):
        if place + 12 > size_bytes:
            break
        file.seek(place)
        name, length = file.read(4), int.from_bytes(file.read(8), "big")
        place += 12 + length
        if name == b"data":
            return None if length >= _CORE_AUDIO_UNKNOWN else place
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
