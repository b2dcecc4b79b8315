"""Erasing users, a person's right: all that the store holds of them goes, and nothing of theirs comes back by itself.

The order is what makes a kill harmless. First the tombstone, so that no run adapts the user meanwhile; then the rows of
the index; then the pointer and the records, from when on readers find a user without an adapter; then the files that
they named; then runs and packs. Running it again does what is left, in the same order, and ends with the same search.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from ds2ray import storage
from ds2ray.config import Scanned
from ds2ray.progress import Tell, untold
from ds2ray.storage import Found
from ds2ray.store import Store
from ds2ray.store.layout import (
    aside_folder_uri,
    index_folder_uri,
    lease_uri,
    own_words_record_uri,
    pointer_uri,
    run_marks_uri,
    runs_uri,
    user_uri,
    users_uri,
    withdrawn_uri,
)
from ds2ray.upkeep.erasing.mentions import Mentions, names_in
from ds2ray.upkeep.erasing.packs import clean_packs
from ds2ray.upkeep.erasing.receipt import Erased, Receipt
from ds2ray.upkeep.erasing.search import search
from ds2ray.upkeep.erasing.tables import clean_document, clean_table
from ds2ray.upkeep.erasing.tombstones import add_tombstones, lift_tombstones, read_tombstones
from ds2ray.upkeep.packed import pack_folders
from ds2ray.upkeep.working import at_once, leased, new_name

_SINGLE_FILE = "_adapter.pt"


def erase(
    store: Store,
    users: Mapping[str, str],
    *,
    folders: Sequence[str] = (),
    scan: Scanned = Scanned.everything,
    dry_run: bool = False,
    tell: Tell = untold,
) -> Receipt:
    """Remove all that the store holds of these users, and keep later runs from adapting them.

    Args:
        users: ids by key.
        folders: URIs outside the store, on its server, whose packs and single adapters are cleaned and which are
            searched, too. Other files there are named where they name a user, and left.
        scan: how much is searched at the end.
        dry_run: whether it is only told what would be removed.

    Raises:
        InterruptedRunError: a run is at work on the store.
        StorageError: the store failed: run it again.
    """
    name, mentions, erased = new_name("erase"), Mentions(users), Erased()
    roots = [store.root_uri, *map(storage.absolute, folders)]
    with leased(store, name, dry_run) as (store, stay):
        before = read_tombstones(store)
        known_before = before.erased(users)
        tombstones = before if dry_run else add_tombstones(store, list(users))
        _clean_index(store, mentions, erased, dry_run)
        _clean_users(store, mentions, erased, dry_run, stay, tell)
        _clean_runs(store, mentions, erased, dry_run, stay, tell)
        for root in roots:
            _clean_elsewhere(store, root, mentions, erased, dry_run, stay, tell)
        searched = {} if dry_run else {root: search(root, mentions, store.server, scan, tell, stay) for root in roots}
    return Receipt(
        name=name,
        day=time.strftime("%Y-%m-%d"),
        store=store.root_uri,
        dry_run=dry_run,
        marks=sorted(map(tombstones.mark, users)),
        unknown=sorted(set(users) - erased.known - known_before),
        erased=erased,
        roots=roots,
        searched=searched,
    )


def lift(store: Store, users: Mapping[str, str], *, dry_run: bool = False) -> set[str]:
    """Let erased users be adapted again; returns the keys of those who had been erased. Nothing comes back."""
    if dry_run:
        return read_tombstones(store).erased(users)
    with leased(store, new_name("lift")) as (store, _):
        return lift_tombstones(store, list(users))


def _clean_index(store: Store, mentions: Mentions, erased: Erased, dry_run: bool) -> None:
    """Rows of the index, of the own words that users tables set, and of a rollback that was interrupted; and what is
    named after a user there. Who is at work is not touched: the lease, and marks of runs."""
    folder = index_folder_uri(store) + "/"
    for page in storage.walk(index_folder_uri(store), store.server):
        for found in page:
            if found.uri == lease_uri(store) or found.uri.startswith(run_marks_uri(store) + "/"):
                continue
            if mentions.in_name(found.uri.removeprefix(folder)) and not found.is_leftover:
                erased.documents += 1
                if not dry_run:
                    store.delete(found.uri)
            elif found.name.endswith(".parquet"):
                erased.known |= _named_in(store, found.uri, mentions)
                erased.index_rows += clean_table(store, found.uri, mentions, dry_run)
            elif found.name.endswith(".json"):
                erased.documents += clean_document(store, found.uri, mentions, dry_run)


def _named_in(store: Store, uri: str, mentions: Mentions) -> set[str]:
    import pyarrow as pa
    import pyarrow.compute as pc

    table = store.read_table(uri)
    if "user_key" not in table.column_names:
        return set()
    named = pc.is_in(table["user_key"], value_set=pa.array(sorted(mentions.keys), pa.string()))
    return set(table.filter(named)["user_key"].to_pylist())


def _clean_users(
    store: Store, mentions: Mentions, erased: Erased, dry_run: bool, stay: Callable[[], None], tell: Tell
) -> None:
    """Users' folders: pointers and records first, then the files that they named, then the folder's own name."""

    def clean(key: str) -> list[Found]:
        objects = [found for page in storage.walk(user_uri(store, key), store.server) for found in page]
        if not dry_run:
            for uri in (pointer_uri(store, key), withdrawn_uri(store, key), own_words_record_uri(store, key)):
                store.delete(uri)
            for found in objects:
                store.delete(found.uri)
            storage.remove_empty_folders(user_uri(store, key), store.server)
        return objects

    for number, (key, objects) in enumerate(at_once(clean, sorted(mentions.keys)), 1):
        stay()
        tell(f"{number}/{len(mentions.keys)} users' folders")
        erased.known |= {key} if objects else set()
        erased.objects += len(objects)
        erased.size_bytes += sum(found.size_bytes for found in objects)


def _clean_runs(
    store: Store, mentions: Mentions, erased: Erased, dry_run: bool, stay: Callable[[], None], tell: Tell
) -> None:
    """Plans, outcomes, attempts, summaries, pages and logs of all runs."""

    def clean(found: Found) -> tuple[int, bool]:
        if found.is_leftover:
            return 0, False
        if found.name.endswith(".parquet"):
            return clean_table(store, found.uri, mentions, dry_run), False
        if found.name.endswith((".json", ".html", ".txt")):
            return 0, clean_document(store, found.uri, mentions, dry_run)
        return 0, False

    objects = (found for page in storage.walk(runs_uri(store), store.server) for found in page)
    for number, (_, (rows, document)) in enumerate(at_once(clean, objects), 1):
        stay()
        tell(f"{number} files of runs")
        erased.run_rows += rows
        erased.documents += document


def _clean_elsewhere(
    store: Store,
    root_uri: str,
    mentions: Mentions,
    erased: Erased,
    dry_run: bool,
    stay: Callable[[], None],
    tell: Tell,
) -> None:
    """Packs, adapters that are files by themselves, and what killed writes have left, below a root."""
    others, users, aside = [], users_uri(store) + "/", aside_folder_uri(store) + "/"
    written_with_lease = (index_folder_uri(store) + "/", runs_uri(store) + "/")
    for page in storage.walk(root_uri, store.server):
        stay()
        tell("looking for packs")
        # what lies in other users' folders is theirs alone
        others += [found for found in page if not (found.uri.startswith(users) and "/" in found.uri[len(users) :])]
    for found in others:
        single = found.name.endswith(_SINGLE_FILE) and mentions.is_user(found.name.removesuffix(_SINGLE_FILE))
        if found.uri.startswith(aside) and _is_aside_of(store, found, mentions):
            erased.documents += 1
            if not dry_run:
                store.delete(found.uri)
        elif single or (found.is_leftover and _is_to_go(store, found, mentions, written_with_lease)):
            erased.objects += single
            erased.leftovers += not single
            erased.size_bytes += found.size_bytes
            if not dry_run:
                store.delete(found.uri)
    for folder in pack_folders(found.uri for found in others if not found.is_leftover):
        # as packing does: one at a time in such a folder
        with leased(store.beside(folder.folder_uri), "erase", dry_run) as (_, keep):
            keep()
            packs, rows = clean_packs(folder, mentions, store.server, dry_run)
            halves = [found for found in others if found.is_leftover and storage.parent(found.uri) == folder.folder_uri]
            for found in [] if dry_run else halves:
                store.delete(found.uri)
        stay()
        erased.packs += packs
        erased.pack_rows += rows


def _is_aside_of(store: Store, found: Found, mentions: Mentions) -> bool:
    """Whether a damaged object that was set aside may hold something of the users: a table that nobody can read may."""
    if ".parquet." in found.name or mentions.in_name(found.uri.removeprefix(store.root_uri)):
        return True
    return mentions.in_bytes(store.read_bytes(found.uri))


def _is_to_go(store: Store, found: Found, mentions: Mentions, unwritten: tuple[str, ...]) -> bool:
    """Whether a temporary file may hold something of the users.

    Args:
        unwritten: folders in which nobody writes while the lease is held: half a table there cannot be searched.
    """
    if found.uri.startswith(unwritten):
        return True
    try:
        return mentions.in_name(found.name) or names_in(store.read_bytes(found.uri), found.name, mentions)
    except FileNotFoundError:
        return False
