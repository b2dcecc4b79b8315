"""A store: its root, its server, and the reading and writing of its objects."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ds2ray import storage
from ds2ray.config import DataConfig, StorageConfig
from ds2ray.errors import ArtifactCorruptError, InputError, InterruptedRunError
from ds2ray.storage import ObjectInfo, Seen, Server
from ds2ray.store.leases.fence import Fence, LateWriteError
from ds2ray.store.leases.identity import boot_clock_s
from ds2ray.uris import protocol

if TYPE_CHECKING:
    import pyarrow as pa


LATE_S = 1.0
"""Seconds after a look at the lease from which a write may have come after another run's."""

_OF_S3 = ("s3", "s3a")


@dataclass(frozen=True)
class Store:
    """The root of a tree in object storage, and the server that it lies on: small, and the same in every process.

    The methods are those of `ds2ray.storage`, for URIs on the store's server.

    Attributes:
        root_uri: any fsspec URI; a relative path is made absolute.
        server: of `s3://` roots; by default that of this process's environment.
        fence: of the run that works on it, which then writes only as long as it holds its lease; None: anybody's.
        wait_for_lease_s: seconds for which whoever wants its lease waits for a run that has it.
    """

    root_uri: str
    server: Server = field(default_factory=Server.here)
    fence: Fence | None = None
    wait_for_lease_s: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "root_uri", storage.absolute(self.root_uri))

    def __str__(self) -> str:
        return self.root_uri

    @classmethod
    def of(cls, config: StorageConfig) -> "Store":
        """The store that the settings name."""
        server = Server.here(config.endpoint_url, config.profile, config.outage_s)
        return cls(config.root, server, wait_for_lease_s=config.wait_for_lease_s)

    def hurried(self) -> "Store":
        """The same store, whose outages are not waited for, as there is something to fall back on."""
        return replace(self, server=self.server.hurried())

    def beside(self, root_uri: str) -> "Store":
        """Another folder on the same server, which is worked on under a lease of its own."""
        return replace(self, root_uri=root_uri, fence=None)

    def fenced(self, fence: Fence) -> "Store":
        """The same store, for a run that holds a lease: writing raises InterruptedRunError once it has lost it."""
        return replace(self, fence=fence)

    def exists(self, uri: str) -> bool:
        """Whether there is such an object, or a folder that holds one."""
        return storage.exists(uri, self.server)

    def list_objects(self, prefix_uri: str, recursive: bool = False) -> list[ObjectInfo]:
        """The objects of a folder, sorted by URI; empty where there is no such folder."""
        return storage.list_objects(prefix_uri, recursive, self.server)

    def read_bytes(self, uri: str, max_bytes: int | None = None) -> bytes:
        """The bytes of a whole object. Raises ArtifactCorruptError where it has more than `max_bytes`."""
        return storage.read_bytes(uri, self.server, max_bytes)

    def write_bytes(self, uri: str, data: bytes) -> None:
        """Write a whole object: readers see the old content or the new, never a part."""
        with self._right():
            storage.write_bytes(uri, data, self.server)

    def read_json(self, uri: str) -> Any:
        """The decoded JSON document. Raises ArtifactCorruptError where the object is not one."""
        return storage.read_json(uri, self.server)

    def write_json(self, uri: str, document: Any) -> None:
        """Write a JSON document."""
        with self._right():
            storage.write_json(uri, document, self.server)

    def read_table(self, uri: str, columns: list[str] | None = None) -> "pa.Table":
        """A Parquet table, or some of its columns.

        Raises:
            ArtifactCorruptError: the object is none, is damaged, or lacks a column.
        """
        return _whole(uri, columns, lambda: storage.read_table(uri, columns, self.server))

    def parse_table(self, uri: str, data: bytes, columns: list[str] | None = None) -> "pa.Table":
        """The table in a file that has been read; errors are those of `read_table`."""
        return _whole(uri, columns, lambda: storage.parse_table(uri, data, columns))

    def write_table(self, uri: str, table: "pa.Table") -> None:
        """Write a Parquet table."""
        with self._right():
            storage.write_table(uri, table, self.server)

    def delete(self, uri: str) -> None:
        """Delete one object; a missing one is no error."""
        with self._right():
            storage.delete(uri, self.server)

    def read_seen(self, uri: str) -> Seen:
        """What an object holds now, for a write that depends on it."""
        return storage.read_seen(uri, self.server)

    def write_where_seen(self, uri: str, data: bytes, seen: Seen) -> bool:
        """Write a whole object where it still holds what was seen of it; returns whether it was written.

        Raises:
            InterruptedRunError: the run of this store's fence has lost its lease; nothing was written.
            LateWriteError: the same, but it was written, and may have hidden what another run wrote.
        """
        if self.fence is None or storage.honours_conditions(uri, self.server):
            return storage.write_where_seen(uri, data, seen, self.server, self._require_right)
        with self._right():
            return storage.write_where_seen(uri, data, seen, self.server, lambda: self._require_right(now=True))

    @contextmanager
    def _right(self) -> Iterator[None]:
        """A context for one write. Raises LateWriteError where the lease was lost before the write was done."""
        self._require_right()
        looked_s = boot_clock_s()
        yield
        if self.fence is not None and boot_clock_s() - looked_s > LATE_S:
            try:
                self._require_right(now=True)
            except InterruptedRunError as error:
                raise LateWriteError(str(error)) from error

    def _require_right(self, now: bool = False) -> None:
        """Raise InterruptedRunError where the run that works here has lost its lease."""
        if self.fence is not None:
            self.fence.require(now)


def _whole(uri: str, columns: list[str] | None, read: Callable[[], "pa.Table"]) -> "pa.Table":
    """A table of the store that has all of these columns. Raises ArtifactCorruptError for another one."""
    try:
        table = read()
    except InputError as error:
        raise ArtifactCorruptError(str(error)) from error
    missing = [name for name in columns or () if name not in table.column_names]
    if missing:
        raise ArtifactCorruptError(f"{uri}: lacks {', '.join(missing)}; restore it or make it anew")
    return table


def server_outside(data: DataConfig, storage_config: StorageConfig) -> Server:
    """The server of `s3://` URIs outside the store: the one that the settings of `data` name, else the store's."""
    outage_s = storage_config.outage_s
    of_store = Server.here(storage_config.endpoint_url, storage_config.profile, outage_s)
    named = bool(data.endpoint_url or data.profile)
    found = Server.here(data.endpoint_url, data.profile, outage_s) if named else of_store
    on_s3 = protocol(storage_config.root) in _OF_S3
    return replace(found, holds_store=on_s3 and found.endpoint_url == of_store.endpoint_url)
