"""MP3: files whose header does not say how long they are, and files that were joined.

An MP3 is frames of 1152 or 576 samples, each with a header of four bytes that gives its length in bytes. Only the
first frame may say how many there are (a "Xing" or "Info" frame, which holds no sound): without one a decoder guesses
from the bit rate, wrongly where that varies, and with one it takes what was joined behind for nothing. So where the
first frame does not count the whole file, frames are walked, and each recording is decoded with a first frame that is
right.

Headers by ISO/IEC 11172-3 and 13818-3; the Xing frame as mpg123 and LAME read it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from ds2ray.errors import InputError
from ds2ray.sound.formats.spliced import Stretch, spliced

_TAG = b"ID3"
_TAG_BYTES = 10
_LAST_TAG, _LAST_TAG_BYTES = b"TAG", 128
_HEADER_BYTES = 4
_SEARCHED_BYTES = 2**16
_RESERVED_VERSION = 1
_VERSION_1 = 3
_LAYER_3 = 1
_KILOBITS = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""By whether it is MPEG 1, layer 3."""
_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""By version: MPEG 1, 2 and 2.5."""


@dataclass(frozen=True)
class _Frame:
    """A frame of layer 3, by its header."""

    header: bytes

    @property
    def version(self) -> int:
        return self.header[1] >> 3 & 3

    @property
    def is_mono(self) -> bool:
        return self.header[3] >> 6 == 3

    @property
    def kind(self) -> tuple[int, int, bool]:
        """The kind of a recording, the same in all of its frames: version, rate, whether it is mono."""
        return self.version, self.header[2] >> 2 & 3, self.is_mono

    @property
    def num_bytes(self) -> int:
        first = self.version == _VERSION_1
        bits = _KILOBITS[first][self.header[2] >> 4] * 1000
        rate_hz = _RATES_HZ[self.version][self.header[2] >> 2 & 3]
        return (144 if first else 72) * bits // rate_hz + (self.header[2] >> 1 & 1)

    @property
    def count_at(self) -> int:
        """Where a Xing frame's name lies: behind the side information."""
        if self.version == _VERSION_1:
            return _HEADER_BYTES + (17 if self.is_mono else 32)
        return _HEADER_BYTES + (9 if self.is_mono else 17)


@dataclass
class _Recording:
    """Frames of one kind that follow each other.

    Attributes:
        counted: frames that its own first frame promises; None: it has no such frame, or it does not say.
    """

    first: _Frame
    counted: int | None
    has_count: bool
    num_frames: int = 0
    places: list[Stretch] = field(default_factory=list)

    def add(self, place: int, num_bytes: int) -> None:
        if self.places and self.places[-1].end == place:
            self.places[-1] = Stretch(self.places[-1].start, place + num_bytes)
        else:
            self.places.append(Stretch(place, place + num_bytes))


def begins_as_mp3(file: BinaryIO) -> bool:
    """Whether a file begins with a frame of layer 3, tags before it left out."""
    return _frame_at(file, _behind_tags(file, 0)) is not None


def counts_all(file: BinaryIO, size_bytes: int) -> bool:
    """Whether the first frame counts frames and bytes, and so many bytes are there: then its count is exact."""
    place = _behind_tags(file, 0)
    frame = _frame_at(file, place)
    if frame is None:
        return False
    counted, num_bytes, _ = _count(file, place, frame)
    if counted is None or num_bytes is None:
        return False
    return place + num_bytes in (size_bytes, _without_last_tag(file, size_bytes))


def recordings(file: BinaryIO, size_bytes: int) -> list[BinaryIO]:
    """The recordings in a file of MP3 frames, each as a file whose first frame counts the others.

    Raises:
        InputError: there are fewer frames than the first frame counts.
    """
    found: list[_Recording] = []
    for place, frame, is_joint in _frames(file, _without_last_tag(file, size_bytes)):
        counted, _, has_count = _count(file, place, frame)
        if not found or has_count or is_joint or found[-1].first.kind != frame.kind:
            found.append(_Recording(frame, counted, has_count))
        found[-1].add(place, frame.num_bytes)
        found[-1].num_frames += not has_count
    found = [recording for recording in found if recording.num_frames]
    if not found:
        return [file]
    return [_counted(file, recording) for recording in found]


def _counted(file: BinaryIO, recording: _Recording) -> BinaryIO:
    counted = recording.counted
    if counted is not None and recording.num_frames < counted - 1:  # some encoders count the first frame, too
        raise InputError(f"is truncated: {recording.num_frames} of {counted} MP3 frames are there")
    if counted == recording.num_frames:
        return spliced(file, recording.places)
    places = recording.places
    if recording.has_count:  # what it says is not so
        places = [Stretch(places[0].start + recording.first.num_bytes, places[0].end), *places[1:]]
    num_bytes = sum(place.end - place.start for place in places)
    return spliced(file, [_first_frame(recording.first, recording.num_frames, num_bytes), *places])


def _first_frame(like: _Frame, num_frames: int, num_bytes: int) -> bytes:
    """A frame "Info" without sound, for a recording of so many frames."""
    count = b"Info" + (3).to_bytes(4, "big") + num_frames.to_bytes(4, "big")
    for index in range(1, 15):
        # without a checksum, without padding, and of the lowest bit rate whose frame holds the count
        header = bytes([0xFF, like.header[1] | 1, index << 4 | like.header[2] & 0x0C, like.header[3]])
        length = _Frame(header).num_bytes
        if length >= like.count_at + len(count) + 4:
            break
    content = bytes(like.count_at - _HEADER_BYTES) + count + (num_bytes + length).to_bytes(4, "big")
    return header + content + bytes(length - _HEADER_BYTES - len(content))


def _frames(file: BinaryIO, size_bytes: int) -> Iterator[tuple[int, _Frame, bool]]:
    """Every whole frame, and whether tags stand before it, which begin a file that was joined."""
    place = _behind_tags(file, 0)
    is_joint = in_step = False
    while place + _HEADER_BYTES <= size_bytes:
        frame = _frame_at(file, place)
        # behind damage a header counts only where another follows
        if frame is None or not (in_step or _follows(file, place, frame, size_bytes)):
            behind = _behind_tags(file, place)
            is_joint, in_step = is_joint or behind > place, False
            place = behind if behind > place else _next_sync(file, place + 1)
            continue
        if place + frame.num_bytes > size_bytes:
            return
        yield place, frame, is_joint
        is_joint, in_step = False, True
        place += frame.num_bytes


def _follows(file: BinaryIO, place: int, frame: _Frame, size_bytes: int) -> bool:
    end = place + frame.num_bytes
    return end == size_bytes or _frame_at(file, end) is not None or _behind_tags(file, end) > end


def _frame_at(file: BinaryIO, place: int) -> _Frame | None:
    file.seek(place)
    header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bits, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == _RESERVED_VERSION or layer != _LAYER_3 or bits in (0, 15) or rate == 3:
        return None
    return _Frame(header)


def _count(file: BinaryIO, place: int, frame: _Frame) -> tuple[int | None, int | None, bool]:
    """Frames and bytes that a frame counts, None where it does not say; and whether it is one that counts."""
    file.seek(place + frame.count_at)
    name = file.read(4)
    if name not in (b"Xing", b"Info"):
        return None, None, False
    flags = int.from_bytes(file.read(4), "big")
    counted = int.from_bytes(file.read(4), "big") if flags & 1 else None
    num_bytes = int.from_bytes(file.read(4), "big") if flags & 2 else None
    return counted, num_bytes, True


def _behind_tags(file: BinaryIO, place: int) -> int:
    """The end of the tags ID3, version 1 or 2, that begin here."""
    while True:
        file.seek(place)
        header = file.read(_TAG_BYTES)
        if header[:3] == _TAG and len(header) == _TAG_BYTES and max(header[6:]) < 0x80:
            length = 0
            for byte in header[6:]:
                length = length << 7 | byte
            place += _TAG_BYTES + length
        elif header[:3] == _LAST_TAG:
            place += _LAST_TAG_BYTES
        else:
            return place


def _without_last_tag(file: BinaryIO, size_bytes: int) -> int:
    place = size_bytes - _LAST_TAG_BYTES
    if place < 0:
        return size_bytes
    file.seek(place)
    return place if file.read(3) == _LAST_TAG else size_bytes


def _next_sync(file: BinaryIO, place: int) -> int:
    """Where, from here on, a frame or a tag may begin; else the end of the file."""
    while True:
        file.seek(place)
        window = file.read(_SEARCHED_BYTES)
        found = [position for position in (window.find(b"\xff"), window.find(_TAG)) if position >= 0]
        if found:
            return place + min(found)
        if len(window) < _SEARCHED_BYTES:
            return place + len(window)
        place += len(window) - 2
