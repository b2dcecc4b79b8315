"""Bytes, JSON and tables by URI: a local path, `file://`, `s3://`, `memory://`, or whatever else fsspec knows.

Missing objects raise FileNotFoundError. A server that cannot be reached, refuses the credentials or has no such
bucket raises StorageError: one message with the URI, what was said and what to do, within seconds. Nothing is cached
between calls but the connection, and every function may be called from any thread and any process.
"""

import functools
import io
import json
import os
import secrets
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from ds2ray.config import StorageConfig
from ds2ray.errors import ArtifactCorruptError, InputError
from ds2ray.storage.errors import ReportingFile, reporting, server_code
from ds2ray.uris import absolute, is_local, join, local_path, parent, protocol

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs

_LIST_FROM = 8  # objects wanted of one folder, from which one listing is cheaper than a request for each
_THREADS = 32  # requests under way at once in stat_many
_BUFFER_BYTES = 256 * 1024  # read at once from an open object: enough for any audio header
_CREDENTIAL_VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_CONFIG_FILE"),
    *("AWS_SHARED_CREDENTIALS_FILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"),
)


@dataclass(frozen=True)
class ObjectInfo:
    """A stored object. `version_tag` changes when the content does: the ETag, or size and modification time in ns."""

    uri: str
    size_bytes: int
    version_tag: str


def configure(storage: StorageConfig) -> None:
    """Use the configured S3 endpoint in this process and those it starts. Credentials stay where they are.

    A relative root is made absolute in place: Ray's workers have working directories of their own.
    """
    storage.root = absolute(storage.root)
    if storage.endpoint_url:
        os.environ["AWS_ENDPOINT_URL"] = storage.endpoint_url


@functools.cache
def _connection(scheme: str, process_id: int, credentials: int) -> Any:
    """One fsspec instance for all threads of a process, as long as the environment's credentials stay the same."""
    import fsspec

    if scheme not in ("s3", "s3a"):
        return fsspec.filesystem(scheme, use_listings_cache=False)
    filesystem = fsspec.filesystem(
        scheme,
        skip_instance_cache=True,  # fsspec's cache does not see that credentials have changed
        use_listings_cache=False,
        max_concurrency=1,  # one GET reads an object; otherwise a HEAD comes first
        config_kwargs={
            "connect_timeout": 3,
            "read_timeout": 30,
            "max_pool_connections": _THREADS,
            "retries": {"total_max_attempts": 3, "mode": "standard"},
        },
    )
    filesystem.retries = 2  # s3fs repeats what botocore has already repeated: a dead endpoint would take minutes
    return filesystem


def _filesystem(uri: str) -> tuple[Any, str]:
    """The fsspec instance for a URI, and the path in it."""
    scheme = protocol(uri)
    credentials = hash(tuple(os.environ.get(name) for name in _CREDENTIAL_VARIABLES))
    try:
        filesystem = _connection(scheme, os.getpid(), credentials)
    except (ValueError, ImportError) as error:
        raise InputError(f"{uri}: cannot open {scheme}:// URIs: {error}") from error
    return filesystem, filesystem._strip_protocol(uri)


def read_bytes(uri: str) -> bytes:
    """The whole object."""
    with reporting(uri, "read"):
        if is_local(uri):
            with open(local_path(uri), "rb") as file:
                return file.read()
        filesystem, path = _filesystem(uri)
        return bytes(filesystem.cat_file(path))


def write_bytes(uri: str, data: bytes) -> None:
    """Write the object at once: readers see the old content or the new, never a part. Folders are made."""
    with reporting(uri, "write"):
        if not is_local(uri):
            filesystem, path = _filesystem(uri)
            filesystem.pipe_file(path, data)
            return
        target = local_path(uri)
        folder, name = os.path.split(target)
        os.makedirs(folder or ".", exist_ok=True)
        temporary = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(8)}.tmp")
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # or a power failure could leave the new name on an empty file
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                os.remove(temporary)
            raise


def read_json(uri: str) -> Any:
    """The decoded JSON document. Raises ArtifactCorruptError where it is none."""
    data = read_bytes(uri)
    try:
        return json.loads(data)
    except ValueError as error:
        raise ArtifactCorruptError(f"{uri}: not a JSON document: {error}; restore it or delete it") from error


def write_json(uri: str, document: Any) -> None:
    """Write a JSON document, readable for people, in UTF-8."""
    write_bytes(uri, (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode())


def read_table(uri: str, columns: list[str] | None = None) -> "pa.Table":
    """A Parquet table, or some of its columns (only these are fetched). Raises InputError where it is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = pa.BufferReader(read_bytes(uri)) if columns is None else open_read(uri)
    try:
        with pq.ParquetFile(source) as file:
            return file.read(columns=columns)
    except pa.ArrowException as error:
        raise InputError(f"{uri}: not a readable Parquet table: {error}") from error
    finally:
        source.close()


def write_table(uri: str, table: "pa.Table") -> None:
    """Write a Parquet table (zstd)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_bytes(uri, sink.getvalue().to_pybytes())


def delete(uri: str) -> None:
    """Delete one object; one that is not there is no error."""
    with suppress(FileNotFoundError), reporting(uri, "delete"):
        if is_local(uri):
            os.remove(local_path(uri))
        else:
            filesystem, path = _filesystem(uri)
            filesystem.rm_file(path)


def open_read(uri: str) -> BinaryIO:
    """The object as a seekable file; only what is read is fetched."""
    with reporting(uri, "read"):
        if is_local(uri):
            return open(local_path(uri), "rb")
        filesystem, path = _filesystem(uri)
        file = filesystem.open(path, "rb", cache_type="none", block_size=_BUFFER_BYTES)
    return cast(BinaryIO, io.BufferedReader(ReportingFile(file, uri), _BUFFER_BYTES))


# Looking around -----------------------------------------------------------------------------------------------------


def _object_info(uri: str, info: dict[str, Any]) -> ObjectInfo:
    tag = info.get("ETag") or info.get("etag") or info.get("md5Hash")
    times = (info.get(key) for key in ("mtime", "LastModified", "last_modified", "updated", "created"))
    changed: Any = next((time for time in times if time), "")
    if isinstance(changed, datetime):  # the memory filesystem gives seconds in listings and dates elsewhere
        changed = changed.timestamp()
    size = int(info.get("size") or 0)
    return ObjectInfo(uri, size, str(tag).strip('"') if tag else f"{size}-{changed}")


def _local_info(uri: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(uri, status.st_size, f"{status.st_size}-{status.st_mtime_ns}")


def exists(uri: str) -> bool:
    """Whether there is such an object, or a folder that holds one."""
    try:
        with reporting(uri, "look for it"):
            if is_local(uri):
                return os.path.exists(local_path(uri))
            filesystem, path = _filesystem(uri)
            filesystem.info(path)
            return True
    except FileNotFoundError:
        return False


def list_objects(prefix_uri: str, recursive: bool = False) -> list[ObjectInfo]:
    """The objects of a folder, by name; with those of the folders in it where `recursive`. No folder: none."""
    with reporting(prefix_uri, "list"):
        if is_local(prefix_uri):
            found = list(_local_objects(prefix_uri, recursive))
        else:
            filesystem, path = _filesystem(prefix_uri)
            path = path.rstrip("/") + "/"
            try:
                entries = filesystem.find(path, detail=True).values() if recursive else filesystem.ls(path, detail=True)
            except FileNotFoundError as error:
                if server_code(error) == "NoSuchBucket":
                    raise
                entries = []
            found = [
                _object_info(join(prefix_uri, entry["name"][len(path) :]), entry)
                for entry in entries
                if entry["type"] == "file" and entry["name"].startswith(path)
            ]
    return sorted(found, key=lambda info: info.uri)


def _local_objects(folder_uri: str, recursive: bool) -> Iterator[ObjectInfo]:
    try:
        entries = list(os.scandir(local_path(folder_uri)))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        uri = join(folder_uri, entry.name)
        if entry.is_dir():
            if recursive:
                yield from _local_objects(uri, recursive)
        elif not (entry.name.startswith(".") and entry.name.endswith(".tmp")):  # a write that is under way
            with suppress(FileNotFoundError):
                yield _local_info(uri, entry.stat())


def stat_many(uris: Iterable[str]) -> dict[str, ObjectInfo | None]:
    """What is known of each object, None where it is missing: one listing for a folder of which many are wanted."""
    known: dict[str, ObjectInfo | None] = {}
    remote: defaultdict[str, list[str]] = defaultdict(list)
    for uri in uris:
        if is_local(uri):
            known[uri] = _stat(uri)
        elif uri not in known:
            known[uri] = None
            remote[parent(uri)].append(uri)
    singles = [uri for wanted in remote.values() if len(wanted) < _LIST_FROM for uri in wanted]
    folders = [folder for folder, wanted in remote.items() if len(wanted) >= _LIST_FROM]
    if not remote:
        return known
    with ThreadPoolExecutor(min(_THREADS, len(singles) + len(folders))) as pool:
        known.update(zip(singles, pool.map(_stat, singles), strict=True))
        for folder, listed in zip(folders, pool.map(list_objects, folders), strict=True):
            by_uri = {info.uri: info for info in listed}
            known.update((uri, by_uri.get(uri)) for uri in remote[folder])
    return known


def _stat(uri: str) -> ObjectInfo | None:
    try:
        with reporting(uri, "look for it"):
            if is_local(uri):
                status = os.stat(local_path(uri))
                return _local_info(uri, status) if stat.S_ISREG(status.st_mode) else None
            filesystem, path = _filesystem(uri)
            info = filesystem.info(path)
            return _object_info(uri, info) if info["type"] == "file" else None
    except FileNotFoundError:
        return None


def arrow_filesystem(uri: str) -> tuple["pyarrow.fs.FileSystem", str]:
    """The filesystem and the path in it, for libraries that take pyarrow's (Ray Train's checkpoints)."""
    import pyarrow.fs

    if is_local(uri):
        return pyarrow.fs.LocalFileSystem(), os.path.abspath(local_path(uri))
    from ds2ray.storage.arrow import ObjectByObject

    filesystem, path = _filesystem(uri)
    return pyarrow.fs.PyFileSystem(ObjectByObject(filesystem)), path
