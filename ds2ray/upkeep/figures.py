"""stats: what a store holds, from one walk through it, the index and the summaries of runs."""

from collections import Counter
from dataclasses import dataclass, field

from ds2ray import storage
from ds2ray.errors import ArtifactCorruptError, NewerReleaseError
from ds2ray.progress import Tell, untold
from ds2ray.storage import Found
from ds2ray.store import Store, read_pointer
from ds2ray.store.index import read_rows
from ds2ray.store.layout import summary_uri
from ds2ray.store.outcomes import Status
from ds2ray.store.verify import ID_LENGTH
from ds2ray.upkeep.kept_versions import WEIGHTS, is_words_version
from ds2ray.upkeep.working import at_once

UNKNOWN = "unknown"
"""The base of adapters whose run has no summary any more; `deep` reads their pointers."""


@dataclass
class Figures:
    """What a store holds.

    Attributes:
        users: with a folder.
        adapters: users with a current adapter.
        statuses: rows of the index by status.
        objects, size_bytes: by kind: adapters, records, own words, bases, runs, index, packs, leftovers, other.
        bases: bytes by base id.
        adapters_by_base: current adapters by base id.
        oldest_s, newest_s: when the first and the last object was written, in seconds since 1970; 0: not known.
        exact: whether every pointer was read, and not the index alone.
    """

    store: str
    users: int = 0
    adapters: int = 0
    versions: int = 0
    users_with_words: int = 0
    runs: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    objects: Counter[str] = field(default_factory=Counter)
    size_bytes: Counter[str] = field(default_factory=Counter)
    bases: Counter[str] = field(default_factory=Counter)
    adapters_by_base: Counter[str] = field(default_factory=Counter)
    oldest_s: float = 0.0
    newest_s: float = 0.0
    exact: bool = False


def stats(store: Store, *, deep: bool = False, tell: Tell = untold) -> Figures:
    """Count what a store holds. Nothing is written, and no lease is needed.

    Args:
        deep: whether every pointer is read, which takes a request per user; else the index and the summaries of runs
            say which base an adapter is for.
    """
    figures, keys, runs = Figures(store.root_uri, exact=deep), set[str](), set[str]()
    root, number = store.root_uri.rstrip("/") + "/", 0
    current: list[str] = []
    for page in storage.walk(store.root_uri, store.server):
        for found in page:
            path = found.uri.removeprefix(root)
            kind = _kind(path, found)
            figures.objects[kind] += 1
            figures.size_bytes[kind] += found.size_bytes
            room, _, rest = path.partition("/")
            owner, slash, name = rest.partition("/")
            if room == "bases" and slash:
                figures.bases[owner] += found.size_bytes
            elif room == "runs" and slash:
                runs.add(owner)
            elif room == "users" and slash:
                keys.add(owner)
                figures.versions += kind == "adapters"
                figures.users_with_words += name == "words.json"
                current += [owner] if name == "current.json" else []
            if found.modified_s:
                figures.oldest_s = min(figures.oldest_s or found.modified_s, found.modified_s)
                figures.newest_s = max(figures.newest_s, found.modified_s)
        number += len(page)
        tell(f"{number} objects counted")
    figures.users, figures.adapters, figures.runs = len(keys), len(current), len(runs)
    _count_bases(store, figures, current, deep, tell)
    return figures


def _kind(path: str, found: Found) -> str:
    room, _, rest = path.partition("/")
    if found.is_leftover:
        return "leftovers"
    if room == "users" and "/" in rest:
        if found.name.endswith(WEIGHTS):
            return "adapters"
        return "own words" if is_words_version(found.name) or found.name == "words.json" else "records"
    if room in ("bases", "runs", "index", "aside"):
        return room
    return "packs" if found.name.endswith(".parquet") else "other"


def _count_bases(store: Store, figures: Figures, current: list[str], deep: bool, tell: Tell) -> None:
    import pyarrow.compute as pc

    try:
        index = read_rows(store)
    except ArtifactCorruptError:
        figures.statuses = {"index cannot be read": 1}
        return
    counts = pc.value_counts(index["status"]).to_pylist()
    figures.statuses = {count["values"]: count["counts"] for count in counts}
    if deep:
        for number, (_, base_id) in enumerate(at_once(lambda key: _base_of(store, key), current), 1):
            figures.adapters_by_base[base_id] += 1
            tell(f"{number}/{len(current)} pointers read")
        return
    adapted = index.filter(pc.equal(index["status"], Status.adapted.value))
    by_run = {count["values"]: count["counts"] for count in pc.value_counts(adapted["run_id"]).to_pylist()}
    for (_, number_of), (_, base_id) in zip(
        by_run.items(), at_once(lambda run_id: _base_of_run(store, run_id), by_run), strict=True
    ):
        figures.adapters_by_base[base_id] += number_of
    others = len(current) - sum(figures.adapters_by_base.values())
    if others > 0:
        figures.adapters_by_base[UNKNOWN] += others


def _base_of(store: Store, key: str) -> str:
    try:
        pointer = read_pointer(store, key)
    except (ArtifactCorruptError, NewerReleaseError):
        return "damaged pointer"
    return pointer.base_fingerprint[:ID_LENGTH] if pointer else UNKNOWN


def _base_of_run(store: Store, run_id: str) -> str:
    try:
        return str(store.read_json(summary_uri(store, run_id))["base_fingerprint"])[:ID_LENGTH]
    except (FileNotFoundError, ArtifactCorruptError, KeyError, TypeError):
        return UNKNOWN
