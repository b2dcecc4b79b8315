"""The folders into which speech was packed, found by the names of their files."""

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass

from ds2ray import storage
from ds2ray.config import PackBy
from ds2ray.packs.ledger import LEDGER, PACK, PART
from ds2ray.packs.tables import FOLDER

_BY = {folder: by for by, folder in FOLDER.items()}


@dataclass(frozen=True)
class PackFolder:
    """A folder into which speech was packed.

    Attributes:
        output_uri: holds the table; the packs lie in the folder `users` or `shards` in it.
        names: of all files beside the packs, and of the packs.
    """

    output_uri: str
    by: PackBy
    names: frozenset[str]

    @property
    def folder_uri(self) -> str:
        return storage.join(self.output_uri, FOLDER[self.by])

    @property
    def packs(self) -> list[str]:
        return sorted(name for name in self.names if PACK.fullmatch(name))

    @property
    def ledgers(self) -> list[str]:
        return sorted(name for name in self.names if name == LEDGER or PART.fullmatch(name))


def pack_folders(uris: Iterable[str]) -> list[PackFolder]:
    """The folders of packs among these objects: those named `users` or `shards` that hold packs or their ledger."""
    names: dict[str, set[str]] = {}
    for uri in uris:
        folder, _, name = uri.rpartition("/")
        if posixpath.basename(folder) in _BY and (PACK.fullmatch(name) or PART.fullmatch(name) or name == LEDGER):
            names.setdefault(folder, set()).add(name)
    return [
        PackFolder(posixpath.dirname(folder), _BY[posixpath.basename(folder)], frozenset(found))
        for folder, found in sorted(names.items())
    ]
