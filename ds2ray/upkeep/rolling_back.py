"""Rollback: users get back the version before, or the base where there is none, one by one or all of a bad run.

What is to be moved is written down before anything moves, `index/rollback.parquet`, and removed at the end: where a
rollback was killed the next one first finishes it, and a user who was moved already is not moved a second time.

Afterwards the index has the fingerprint of the version that was taken back: for the same speech, base and settings the
user is unchanged, and no night publishes it again. New speech or other settings train as ever.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ds2ray.errors import ArtifactCorruptError, InputError, NewerReleaseError
from ds2ray.progress import Tell, untold
from ds2ray.store import AdapterPointer, Store, made_seq, read_adapter, rollback, withdraw
from ds2ray.store.index import edit_rows, recover_runs, with_rows
from ds2ray.store.outcomes import Status
from ds2ray.store.records import known_fields
from ds2ray.upkeep.history import LastPointer, last_pointer
from ds2ray.upkeep.moves import Intent, Move, Moved, RolledBack, forget_intent, read_intent, write_intent
from ds2ray.upkeep.runs import published_by
from ds2ray.upkeep.working import at_once, leased, new_name

if TYPE_CHECKING:
    import pyarrow as pa

_NOBODY = "no adapter was ever published for this user"


def rollback_users(
    store: Store,
    keys: Sequence[str],
    *,
    version: str = "",
    retrain: bool = False,
    dry_run: bool = False,
    tell: Tell = untold,
) -> RolledBack:
    """Let these users have the version before, by the number of its publication, or this one.

    Args:
        version: of one user alone.
        retrain: whether the next night trains the users again, even from the same speech.
        dry_run: whether the moves are told and nothing is written.

    Raises:
        InputError: a version is named for several users, or the user has no such version.
        InterruptedRunError: a run is at work on the store.
    """
    if version and len(keys) > 1:
        raise InputError(f"version {version} is one user's, and {len(keys)} users are named; leave it out, or name one")
    request = _digest({"keys": sorted(keys), "version": version, "retrain": retrain})

    def move(key: str) -> Move:
        return _move(store, key, wanted=version)

    return _rolled_back(store, list(keys), move, request, retrain, dry_run, tell)


def rollback_run(
    store: Store, run_id: str, *, retrain: bool = False, dry_run: bool = False, tell: Tell = untold
) -> RolledBack:
    """Let every user whose current version this run has published have the version before it, or the base.

    Later publications are left alone. Who was published is read in the run's plan and outcomes and in the index, so
    that pointers are read of these users only. Arguments and errors are those of `rollback_users`.

    Raises:
        InputError: there is no such run.
    """
    request = _digest({"run": run_id, "retrain": retrain})
    keys = published_by(store, run_id)

    def move(key: str) -> Move:
        return _move(store, key, run_id=run_id)

    return _rolled_back(store, keys, move, request, retrain, dry_run, tell)


def _rolled_back(
    store: Store,
    keys: Collection[str],
    move: Callable[[str], Move],
    request: str,
    retrain: bool,
    dry_run: bool,
    tell: Tell,
) -> RolledBack:
    name = new_name("rollback")
    done = _in_turn(store, keys, move, request, name, retrain, dry_run, tell)
    if not dry_run:
        forget_intent(store, request)  # the last thing of all: a rollback that is killed before is found unfinished
    return done


def _in_turn(
    store: Store,
    keys: Collection[str],
    move: Callable[[str], Move],
    request: str,
    name: str,
    retrain: bool,
    dry_run: bool,
    tell: Tell,
) -> RolledBack:
    with leased(store, name, dry_run) as (store, stay):
        finished, same = (0, False) if dry_run else _finish_interrupted(store, request, name, stay, tell)
        if same:
            return RolledBack([], finished, True)
        if not dry_run:
            # else the next run would put a killed one's outcomes over what is written here
            recover_runs(store, stay=stay)
        moves = []
        for number, (_, found) in enumerate(at_once(move, keys), 1):
            stay()
            tell(f"{number}/{len(keys)} pointers read")
            moves.append(found)
        todo = [each for each in moves if each.moves]
        if todo and not dry_run:
            write_intent(store, Intent(todo, request, retrain))
            _do(store, todo, name, retrain, stay, tell)
        return RolledBack(moves, finished)


def _move(store: Store, key: str, wanted: str = "", run_id: str = "") -> Move:
    """What is to be done with a user, who keeps what is current where `run_id` is not what published it."""
    try:
        found = last_pointer(store, key)
    except (ArtifactCorruptError, NewerReleaseError) as error:
        return Move(key, Moved.damaged, reason=str(error))
    if found is None:
        if wanted:
            raise InputError(f"user {key} has no version {wanted!r}; versions there: none")
        return Move(key, Moved.nothing, reason=_NOBODY)
    if run_id and found.pointer.run_id != run_id:
        return _not_of_run(key, found, run_id)
    if not found.is_current and not wanted:
        return Move(key, Moved.nothing, reason="the user has the base alone already")
    entry = _entry_of(found, wanted) if wanted else _entry_before(found.pointer, run_id)
    start = Move(key, Moved.base, found.pointer.seq, found.version, fingerprint=found.pointer.data_fingerprint)
    if entry is None:
        return start
    if entry["version"] == found.version:
        return Move(key, Moved.nothing, reason=f"version {wanted} is current already")
    try:
        read_adapter(store, AdapterPointer(**known_fields(AdapterPointer, dict(entry)) | {"history": ()}))
    except ArtifactCorruptError as error:
        return Move(key, Moved.damaged, reason=str(error))
    return replace(start, moved=Moved.version, target=entry["version"])


def _not_of_run(key: str, found: LastPointer, run_id: str) -> Move:
    before = [entry for entry in found.pointer.history if entry["run_id"] == run_id]
    if before and not found.pointer.restored_seq and found.is_current:
        return Move(key, Moved.newer, version=found.version, reason=f"run {found.pointer.run_id} came after it")
    reason = "it was taken back already" if before else "this run has published nothing for the user"
    return Move(key, Moved.nothing, version=found.version, reason=reason)


def _entry_of(found: LastPointer, version: str) -> Mapping[str, Any]:
    entries = [vars(found.pointer), *found.pointer.history]
    for entry in entries:
        if entry["version"] == version:
            return entry
    there = ", ".join(entry["version"] for entry in entries)
    raise InputError(f"user {found.pointer.user_key} has no version {version!r}; versions there: {there}")


def _entry_before(pointer: AdapterPointer, run_id: str) -> Mapping[str, Any] | None:
    """The newest version that is older than the current one, and not of the run that is taken back."""
    own = made_seq(vars(pointer))
    older = [entry for entry in pointer.history if made_seq(entry) < own and not (run_id and entry["run_id"] == run_id)]
    return max(older, key=made_seq, default=None)


def _do(store: Store, todo: Sequence[Move], name: str, retrain: bool, stay: Callable[[], None], tell: Tell) -> None:
    """Move pointers, then rows of the index."""

    def apply(move: Move) -> bool:
        """Whether the user is where the move leads."""
        found = last_pointer(store, move.user_key)
        if found is None:
            return False
        if (found.pointer.seq, found.version) != (move.seq, move.version):
            return found.version == move.target  # done before a kill; else a later publication
        try:
            if move.target:
                rollback(store, move.user_key, move.target)
            else:
                withdraw(store, move.user_key)
        except ArtifactCorruptError:  # damaged since it was looked at
            return False
        return True

    moved = []
    for number, (move, arrived) in enumerate(at_once(apply, todo), 1):
        stay()
        tell(f"{number}/{len(todo)} users moved")
        moved += [move] if arrived else []
    _write_index(store, moved, name, retrain)


def _write_index(store: Store, todo: Sequence[Move], name: str, retrain: bool) -> None:
    """Rows of the moved users: `kept_previous`, with the version that they have now and the fingerprint of the one that
    was taken back, unless a run has since looked at other speech."""
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = pa.array([move.user_key for move in todo], pa.string())

    def fingerprint(move: Move, row: Mapping[str, Any] | None) -> str:
        if retrain:
            return ""
        return str(row["fingerprint"]) if row and row["version"] in (move.version, move.target) else move.fingerprint

    def moved(index: "pa.Table") -> "pa.Table":
        known = index.take(pc.drop_null(pc.index_in(keys, value_set=index["user_key"].combine_chunks())))
        row_of = {row["user_key"]: row for row in known.to_pylist()}
        rows = [
            {
                "user_key": move.user_key,
                "fingerprint": fingerprint(move, row_of.get(move.user_key)),
                "status": Status.kept_previous.value,
                "version": move.target,
                "run_id": name,
            }
            for move in todo
        ]
        return with_rows(index, keys, pa.Table.from_pylist(rows, schema=index.schema))

    edit_rows(store, moved)


def _finish_interrupted(
    store: Store, request: str, name: str, stay: Callable[[], None], tell: Tell
) -> tuple[int, bool]:
    """Finish a rollback that was killed; returns how many users it moves, and whether it was this very one."""
    intent = read_intent(store)
    if intent is None:
        return 0, False
    _do(store, intent.moves, name, intent.retrain, stay, tell)
    if intent.request != request:
        forget_intent(store)
    return len(intent.moves), intent.request == request


def _digest(request: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
