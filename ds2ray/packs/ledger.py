"""The ledger of packs and their sources, so that the next run reads only audio that has changed.

<folder>/<name>.<version>.parquet     the packs: immutable, named by their content
<folder>/packed.parquet               a row per pack: name, source, version, num_utterances, speech_s, size_bytes
<folder>/packed-<time>-<n>.parquet    rows of a run that is under way or was interrupted
"""

import re
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ds2ray import storage
from ds2ray.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

LEDGER = "packed.parquet"
PART = re.compile(r"packed-[0-9a-f]+-\d+\.parquet")
PACK = re.compile(r".+\.[0-9a-f]{32}\.parquet")


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A pack that is stored."""

    name: str
    source: str  # empty where some of it could not be read, so that the next run tries again
    version: str
    num_utterances: int
    speech_s: float
    size_bytes: int

    @property
    def file_name(self) -> str:
        return f"{self.name}.{self.version}.parquet"


class Ledger:
    """The ledger of a folder. `packs` are the file names of its packs at the time of opening."""

    def __init__(self, folder_uri: str) -> None:
        self.folder_uri = folder_uri
        names = [PurePosixPath(info.uri).name for info in storage.list_objects(folder_uri)]
        self.packs = {name for name in names if PACK.fullmatch(name)}
        self._parts = [name for name in names if PART.fullmatch(name)]
        self._run = f"{time.time_ns():x}"
        self._num_parts = 0
        self._known: dict[tuple[str, str], Packed] = {}
        for name in ([LEDGER] if LEDGER in names else []) + self._parts:
            try:
                rows = storage.read_table(storage.join(folder_uri, name)).to_pylist()
                self._known |= {(row["name"], row["source"]): Packed(**row) for row in rows}
            except (InputError, TypeError, KeyError):
                continue  # written by another release or damaged: its packs are read again, nothing is lost

    def find(self, name: str, source: str) -> Packed | None:
        """The stored pack of this name and source; None where there is none."""
        packed = self._known.get((name, source))
        return packed if packed and packed.file_name in self.packs else None

    def write_part(self, rows: Iterable[Packed]) -> None:
        """Write packs down while a run is under way, for a run after an interruption."""
        listed = list(rows)
        if listed:
            self._num_parts += 1
            part = f"packed-{self._run}-{self._num_parts}.parquet"
            self._parts.append(part)
            storage.write_table(storage.join(self.folder_uri, part), _table(listed))

    def close(self, rows: Iterable[Packed]) -> None:
        """Write the packs of a complete run; they replace everything written down before."""
        storage.write_table(storage.join(self.folder_uri, LEDGER), _table(rows))
        for part in self._parts:
            storage.delete(storage.join(self.folder_uri, part))


def superseded(stored: Iterable[str], current: Iterable[str], previous: Iterable[str]) -> list[str]:
    """File names of packs that neither the current table names nor the one before it."""
    return sorted(set(stored) - set(current) - set(previous))


def _table(rows: Iterable[Packed]) -> "pa.Table":
    import pyarrow as pa

    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    schema = pa.schema([(field.name, types[field.type]) for field in fields(Packed)])  # type: ignore[index]
    return pa.Table.from_pylist([asdict(row) for row in rows], schema=schema)
