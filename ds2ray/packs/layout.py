"""The division of utterances among packs. Pure: no file is opened."""

import hashlib
import itertools
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ds2ray.errors import InputError
from ds2ray.storage import ObjectInfo
from ds2ray.store import user_key
from ds2ray.tables.manifest import Utterance
from ds2ray.tables.problems import Problem, ProblemKind, shown
from ds2ray.uris import excerpt_of, recording_of

_EXCERPT_BYTES_PER_S = 32_000  # of 16 bits at 16 kHz, as excerpts mostly are packed

LAYOUT_VERSION = 1
"""Part of every source, so that all packs are made anew when the way of making them changes."""

_MIN_FILL, _MAX_FILL = 0.5, 2.0  # shares of the wanted size beyond which a shard is divided among others


@dataclass(frozen=True, slots=True)
class Member:
    """An utterance to pack, and the table that it is from."""

    utterance: Utterance
    manifest_uri: str
    size_bytes: int
    version_tag: str  # changes when the audio does

    def refused(self, column: str, value: object, reason: str, remedy: str) -> Problem:
        """The problem of a row that cannot be packed."""
        u, kind = self.utterance, ProblemKind.row
        place = (self.manifest_uri, u.line, kind, column, shown(value))
        return Problem(*place, reason, remedy, u.utterance_id, u.user_id)


def member_of(utterance: Utterance, manifest_uri: str, objects: Mapping[str, ObjectInfo | None]) -> Member:
    """An utterance with what is known of its audio, by URI; of an excerpt, about how many bytes a pack will hold."""
    audio = utterance.audio
    if isinstance(audio, bytes):
        return Member(utterance, manifest_uri, len(audio), hashlib.sha256(audio).hexdigest())
    info, excerpt = objects.get(recording_of(audio)), excerpt_of(audio)
    size_bytes = info.size_bytes if info else 0
    if excerpt and math.isfinite(excerpt.end_s):
        size_bytes = min(size_bytes, round(excerpt.duration_s * _EXCERPT_BYTES_PER_S))
    return Member(utterance, manifest_uri, size_bytes, info.version_tag if info else "")


@dataclass(frozen=True)
class Pack:
    """A pack that is to be made. Its `source` tells, before any audio is read, whether an earlier one will do."""

    name: str
    user_id: str  # empty for shards
    members: tuple[Member, ...]  # in the order of the file
    source: str

    @property
    def size_bytes(self) -> int:
        return sum(member.size_bytes for member in self.members)


def packs_by_user(members: Iterable[Member], settings: Mapping[str, Any]) -> tuple[list[Pack], list[Problem]]:
    """A pack per user, in the order of user ids, and problems of the rows that name no usable user or repeat an id.

    Args:
        settings: the settings that decide which audio is usable, as part of each source.

    Raises:
        InputError: two users would share a file.
    """
    of_user: defaultdict[str, list[Member]] = defaultdict(list)
    key_of: dict[str, str] = {}
    problems = []
    for member in members:
        user_id = member.utterance.user_id
        if not user_id:
            remedy = "name the speaker (prepare.user_id=… for all such rows), or pack with prepare.by=shard"
            problems.append(member.refused("user_id", "", "no user is named", remedy))
            continue
        try:
            key_of[user_id] = key_of.get(user_id) or user_key(user_id)
        except InputError as error:
            problems.append(member.refused("user_id", user_id, str(error), "give the user another id"))
            continue
        of_user[user_id].append(member)
    _refuse_shared_keys(key_of)
    packs = []
    for user_id in sorted(of_user):
        own, repeated = _unique(of_user[user_id])
        problems += repeated
        own.sort(key=lambda member: member.utterance.utterance_id)
        packs.append(Pack(key_of[user_id], user_id, tuple(own), source_of(own, settings)))
    return packs, problems


def packs_by_shard(
    members: Iterable[Member], previous: Mapping[str, int], shard_bytes: float, settings: Mapping[str, Any]
) -> tuple[list[Pack], list[Problem]]:
    """Packs of about the same size; an utterance stays in the shard where it was.

    Args:
        previous: number of the shard by utterance id, as packed before.
        settings: the settings that decide which audio is usable, as part of each source.

    Returns:
        The packs by number, and problems of the rows that repeat an id. Where users share utterance ids, those become
        `<user>/<utterance>`, so that every id is unique among all shards.
    """
    listed = list(members)
    users_of: defaultdict[str, set[str]] = defaultdict(set)
    for member in listed:
        users_of[member.utterance.utterance_id].add(member.utterance.user_id)
    unique, problems = _unique([_qualified(m) if len(users_of[m.utterance.utterance_id]) > 1 else m for m in listed])
    by_id = {member.utterance.utterance_id: member for member in unique}
    shards = assign_shards({key: member.size_bytes for key, member in by_id.items()}, previous, shard_bytes)
    packs = []
    for number, ids in sorted(shards.items()):
        own = [by_id[key] for key in ids]
        packs.append(Pack(f"shard-{number:05d}", "", tuple(own), source_of(own, settings)))
    return packs, problems


def assign_shards(
    size_bytes: Mapping[str, int], previous: Mapping[str, int], shard_bytes: float
) -> dict[int, list[str]]:
    """Divide utterances among shards of about `shard_bytes`.

    Utterances stay where they were, so that a change touches only the shards that hold it. New ones fill new shards,
    together with those of shards that have become smaller than half of the wanted size or larger than twice; only an
    utterance that is larger than that by itself has such a shard.
    Utterances are spread by a digest of their ids: every shard is a sample of all that was added with it, whatever
    the order of the corpus, and neighbours in a shard are seldom of one speaker.

    Returns:
        Utterance ids by the number of their shard, in the order of the file. Every id once.
    """
    kept: defaultdict[int, list[str]] = defaultdict(list)
    loose = []
    for key in sorted(size_bytes, key=_digest):
        if key in previous:
            kept[previous[key]].append(key)
        else:
            loose.append(key)
    for number in list(kept):
        fill = sum(size_bytes[key] for key in kept[number]) / shard_bytes
        if fill < _MIN_FILL or (fill > _MAX_FILL and len(kept[number]) > 1):
            loose += kept.pop(number)
    loose.sort(key=_digest)
    total = sum(size_bytes[key] for key in loose)
    num_new = max(1, round(total / shard_bytes))
    free = (number for number in itertools.count() if number not in kept)
    shards = dict(kept)
    filled = fill = 0.0
    current: list[str] = []
    for key in loose:
        if current and fill + size_bytes[key] > _MAX_FILL * shard_bytes:
            current = []
        if not current:
            shards[next(free)] = current
            fill = 0.0
        current.append(key)
        fill += size_bytes[key]
        filled += size_bytes[key]
        if filled * num_new >= total * (len(shards) - len(kept)) and len(shards) - len(kept) < num_new:
            current = []
    return shards


def source_of(members: Sequence[Member], settings: Mapping[str, Any]) -> str:
    """The source of a pack: 32 hex digits of a digest over all that it is made from, as known without reading audio."""
    rows = sorted(
        (u.utterance_id, u.user_id, u.audio if isinstance(u.audio, str) else "", member.version_tag, u.transcript)
        for member in members
        for u in [member.utterance]
    )
    return hashlib.sha256(json.dumps([LAYOUT_VERSION, settings, rows], sort_keys=True).encode()).hexdigest()[:32]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _qualified(member: Member) -> Member:
    u = member.utterance
    return replace(member, utterance=replace(u, utterance_id=f"{u.user_id}/{u.utterance_id}")) if u.user_id else member


def _unique(members: Iterable[Member]) -> tuple[list[Member], list[Problem]]:
    """The members whose id no member before has, and the problems of the others."""
    first: dict[str, Member] = {}
    problems = []
    for member in members:
        key = member.utterance.utterance_id
        taken = first.setdefault(key, member)
        if taken is not member:
            reason = f"already the id of {taken.manifest_uri}:{taken.utterance.line}"
            problems.append(member.refused("utterance_id", key, reason, "give every utterance its own id"))
    return list(first.values()), problems


def _refuse_shared_keys(key_of: Mapping[str, str]) -> None:
    counts = Counter(key_of.values())
    shared = [f"users {user_id!a}: {key}" for user_id, key in key_of.items() if counts[key] > 1]
    if shared:
        raise InputError("\n  ".join(["these users would share a file; give each user one id:", *shared[:50]]))
