"""fsck: every record and file of a store is read, and compared with what names it; `mend` does what needs no guess."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby

from ds2ray import storage
from ds2ray.config import Checked
from ds2ray.errors import ArtifactCorruptError, InputError
from ds2ray.progress import Tell, untold
from ds2ray.storage import Found
from ds2ray.store import Store
from ds2ray.store.index import recover_runs
from ds2ray.store.layout import run_marks_uri, users_uri
from ds2ray.upkeep.checks.bases import check_bases
from ds2ray.upkeep.checks.faults import Checkup, Fault, Kind
from ds2ray.upkeep.checks.index import CurrentVersions, check_index, mend_index
from ds2ray.upkeep.checks.mending import mend_user
from ds2ray.upkeep.checks.users import UserCheck, check_user
from ds2ray.upkeep.erasing.tombstones import read_tombstones
from ds2ray.upkeep.working import at_once, leased, new_name

_ROOMS = ("bases", "users", "runs", "sweeps", "index", "aside")
_OF_RUNS = ("plan.parquet", "summary.json", "report.html", "log.txt", "outcomes", "attempts")
_TABLES, _DOCUMENTS = ".parquet", ".json"


def fsck(
    store: Store,
    *,
    check: Checked = Checked.content,
    mend: bool = False,
    dry_run: bool = False,
    tell: Tell = untold,
) -> Checkup:
    """Check a store.

    Without `mend` nothing is written and no lease is needed: what a run publishes meanwhile may then look like a fault,
    which a second check does not find again.

    Args:
        mend: whether faults are mended where that needs no guess: rows of the index from pointers, a pointer from its
            history, damaged records set aside.
        dry_run: whether nothing is written, mend or not.

    Raises:
        InterruptedRunError: with `mend`, a run is at work on the store.
    """
    mend = mend and not dry_run
    found = Checkup()
    name = new_name("fsck")
    with leased(store, name, not mend) as (store, stay):
        if mend:
            recover_runs(store, stay=stay)
        bases = check_bases(store, check, found)
        others: list[Found] = []
        versions = CurrentVersions()
        for user, done in _users(store, check, bases, mend, others):
            stay()
            found.users += 1
            found.size_bytes += user.size_bytes
            found.objects += len(user.faults)
            found.faults += [replace(fault, mended=done) if fault.kind.is_wrong else fault for fault in user.faults]
            versions.add(user, bool(done))
            if not found.users % 100:
                tell(f"{found.users} users checked · {len(found.faults)} faults")
        _check_erased(store, versions.keys, found)
        _check_others(store, others, check, found, stay, tell)
        wrong_rows = check_index(store, versions, found)
        if mend and wrong_rows:
            mend_index(store, versions, name, found)
    return found


def _users(
    store: Store, depth: Checked, base_ids: set[str], mend: bool, others: list[Found]
) -> Iterator[tuple[UserCheck, str]]:
    """Every user's check, and what was mended; what does not lie in a user's folder is put into `others`."""
    top = users_uri(store) + "/"

    def key_of(found: Found) -> str:
        key, slash, _ = found.uri.removeprefix(top).partition("/")
        return key if slash and found.uri.startswith(top) else ""

    def in_folders() -> Iterator[tuple[str, list[Found]]]:
        objects = (found for page in storage.walk(store.root_uri, store.server) for found in page)
        for key, group in groupby(objects, key_of):
            if key:
                yield key, list(group)
            else:
                others.extend(group)

    def look(item: tuple[str, list[Found]]) -> tuple[UserCheck, str]:
        key, objects = item
        user = check_user(store, key, objects, depth, base_ids)
        if not mend or not any(fault.kind.is_wrong for fault in user.faults):
            return user, ""
        done = mend_user(store, user)
        sizes = Checked.sizes  # what is current now has just been verified
        again = check_user(store, key, objects, sizes, base_ids)
        return replace(again, faults=user.faults, size_bytes=user.size_bytes), done

    for _, checked in at_once(look, in_folders()):
        yield checked


def _check_erased(store: Store, keys: list[str], found: Checkup) -> None:
    try:
        erased = read_tombstones(store).erased(keys)
    except ArtifactCorruptError as error:
        found.faults.append(Fault(Kind.damaged, "index/erased.parquet", str(error)))
        return
    for key in sorted(erased):
        what = "this user was erased, and not to the end: erase the user again"
        found.faults.append(Fault(Kind.disagrees, f"users/{key}", what))


def _check_others(
    store: Store, others: list[Found], depth: Checked, found: Checkup, stay: Callable[[], None], tell: Tell
) -> None:
    """Runs and index: what cannot be read; and whatever lies where nothing of ds2ray does."""
    root = store.root_uri.rstrip("/") + "/"
    marks = run_marks_uri(store) + "/"

    def look(each: Found) -> Fault | None:
        path = each.uri.removeprefix(root)
        room, _, rest = path.partition("/")
        if each.is_leftover:
            return Fault(Kind.orphaned, path, "a temporary file of a write that was killed, or is under way")
        if room not in _ROOMS or (room == "runs" and rest.split("/")[1:2] and rest.split("/")[1] not in _OF_RUNS):
            return Fault(Kind.foreign, path, "nothing that ds2ray writes here")
        if room in ("bases", "aside"):
            return None  # checked by themselves; known to be damaged
        fault = None if depth is Checked.sizes and room == "runs" else _unreadable(store, each, path)
        if fault is None and each.uri.startswith(marks):
            return Fault(Kind.unfinished, path, "a run that was killed, or goes on: the next run takes it over")
        return fault

    for number, (_, fault) in enumerate(at_once(look, others), 1):
        stay()
        found.objects += 1
        found.faults += [fault] if fault else []
        if not number % 100:
            tell(f"{number} files of runs and the index checked")


def _unreadable(store: Store, each: Found, path: str) -> Fault | None:
    try:
        if each.name.endswith(_TABLES):
            store.read_table(each.uri)
        elif each.name.endswith(_DOCUMENTS):
            store.read_json(each.uri)
    except FileNotFoundError:  # removed meanwhile
        return None
    except (InputError, ArtifactCorruptError) as error:
        return Fault(Kind.damaged, path, str(error))
    return None
