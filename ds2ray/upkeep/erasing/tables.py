"""What tables and documents of runs and of the index hold of erased users: rows, attempts, reasons that name them."""

import json
from typing import Any

from ds2ray import storage
from ds2ray.errors import ArtifactCorruptError, Ds2RayError, InterruptedRunError
from ds2ray.storage.sealed import seal, unseal
from ds2ray.store import Store
from ds2ray.upkeep.erasing.mentions import KEY_COLUMNS, Mentions

RECORD = "record"
"""The field of a sealed document that says what it is."""


def clean_table(store: Store, uri: str, mentions: Mentions, dry_run: bool) -> int:
    """Take the users out of a table of the store; returns how many rows went, and 0 where it names none of them.

    The table is written again, whole, before anybody sees a change; one that nobody can read is left for the search.
    """
    try:
        seen = store.read_seen(uri)
        if seen.data is None:
            return 0
        table = store.parse_table(uri, seen.data)
    except (FileNotFoundError, ArtifactCorruptError):
        return 0
    if not mentions.in_table(table):
        return 0
    kept, num_gone = mentions.table_without(table)
    if kept.equals(table) or dry_run:
        return num_gone
    if not store.write_where_seen(uri, storage.table_bytes(kept), seen):
        raise InterruptedRunError(f"{uri} was changed by another writer at this moment; erase again")
    return num_gone


def clean_document(store: Store, uri: str, mentions: Mentions, dry_run: bool) -> bool:
    """Take the users out of a JSON document, a page or a log of a run; returns whether it named one of them.

    A page is deleted, as it can be made again from the outcomes that stay, and a log, as its lines are free text. So is
    a document that is about such a user alone, as the attempt that found whose speech ends workers.
    """
    if uri.endswith((".html", ".txt")):
        return _clean_text(store, uri, mentions, dry_run)
    try:
        document = store.read_json(uri)
    except (FileNotFoundError, ArtifactCorruptError):
        return False
    if not mentions.in_json(document):
        return False
    if dry_run:
        return True
    about = {document.get(name) for name in KEY_COLUMNS} if isinstance(document, dict) else set()
    if about & (mentions.keys | mentions.ids):
        store.delete(uri)
    else:
        store.write_bytes(uri, _rewritten(document, mentions))
    return True


def _clean_text(store: Store, uri: str, mentions: Mentions, dry_run: bool) -> bool:
    try:
        data = store.read_bytes(uri)
    except FileNotFoundError:
        return False
    named = mentions.in_html(data) if uri.endswith(".html") else mentions.in_log(data)
    if named and not dry_run:
        store.delete(uri)
    return named


def _rewritten(document: Any, mentions: Mentions) -> bytes:
    """The file of a document without the users; one that was sealed is sealed again, unless it was damaged."""
    plain = (json.dumps(mentions.json_without(document), ensure_ascii=False, indent=2) + "\n").encode()
    kind = document.get(RECORD) if isinstance(document, dict) else None
    if not isinstance(kind, str):
        return plain
    try:
        content = unseal(json.dumps(document).encode(), "", kind)
    except Ds2RayError:
        return plain
    return seal(kind, mentions.json_without(content))


def clean_lines(data: bytes, mentions: Mentions) -> tuple[bytes, int]:
    """The lines of a CSV in UTF-8, its header first, without those that name the users, and how many those are."""
    import csv
    import io

    rows = list(csv.reader(io.StringIO(data.decode("utf-8", "replace"))))
    kept = rows[:1] + [row for row in rows[1:] if not any(mentions.in_text(cell) for cell in row)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(kept)
    return text.getvalue().encode(), len(rows) - len(kept)
