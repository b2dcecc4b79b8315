"""gc: what nothing names any more goes, by age and number; and old runs, beyond those that are kept.

Never touched: what a pointer, a history, a record or a table names, runs that are marked as begun, the run that holds
the lease, what is younger than `older_than_days`, and in no case anything of the last hour: a publication may be under
way, whose pointer comes after its file.
"""

import posixpath
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from ds2ray import storage
from ds2ray.packs.tables import named_packs, table_uri
from ds2ray.progress import Tell, untold
from ds2ray.storage import Found
from ds2ray.store import Store, lease, read_language_model_record
from ds2ray.store.layout import aside_folder_uri, bases_uri, run_uri, users_uri
from ds2ray.store.recovery.marks import run_marks
from ds2ray.upkeep.kept_versions import VersionFiles, unnamed_files
from ds2ray.upkeep.packed import pack_folders
from ds2ray.upkeep.runs import RunFolder, run_folders
from ds2ray.upkeep.working import at_once, leased, new_name

GRACE_S = 3600.0
DAY_S = 86400.0
_LATEST = "latest.json"
_CHECKPOINT = re.compile(r"\d{9}-[0-9a-f]{8}\.pt")
_LANGUAGE_MODEL = re.compile(r"(?P<folder>.*)/lm/(?P<version>[0-9a-f]+)\.arpa\.gz")


@dataclass
class Collected:
    """What gc has deleted, or with a dry run would delete.

    Attributes:
        objects, size_bytes: by kind: runs, versions, own words, language models, packs, checkpoints, leftovers.
        runs: ids of runs, the newest first.
        histories_cut: users whose histories were made shorter.
        left: what was left alone although nothing names it, with the reason.
    """

    dry_run: bool
    objects: dict[str, int] = field(default_factory=dict)
    size_bytes: dict[str, int] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    histories_cut: int = 0
    left: list[str] = field(default_factory=list)

    def add(self, kind: str, found: Sequence[Found]) -> None:
        """Count objects of this kind."""
        if found:
            self.objects[kind] = self.objects.get(kind, 0) + len(found)
            self.size_bytes[kind] = self.size_bytes.get(kind, 0) + sum(each.size_bytes for each in found)


@dataclass(frozen=True)
class _Rules:
    keep_runs: int
    keep_versions: int
    old_s: float  # what was last written before this second is old

    def is_old(self, found: Found) -> bool:
        """An object whose age nobody knows is not."""
        return 0 < found.modified_s < self.old_s


def gc(
    store: Store,
    *,
    keep_runs: int = 30,
    keep_versions: int = 31,
    older_than_days: float = 7.0,
    folders: Sequence[str] = (),
    dry_run: bool = True,
    tell: Tell = untold,
) -> Collected:
    """Delete old runs, and what nothing names: versions, own words, language models, packs, checkpoints, leftovers.

    Args:
        keep_runs: the newest runs, which stay at any age.
        keep_versions: versions of a user that stay, with the current one. Where a history names more, it is cut first,
            as far as its versions are old, and `rollback` no longer reaches them.
        folders: URIs outside the store, on its server, with packs or checkpoints.
        dry_run: whether it is only told what would be deleted.

    Raises:
        InterruptedRunError: a run is at work on the store.
    """
    rules = _Rules(keep_runs, keep_versions, time.time() - max(GRACE_S, older_than_days * DAY_S))
    collected = Collected(dry_run)
    with leased(store, new_name("gc"), dry_run) as (store, stay):
        _runs(store, rules, collected, stay, tell)
        for number, root in enumerate([store.root_uri, *map(storage.absolute, folders)]):
            others: list[Found] = []
            for line in _walked(store, root, number == 0, rules, collected, others):
                stay()
                tell(line)
            _delete(store, "leftovers", [each for each in others if each.is_leftover and rules.is_old(each)], collected)
            whole = [each for each in others if not each.is_leftover]
            aside = aside_folder_uri(store) + "/"
            old = [each for each in whole if each.uri.startswith(aside) and rules.is_old(each)]
            _delete(store, "set aside", old, collected)
            _delete(store, "language models", list(_language_models(store, whole, rules)), collected)
            _delete(store, "checkpoints", list(_checkpoints(store, whole, rules, collected)), collected)
            _packs(store, whole, rules, collected, stay)
    return collected


def _runs(store: Store, rules: _Rules, collected: Collected, stay: Callable[[], None], tell: Tell) -> None:
    # earlier releases let an id have slashes: the folder is named by its beginning
    marked = {mark.run_id.partition("/")[0] for mark in run_marks(store)} | {lease.held_elsewhere(store)}

    def is_garbage(folder: RunFolder) -> bool:
        return folder.run_id not in marked and 0 < folder.last_s < rules.old_s

    for folder in filter(is_garbage, run_folders(store)[rules.keep_runs :]):
        stay()
        tell(f"run {folder.run_id}")
        # the plan last: as long as it is there, no other run takes this name
        ordered = sorted(folder.uris, key=lambda uri: uri.endswith("/plan.parquet"))
        if not collected.dry_run:
            for uri in ordered[:-1]:
                store.delete(uri)
            store.delete(ordered[-1])
            storage.remove_empty_folders(run_uri(store, folder.run_id), store.server)
        collected.runs.append(folder.run_id)
        collected.objects["runs"] = collected.objects.get("runs", 0) + len(ordered)
        collected.size_bytes["runs"] = collected.size_bytes.get("runs", 0) + folder.size_bytes


def _walked(
    store: Store, root_uri: str, is_store: bool, rules: _Rules, collected: Collected, others: list[Found]
) -> Iterator[str]:
    """Collect in users' folders while the root is walked; what lies elsewhere is put into `others`."""
    top = users_uri(store) + "/"

    def in_folders() -> Iterator[tuple[str, list[Found]]]:
        def key_of(found: Found) -> str:
            if not is_store or not found.uri.startswith(top):
                return ""
            key, slash, _ = found.uri[len(top) :].partition("/")
            return key if slash else ""

        objects = (found for page in storage.walk(root_uri, store.server) for found in page)
        for key, group in groupby(objects, key_of):
            if key:
                yield key, list(group)
            else:
                others.extend(group)

    def look(item: tuple[str, list[Found]]) -> VersionFiles:
        key, objects = item
        return unnamed_files(store, key, objects, rules.keep_versions, rules.is_old, collected.dry_run)

    for number, (_, files) in enumerate(at_once(look, in_folders()), 1):
        _delete(store, "versions", files.weights, collected)
        _delete(store, "own words", files.words, collected)
        _delete(store, "leftovers", files.leftovers, collected)
        collected.histories_cut += files.cut
        collected.left += [files.trouble] if files.trouble else []
        yield f"{number} users' folders"


def _language_models(store: Store, others: Sequence[Found], rules: _Rules) -> Iterator[Found]:
    from ds2ray.errors import Ds2RayError

    for found in others:
        match = _LANGUAGE_MODEL.fullmatch(found.uri) if found.uri.startswith(bases_uri(store) + "/") else None
        if match is None or not rules.is_old(found):
            continue
        try:
            record = read_language_model_record(store, posixpath.basename(match["folder"]))
        except Ds2RayError:  # without a record nobody knows which version is the one
            continue
        if record.version != match["version"]:
            yield found


def _checkpoints(store: Store, others: Sequence[Found], rules: _Rules, collected: Collected) -> Iterator[Found]:
    """Checkpoints that the record of their folder does not name, as a training leaves some that is killed."""
    records = {posixpath.dirname(found.uri): found.uri for found in others if found.name == _LATEST}
    named: dict[str, set[str] | None] = {}
    for found in others:
        folder = posixpath.dirname(found.uri)
        if folder not in records or not _CHECKPOINT.fullmatch(found.name) or not rules.is_old(found):
            continue
        if folder not in named:
            named[folder] = _named_checkpoints(store, records[folder])
            if named[folder] is None:
                collected.left.append(f"{records[folder]}: cannot be read; the checkpoints beside it stay")
        names = named[folder]
        if names is not None and found.name not in names:
            yield found


def _named_checkpoints(store: Store, uri: str) -> set[str] | None:
    from ds2ray.errors import ArtifactCorruptError

    try:
        return {str(entry["name"]) for entry in store.read_json(uri)["checkpoints"]}
    except (ArtifactCorruptError, KeyError, TypeError):
        return None


def _packs(
    store: Store, others: Sequence[Found], rules: _Rules, collected: Collected, stay: Callable[[], None]
) -> None:
    """Packs that the table of their folder does not name; without a table nobody knows, and they stay."""
    by_uri = {found.uri: found for found in others}
    for folder in pack_folders(by_uri):
        stay()
        with storage.using(store.server), leased(store.beside(folder.folder_uri), "gc", collected.dry_run):
            if not storage.exists(table_uri(folder.output_uri, folder.by)):
                continue
            named = named_packs(folder.output_uri, folder.by)
            unnamed = [by_uri[storage.join(folder.folder_uri, name)] for name in folder.packs if name not in named]
            _delete(store, "packs", list(filter(rules.is_old, unnamed)), collected)


def _delete(store: Store, kind: str, garbage: Sequence[Found], collected: Collected) -> None:
    collected.add(kind, garbage)
    if not collected.dry_run:
        for _ in at_once(lambda found: store.delete(found.uri), garbage) if len(garbage) > 1 else ():
            pass
        if len(garbage) == 1:
            store.delete(garbage[0].uri)
