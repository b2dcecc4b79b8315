"""All that a store holds of a user, as files: a person's right of access."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ds2ray import storage
from ds2ray.errors import ConfigError, InputError
from ds2ray.progress import Tell, untold
from ds2ray.storage import Found, Server
from ds2ray.store import Store, sha256
from ds2ray.store.layout import index_folder_uri, runs_uri, user_uri, users_uri
from ds2ray.upkeep.erasing.mentions import KEY_COLUMNS, Mentions
from ds2ray.upkeep.erasing.tombstones import read_tombstones
from ds2ray.upkeep.packed import pack_folders
from ds2ray.upkeep.working import at_once

ZIP = ".zip"
CONTENTS = "contents.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file in a zip, so that the same content is the same file


@dataclass
class Exported:
    """What was written.

    Attributes:
        files: names, with their sizes in bytes.
        rows: rows of tables that name the user, by table.
        erased_on: the day on which the user was erased; empty for others.
    """

    output_uri: str
    files: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    erased_on: str = ""


def export_user(
    store: Store,
    key: str,
    user: str,
    output_uri: str,
    *,
    folders: Sequence[str] = (),
    dry_run: bool = False,
    tell: Tell = untold,
) -> Exported:
    """Write everything that the store holds of a user: the files of the user's folder as they are, the rows of all
    tables, what documents of runs say, and the user's speech in packs. Nobody else's rows are among it.

    Args:
        output_uri: a folder, or a file that ends in `.zip`; either is made anew by a further export: files of an
            earlier one, of this user or another, do not stay.
        folders: URIs outside the store, on its server, with packs.
        dry_run: whether only the names and sizes are told.

    Raises:
        ConfigError: the output is the store itself, or lies in it, or is a folder with files that are of no export.
    """
    output_uri = storage.absolute(output_uri)
    if f"{output_uri}/".startswith(f"{store.root_uri.rstrip('/')}/"):
        raise ConfigError(f"output={output_uri} lies in the store, where an erasure would find it: name another place")
    is_folder = not output_uri.endswith(ZIP)
    if is_folder:
        _require_no_others(output_uri, store.server)
    mentions = Mentions({key: user})
    exported = Exported(output_uri)
    tombstones = read_tombstones(store)
    exported.erased_on = tombstones.days.get(tombstones.mark(key), "")
    put = _folder_writer(output_uri, store.server) if is_folder else _zip_writer(output_uri, store.server)
    listed: dict[str, dict[str, Any]] = {}

    def keep(name: str, data: bytes) -> None:
        exported.files[name] = len(data)
        listed[name] = {"size_bytes": len(data), "sha256": sha256(data)}
        if not dry_run:
            put(name, data)

    for found in _walked(user_uri(store, key), store.server):
        keep(f"user/{found.name}", store.read_bytes(found.uri))
    tables = [found for uri in (index_folder_uri(store), runs_uri(store)) for found in _walked(uri, store.server)]
    for number, (found, rows) in enumerate(at_once(lambda found: _rows(store, found, mentions), tables), 1):
        tell(f"{number}/{len(tables)} tables and documents read")
        path = found.uri.removeprefix(store.root_uri.rstrip("/") + "/")
        if rows:
            exported.rows[path] = len(rows)
            keep(f"{path}.json", (json.dumps(rows, ensure_ascii=False, indent=2, default=str) + "\n").encode())
    for root in (store.root_uri, *map(storage.absolute, folders)):
        for name, data in _packs(store, root, mentions):
            keep(name, data)
    if not listed and not exported.erased_on:
        raise InputError(
            f"user {user}: {store} holds nothing; is the id spelt as in the users table, and is DS2RAY_USER_KEY_SALT "
            "that of the nightly run?"
        )
    told = {"user_id": user, "user_key": key, "store": store.root_uri, "erased_on": exported.erased_on, "files": listed}
    keep(CONTENTS, (json.dumps(told, ensure_ascii=False, indent=2) + "\n").encode())
    if not dry_run:
        put("", b"")
    return exported


def _require_no_others(output_uri: str, server: Server) -> None:
    """Raise ConfigError for a folder with files of something else than an export, which are not to be mixed with it."""
    if storage.exists(storage.join(output_uri, CONTENTS), server):
        return
    for found in _walked(output_uri, server):
        if not found.is_leftover:
            raise ConfigError(
                f"output={output_uri} has files that are of no export, as {found.name}: name another place"
            )


def _walked(uri: str, server: Server) -> Iterator[Found]:
    for page in storage.walk(uri, server):
        yield from page


def _folder_writer(output_uri: str, server: Server) -> Callable[[str, bytes], None]:
    """Writes files; one without a name ends it, and what an earlier export has left is removed."""
    written: set[str] = set()

    def put(name: str, data: bytes) -> None:
        if not written:  # the folder is one of an export, also where this one is killed
            storage.write_bytes(storage.join(output_uri, CONTENTS), b"{}\n", server)
        if name:
            storage.write_bytes(storage.join(output_uri, *name.split("/")), data, server)
            written.add(name)
            return
        for found in list(_walked(output_uri, server)):
            if not found.is_leftover and found.uri.removeprefix(output_uri.rstrip("/") + "/") not in written:
                storage.delete(found.uri, server)
        storage.remove_empty_folders(output_uri, server)

    return put


def _zip_writer(output_uri: str, server: Server) -> Callable[[str, bytes], None]:
    """Collects files; one without a name ends it, and the zip is written, whole."""
    buffer = io.BytesIO()
    archive = zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED)

    def put(name: str, data: bytes) -> None:
        if name:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
            return
        archive.close()
        storage.write_bytes(output_uri, buffer.getvalue(), server)

    return put


def _rows(store: Store, found: Found, mentions: Mentions) -> list[Mapping[str, Any]]:
    """The rows of a table that are the user's, or a document that names the user."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        if found.name.endswith(".parquet") and not found.is_leftover:
            table = store.read_table(found.uri)
            for column in set(KEY_COLUMNS) & set(table.column_names):
                mine = pc.is_in(table[column], value_set=pa.array(sorted(mentions.keys | mentions.ids), pa.string()))
                rows: list[Mapping[str, Any]] = table.filter(pc.fill_null(mine, False)).to_pylist()
                return rows
        if found.name.endswith(".json"):
            document = store.read_json(found.uri)
            return [_mentions_of(document, mentions)] if mentions.in_json(document) else []
    except FileNotFoundError:
        pass
    return []


def _mentions_of(document: Any, mentions: Mentions) -> Mapping[str, Any]:
    """Of a document the fields that name the user."""
    if not isinstance(document, dict):
        return {"document": document}
    found = {}
    for name, value in document.items():
        if isinstance(value, dict):
            value = {key: item for key, item in value.items() if mentions.in_json({key: item})}
        if mentions.in_json({name: value}):
            found[name] = value
    return found


def _packs(store: Store, root_uri: str, mentions: Mentions) -> Iterator[tuple[str, bytes]]:
    """The user's utterances in packs: files of audio, and a table of transcripts for each folder of packs."""
    from ds2ray.packs.files import read_shard

    top = users_uri(store) + "/"
    others = [
        found.uri
        for found in _walked(root_uri, store.server)
        if not found.is_leftover and not (found.uri.startswith(top) and "/" in found.uri[len(top) :])
    ]
    for number, folder in enumerate(pack_folders(others)):
        rows = []
        with storage.using(store.server):
            for name in folder.packs:
                uri = storage.join(folder.folder_uri, name)
                users = set(storage.read_table(uri, ["user_id"])["user_id"].to_pylist())
                if not any(mentions.is_user(user) for user in users if user):
                    continue
                for place, utterance in enumerate(read_shard(uri)):
                    if mentions.is_user(utterance.user_id) and isinstance(utterance.audio, bytes):
                        file = f"packs/{number}/{name.partition('.')[0]}-{place:06d}.audio"
                        rows.append({"file": file, "id": utterance.utterance_id, "transcript": utterance.transcript})
                        yield file, utterance.audio
        if rows:
            told = {"packs": folder.output_uri, "utterances": rows}
            yield f"packs/{number}/transcripts.json", (json.dumps(told, ensure_ascii=False, indent=2) + "\n").encode()
