"""The parts in which a manifest is recognised: cut, named by their place, written whole, and gone on with."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ds2ray import storage
from ds2ray.config import TranscribeJob, to_plain
from ds2ray.errors import ConfigError
from ds2ray.progress import duration_text
from ds2ray.storage.sealed import MAX_RECORD_BYTES, seal, unseal
from ds2ray.tables.manifest import Utterance

RECORD = "parts.json"
"""The name of the record that says what a folder's parts are of."""

KIND = "parts of recognition"

MAX_ROWS = 5000
"""Utterances of a part at most, however short."""

ASSUMED_S = 5.0
"""Seconds of an utterance whose duration is not known."""

ETA_FROM = 0.02
"""Share of the work from which the time that is left can be told."""

_NAME = re.compile(r"part-(\d{6})\.parquet")
_WITHOUT_EFFECT = frozenset(
    ("audio", "from_file", "manifest", "output", "base", "batch_s", "max_open", "fresh_s")
    + ("data", "storage", "cluster", "spread")
)
"""Settings that change nothing in the text of an utterance that is in the manifest, or that the record has itself."""


@dataclass(frozen=True)
class ManifestPart:
    """A part: the utterances from `start` up to, but not including, `end`, in the order of the manifest."""

    number: int
    start: int
    end: int
    seconds: float

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"part-{self.number:06d}.parquet"


def seconds_of(utterances: Sequence[Utterance]) -> float:
    """Seconds of audio."""
    return sum(_seconds(utterance) for utterance in utterances)


def cut_into_parts(utterances: Sequence[Utterance], part_s: float) -> list[ManifestPart]:
    """The parts of a manifest, each of about `part_s` seconds: the same ones for the same durations."""
    parts: list[ManifestPart] = []
    start, seconds = 0, 0.0
    for index, utterance in enumerate(utterances):
        seconds += _seconds(utterance)
        if seconds >= part_s or index + 1 - start >= MAX_ROWS or index + 1 == len(utterances):
            parts.append(ManifestPart(len(parts), start, index + 1, seconds))
            start, seconds = index + 1, 0.0
    return parts


def parts_record(
    job: TranscribeJob, utterances: Sequence[Utterance], parts: Sequence[ManifestPart], fingerprint: str
) -> dict[str, Any]:
    """What the parts of a folder are of, JSON-ready: two runs with the same record write the same parts.

    Args:
        fingerprint: of the base.
    """
    plain = to_plain(job)
    return {
        "manifest": _digest(utterances),
        "utterances": len(utterances),
        "parts": len(parts),
        "part_s": job.spread.part_s,
        "base": fingerprint,
        **{name: value for name, value in plain.items() if name not in _WITHOUT_EFFECT},
    }


def open_folder(folder_uri: str, record: Mapping[str, Any]) -> set[int]:
    """The numbers of the parts that are in the folder already; the record is written where there is none.

    Raises:
        ConfigError: the folder holds parts of another manifest, base or setting.
        ArtifactCorruptError: its record is damaged.
    """
    uri, remedy = storage.join(folder_uri, RECORD), "delete the folder, or name another one"
    there = {int(match[1]) for info in storage.list_objects(folder_uri) if (match := _NAME.fullmatch(_name(info.uri)))}
    try:
        found = unseal(storage.read_bytes(uri, max_bytes=MAX_RECORD_BYTES), uri, KIND, remedy)
    except FileNotFoundError:
        if there:
            raise ConfigError(
                f"{folder_uri} holds {len(there)} parts, and no {RECORD} that says of what; name another folder, or "
                "delete them"
            ) from None
        storage.write_bytes(uri, seal(KIND, record))
        return set()
    other = [name for name in {**record, **found} if found.get(name) != record.get(name)]
    if other:
        raise ConfigError(
            f"{folder_uri} holds parts of something else, with other {', '.join(other)}; name another folder, or "
            "delete it"
        )
    return there


@dataclass
class PartsDone:
    """How far the parts of a run are. Pure: it is told the time.

    Attributes:
        todo: the parts of this run.
        done_before: utterances of parts that were there.
        started_s: when the first one was begun.
    """

    todo: Sequence[ManifestPart]
    done_before: int
    started_s: float
    done: list[ManifestPart] = field(default_factory=list)
    within: dict[int, float] = field(default_factory=dict)  # by part under way: the share of it that is done

    def share(self) -> float:
        """Of the work of this run that is done, 0 to 1."""
        whole = sum(part.seconds for part in self.todo)
        under_way = sum(self.within.get(part.number, 0.0) * part.seconds for part in self.todo)
        return min(1.0, (sum(part.seconds for part in self.done) + under_way) / whole) if whole else 1.0

    def finish(self, part: ManifestPart) -> None:
        """The part is written."""
        self.within.pop(part.number, None)
        self.done.append(part)

    def facts(self, now_s: float) -> list[str]:
        """`3/20 parts`, `1200/9000 utterances`, `48 × as fast as speech`, `eta 17m`."""
        utterances = sum(part.end - part.start for part in self.done) + self.done_before
        total = sum(part.end - part.start for part in self.todo) + self.done_before
        facts = [f"{len(self.done)}/{len(self.todo)} parts", f"{utterances}/{total} utterances"]
        share, seconds = self.share(), now_s - self.started_s
        if share >= ETA_FROM and seconds > 0:
            facts.append(f"{share * sum(part.seconds for part in self.todo) / seconds:.0f} × as fast as speech")
            if share < 1:
                facts.append(f"eta {duration_text(seconds * (1 - share) / share)}")
        return facts


def _seconds(utterance: Utterance) -> float:
    return ASSUMED_S if utterance.duration_s is None else utterance.duration_s


def _digest(utterances: Sequence[Utterance]) -> str:
    """A digest of what is to be recognised: ids, users and audio, in their order; transcripts are no part of it."""
    digest = hashlib.sha256()
    for utterance in utterances:
        audio = utterance.audio
        named = audio if isinstance(audio, str) else hashlib.sha256(audio).hexdigest()
        row = (utterance.utterance_id, utterance.user_id, named, utterance.duration_s)
        digest.update(json.dumps(row).encode() + b"\n")
    return digest.hexdigest()


def _name(uri: str) -> str:
    return uri.rpartition("/")[2]
