"""The making of packs: audio is read, checked and written with its transcripts, in bounded memory."""

import math
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from ds2ray import storage
from ds2ray.config import AudioConfig, DataConfig, ProbeAudio
from ds2ray.packs.files import content_version, encode_pack
from ds2ray.packs.layout import Member, Pack
from ds2ray.packs.ledger import Packed
from ds2ray.sound.audio import REPLACE, probe, read_encoded, read_waveform
from ds2ray.sound.measuring import MISSING
from ds2ray.tables.manifest import Manifest, Utterance
from ds2ray.tables.problems import Problem, ProblemKind
from ds2ray.tables.validation import DURATION_CORRECTED, validate

_COPIES = 4  # of a pack's audio in memory at once, as measured: as read, in the encoder, as written


@dataclass(frozen=True)
class Made:
    """A pack as it was made. `packed` is None where no utterance could be used."""

    pack: Pack
    packed: Packed | None
    problems: list[Problem] = field(default_factory=list)
    written: bool = False  # False: the same content is stored already
    durations_corrected: int = 0
    mixed: Counter[str] = field(default_factory=Counter)  # how channels are mixed, where that is not ordinary


Cut = Callable[[Utterance, str], list[Utterance] | Problem | None]
"""A long recording, and the URI of its table → its segments, or why there are none; None for one that is not long."""


@dataclass(frozen=True)
class _Sound:
    """An audio file's bytes, and how its channels are mixed where that is not ordinary."""

    data: bytes
    note: str = ""


def make_pack(
    pack: Pack,
    folder_uri: str,
    stored: Set[str],
    data: DataConfig,
    decode_audio: bool,
    readers: Executor,
    cut: Cut | None = None,
) -> Made:
    """Read a pack's audio and write the file, unless one with the same content is stored.

    Args:
        stored: file names of the packs in the folder.
        readers: threads that read audio files; not the pool that this function runs in.
        cut: cuts long recordings; None: they are as usable as `data` says.

    Raises:
        StorageError: the store cannot be reached or refuses the credentials.
    """
    members, problems = _with_segments(pack.members, cut, readers) if cut else (list(pack.members), [])
    sounds = list(readers.map(lambda member: _read(member, decode_audio), members))
    problems += [sound for sound in sounds if isinstance(sound, Problem)]
    # lines are numbers of members here: a pack may hold rows of many tables
    readable = [
        replace(member.utterance, audio=sound.data, line=number)
        for number, (member, sound) in enumerate(zip(members, sounds, strict=True))
        if isinstance(sound, _Sound)
    ]
    mixed = Counter(sound.note for sound in sounds if isinstance(sound, _Sound) and sound.note)
    del sounds
    checked = validate(
        Manifest("", readable),
        data=replace(data, probe_audio=ProbeAudio.near),
        audio=AudioConfig(),
        vocabulary=None,
    )
    del readable
    problems += [_in_its_place(problem, members[problem.line]) for problem in checked.problems]
    utterances = checked.utterances
    if not utterances:
        return Made(pack, None, problems)
    packed = Packed(
        name=pack.name,
        source="" if problems else pack.source,
        version=content_version(utterances),
        num_utterances=len(utterances),
        speech_s=math.fsum(u.duration_s or 0.0 for u in utterances),
        size_bytes=sum(len(u.audio) for u in utterances),
    )
    is_new = packed.file_name not in stored
    if is_new:
        storage.write_bytes(storage.join(folder_uri, packed.file_name), encode_pack(utterances))
    return Made(pack, packed, problems, is_new, checked.conversions.get(DURATION_CORRECTED, 0), mixed)


def make_packs(
    packs: Sequence[Pack], make: Callable[[Pack], Made], *, threads: int, memory_bytes: float, tick_s: float
) -> Generator[Made | None]:
    """Make packs, as many at once as threads and memory allow; yields each when it is made, and None every `tick_s`.

    A pack that needs more than `memory_bytes` is made alone. After an error no further pack is begun.
    """
    waiting = sorted(packs, key=lambda pack: -pack.size_bytes)  # the largest first, so that none is left for the end
    running: dict[Future[Made], float] = {}
    next_tick_s = time.monotonic() + tick_s
    with ThreadPoolExecutor(threads) as pool:
        try:
            position = 0
            while position < len(waiting) or running:
                while position < len(waiting) and len(running) < threads:
                    need = _COPIES * waiting[position].size_bytes
                    if running and sum(running.values()) + need > memory_bytes:
                        break
                    running[pool.submit(make, waiting[position])] = need
                    position += 1
                done, _ = wait(running, timeout=max(0.0, next_tick_s - time.monotonic()), return_when=FIRST_COMPLETED)
                for future in done:
                    del running[future]
                    yield future.result()
                if time.monotonic() >= next_tick_s:
                    next_tick_s = time.monotonic() + tick_s
                    yield None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _with_segments(members: Sequence[Member], cut: Cut, readers: Executor) -> tuple[list[Member], list[Problem]]:
    """The members with the segments of long recordings in their place, and the problems of those without any."""
    found, problems = [], []
    cut_up = readers.map(lambda member: cut(member.utterance, member.manifest_uri), members)
    for member, segments in zip(members, cut_up, strict=True):
        if isinstance(segments, Problem):
            problems.append(segments)
        elif segments is None:
            found.append(member)
        else:
            found += [replace(member, utterance=segment) for segment in segments]
    return found, problems


def _read(member: Member, decode_audio: bool) -> _Sound | Problem:
    audio = member.utterance.audio
    notes: list[str] = []

    def read() -> bytes:
        data = audio if isinstance(audio, bytes) else read_encoded(audio)
        if decode_audio and data:
            read_waveform(data, probe(data).sample_rate_hz, tell=notes.append)
        return data

    found = storage.asked(audio if isinstance(audio, str) else "", read)
    if isinstance(found, bytes):
        return _Sound(found, "; ".join(notes))
    if found.reason == MISSING.reason:
        return _audio_problem(member, found.reason, "correct the path, or run again if it was replaced")
    return _audio_problem(member, found.reason, "run again when it answers" if found.may_pass else REPLACE)


def _audio_problem(member: Member, reason: str, remedy: str) -> Problem:
    u = member.utterance
    place = (member.manifest_uri, u.line, ProblemKind.audio, "audio", _shown_audio(u))
    return Problem(*place, reason, remedy, u.utterance_id, u.user_id)


def _in_its_place(problem: Problem, member: Member) -> Problem:
    """A problem found in a pack, with the table and line that the utterance is from."""
    u = member.utterance
    value = _shown_audio(u) if problem.column == "audio" else problem.value
    return replace(problem, manifest_uri=member.manifest_uri, line=u.line, value=value)


def _shown_audio(utterance: Utterance) -> str:
    audio = utterance.audio
    return audio if isinstance(audio, str) else f"{len(audio)} bytes"
