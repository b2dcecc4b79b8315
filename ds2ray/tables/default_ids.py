"""The ids of utterances that a table gives none: told by their audio and transcripts, wherever their rows stand."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ds2ray.tables.problems import Problem, ProblemKind, shown
from ds2ray.uris import excerpt_of, recording_of

if TYPE_CHECKING:
    from ds2ray.tables.manifest import Utterance

_DIGITS = 8  # of a digest


@dataclass(frozen=True, slots=True)
class Nameless:
    """An utterance without an id."""

    audio: str | bytes
    transcript: str
    file_name: str = ""  # of audio that is given as bytes, where it is known


def with_ids(
    utterances: "Sequence[Utterance]", uri: str, problems: list[Problem], file_names: Mapping[int, str] | None = None
) -> "list[Utterance]":
    """Give an id to every utterance without one (see `default_ids`); those whose own id is used before become problems.

    Args:
        file_names: of audio that is given as bytes, by line.
    """
    line_of_id: dict[str, int] = {}
    unique = []
    for utterance in utterances:
        own_id, line = utterance.utterance_id, utterance.line
        if own_id and line_of_id.setdefault(own_id, line) != line:
            reason = f"already the id of line {line_of_id[own_id]}"
            place = (uri, line, ProblemKind.row, "utterance_id")
            remedy = "give every utterance its own id"
            problems.append(Problem(*place, shown(own_id), reason, remedy, own_id, utterance.user_id))
        else:
            unique.append(utterance)
    name_of = file_names or {}
    nameless = [Nameless(u.audio, u.transcript, name_of.get(u.line, "")) for u in unique if not u.utterance_id]
    ids = iter(default_ids(nameless, line_of_id))
    return [u if u.utterance_id else replace(u, utterance_id=next(ids)) for u in unique]


def default_ids(utterances: Sequence[Nameless], taken: Collection[str]) -> list[str]:
    """An id for each, of which no two are the same, and none is taken.

    The id is the stem of the audio's name. Where several have that stem, it is the shortest end of their paths that
    tells them apart (`john/0`, `mary/0`). Where the whole path is the same, the times of an excerpt follow
    (`0@12.5-15.75`), or else a digest of name and transcript (`0#5feceb66`). Bytes without a name have a digest of
    themselves. So no id depends on the order of rows; only rows that are the same in everything are numbered.
    """
    ids = _shortest_ends([_path(utterance) for utterance in utterances], taken)
    counts = Counter(ids)
    counts.update(taken)
    marked = [
        own if counts[own] == 1 else f"{own}{_mark(utterance)}" for own, utterance in zip(ids, utterances, strict=True)
    ]
    used = set(taken)
    unique = []
    for own in marked:
        number, numbered = 1, own
        while numbered in used:
            number += 1
            numbered = f"{own}#{number}"
        used.add(numbered)
        unique.append(numbered)
    return unique


def _path(utterance: Nameless) -> tuple[str, ...]:
    """The parts of what the audio is named, without the suffix."""
    name = utterance.file_name if isinstance(utterance.audio, bytes) else recording_of(utterance.audio)
    path = PurePosixPath(name)
    if path.name:
        return path.with_suffix("").parts
    return (f"audio-{_digest(utterance.audio)}" if isinstance(utterance.audio, bytes) else name,)


def _mark(utterance: Nameless) -> str:
    """What tells utterances of the same path apart: the times of an excerpt, or a digest."""
    audio = utterance.audio
    excerpt = None if isinstance(audio, bytes) else excerpt_of(audio)
    if excerpt:
        return f"@{str(excerpt).replace(',', '-')}"
    name = audio if isinstance(audio, bytes) else _encoded(PurePosixPath(audio).name)
    return f"#{_digest(hashlib.sha256(name).digest() + utterance.transcript.encode(errors='surrogatepass'))}"


def _encoded(name: str) -> bytes:
    """A name as its file system has it; halves of letters, which none has, as they are."""
    try:
        return name.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return name.encode(errors="surrogatepass")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_DIGITS]


def _shortest_ends(paths: Sequence[tuple[str, ...]], taken: Collection[str]) -> list[str]:
    """For each path the shortest end of it that no other path has and that is not taken.

    It is the same for paths that are the same, and the whole path where all that is shorter is taken.
    """
    ids = [""] * len(paths)
    groups, length = [list(range(len(paths)))], 1
    while groups:
        alike: list[list[int]] = []
        for group in groups:
            by_end: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
            for place in group:
                by_end[paths[place][-length:]].append(place)
            for end, places in by_end.items():
                own = "/".join(end).replace("//", "/")
                longer = any(len(paths[place]) > length for place in places)
                if len({paths[place] for place in places}) > 1 or (own in taken and longer):
                    alike.append(places)
                for place in places:
                    ids[place] = own
        groups, length = alike, length + 1
    return ids
