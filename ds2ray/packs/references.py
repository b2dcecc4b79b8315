"""Audio in shards, by reference: `<URI of a shard>#<row group>/<row>`, made from manifest.parquet of a packed corpus,
and of an excerpt with its times behind (`#t=12.5,15.75`).

A row group, about 8 MB, is fetched whole when its first audio is wanted, and the last `KEPT_GROUPS`, or as many as
`keep_mb` allows, stay in memory. A reader that keeps to few row groups at a time therefore fetches each of them once.
"""

import functools
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future

import numpy as np

from ds2ray import storage
from ds2ray.errors import InputError
from ds2ray.packs.files import read_shard
from ds2ray.storage.sealed.tables import TableFile
from ds2ray.tables.manifest import Manifest, Utterance

WINDOW_GROUPS = 32
"""Row groups of a window, out of which the batches of training are drawn: some 250 MB of audio."""

KEPT_GROUPS = 2 * WINDOW_GROUPS + 8
"""Row groups that stay in memory: the window under way, the next one, which is read meanwhile, and a few more."""

GROUP_MB = 8
"""Megabytes of audio in a row group, approximately."""

REFERENCE = re.compile(r"(.+\.parquet)#(\d+)/(\d+)(?:#t=[\d.]+,[\d.]*)?")
PACKED_COLUMNS = ("utterance_id", "user_id", "shard", "row_group", "row", "duration_s", "transcript")


def is_packed(audio: str | bytes) -> bool:
    """Whether an utterance's audio is a reference into a shard."""
    return isinstance(audio, str) and REFERENCE.fullmatch(audio) is not None


def read_packed_manifest(uri: str) -> Manifest | None:
    """The utterances of a packed corpus's manifest.parquet, whose audio are references; None for any other table."""
    if not uri.endswith(".parquet"):
        return None
    with storage.open_read(uri) as source:
        try:
            names = TableFile(source, uri).schema.names
        except InputError:
            return None  # `read_manifest`, which comes next, reports the damage
    if not set(PACKED_COLUMNS) <= set(names):
        return None
    table = storage.read_table(uri, list(PACKED_COLUMNS))
    columns = (table[name].to_pylist() for name in PACKED_COLUMNS)
    shard_uri = functools.cache(lambda shard: storage.resolve(shard, uri))
    utterances = []
    for line, cells in enumerate(zip(*columns, strict=True), 1):
        utterance_id, user_id, shard, row_group, row, duration_s, transcript = cells
        audio = f"{shard_uri(shard)}#{row_group}/{row}"
        utterances.append(Utterance(utterance_id, user_id or "", audio, duration_s, transcript, line))
    return Manifest(uri, utterances)


def row_groups_of(audio: Iterable[str | bytes]) -> np.ndarray | None:
    """A number for each audio's row group, int64 [N]; None where one is not in a shard."""
    numbers: dict[str, int] = {}
    found = []
    for each in audio:
        if not isinstance(each, str) or not is_packed(each):
            return None
        found.append(numbers.setdefault(each.rpartition("/")[0], len(numbers)))
    return np.array(found, dtype=np.int64)


def read_packed(audio: str) -> bytes:
    """The bytes of an audio file in a shard.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: the file is no shard, or has no such row.
    """
    match = REFERENCE.fullmatch(audio)
    if match is None:
        raise InputError(f"{audio}: not an audio of a shard")
    uri, group, row = match[1], int(match[2]), int(match[3])
    found = _CACHE.rows(uri, group).get(row)
    if found is None:
        raise InputError(f"row group {group} of {uri} has no row {row}; read the manifest.parquet of the same packing")
    return found


def read_ahead(audio: Sequence[str | bytes]) -> None:
    """Fetch the row groups of these references, one after another."""
    matches = (REFERENCE.fullmatch(each) for each in audio if isinstance(each, str))
    for uri, group in dict.fromkeys((match[1], int(match[2])) for match in matches if match):
        _CACHE.rows(uri, group)


def keep_mb(megabytes: float) -> None:
    """Keep at most so many megabytes of shards in this process's memory, in whole row groups, but at least one."""
    _CACHE.keep(max(1, int(megabytes / GROUP_MB)))


class RowGroups:
    """A cache of row groups; threads that want the same one share one request."""

    def __init__(self, max_groups: int) -> None:
        self.max_groups = max_groups
        self.groups: OrderedDict[tuple[str, int], Future[dict[int, bytes]]] = OrderedDict()
        self.lock = threading.Lock()

    def keep(self, max_groups: int) -> None:
        """Keep at most `max_groups` from now on; those that were used longest ago are dropped."""
        with self.lock:
            self.max_groups = max_groups
            self._forget()

    def _forget(self) -> None:
        while len(self.groups) > self.max_groups:
            self.groups.popitem(last=False)

    def rows(self, uri: str, group: int) -> dict[int, bytes]:
        """The audio of a row group by row in the shard. An error is raised, and the next call reads again."""
        key = (uri, group)
        with self.lock:
            known = self.groups.get(key)
            future = self.groups[key] = Future() if known is None else known
            self.groups.move_to_end(key)
            self._forget()
        if known is None:
            try:
                future.set_result({u.line: u.audio for u in read_shard(uri, [group]) if isinstance(u.audio, bytes)})
            except BaseException as error:
                with self.lock:
                    self.groups.pop(key, None)
                future.set_exception(error)
        return future.result()


_CACHE = RowGroups(KEPT_GROUPS)
