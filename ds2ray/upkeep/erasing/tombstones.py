"""Tombstones: which users were erased, without their ids, so that later runs leave them out.

`index/erased.parquet` has a row per erased user: the HMAC-SHA256 of the user key under a random salt of this store, and
the day. The salt lies in the table's metadata. A plain digest would be looked up in a list of likely ids, and two
stores' tombstones could be put side by side; under a salt of the store's own neither works. Who has the store and
guesses an id can still test the guess: that is just what a run does with its users table, and no store that refuses a
user can do without it.
"""

import hmac
import secrets
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from ds2ray.errors import ArtifactCorruptError, InputError
from ds2ray.naming import typed
from ds2ray.store import Store
from ds2ray.store.layout import tombstones_uri

_SALT = b"salt"
_SALT_BYTES = 32


@dataclass(frozen=True)
class Tombstones:
    """The erased users of a store.

    Attributes:
        salt: of this store alone.
        days: the day of the erasure, 2026-11-27, by mark.
    """

    salt: bytes
    days: dict[str, str] = field(default_factory=dict)

    def mark(self, key: str) -> str:
        """The mark of a user, in 64 hex digits."""
        return hmac.digest(self.salt, key.encode(), "sha256").hex()

    def erased(self, keys: Iterable[str]) -> set[str]:
        """Those of these users who were erased."""
        return {key for key in keys if self.mark(key) in self.days} if self.days else set()

    def __len__(self) -> int:
        return len(self.days)


def read_tombstones(store: Store) -> Tombstones:
    """The tombstones of a store; with a new salt and nobody where it has none.

    Raises:
        ArtifactCorruptError: the table has lost its salt: nobody can say any more who was erased.
    """
    uri = tombstones_uri(store)
    try:
        table = store.read_table(uri)
    except FileNotFoundError:
        return Tombstones(secrets.token_bytes(_SALT_BYTES))
    salt = (table.schema.metadata or {}).get(_SALT, b"")
    if len(salt) != 2 * _SALT_BYTES or not {"mark", "day"} <= set(table.column_names):
        raise ArtifactCorruptError(f"{uri}: not a table of tombstones with its salt; restore it, or erase again")
    days = dict(zip(table["mark"].to_pylist(), table["day"].to_pylist(), strict=True))
    return Tombstones(bytes.fromhex(salt.decode()), days)


def add_tombstones(store: Store, keys: Collection[str]) -> Tombstones:
    """Write tombstones for these users; those that have one keep its day."""
    known = read_tombstones(store)
    today = time.strftime("%Y-%m-%d")
    new = {mark: today for mark in map(known.mark, keys) if mark not in known.days}
    if new:
        known = Tombstones(known.salt, {**known.days, **new})
        _write(store, known)
    return known


def refuse_erased(store: Store, key: str, user: str) -> None:
    """Raise InputError for a user who was erased."""
    known = read_tombstones(store)
    if known.erased([key]):
        raise InputError(
            f"user {user} was erased from {store} on {known.days[known.mark(key)]}: nothing is stored for the user any "
            f"more; `{typed('store')} erase {user} lift=true` allows it again"
        )


def lift_tombstones(store: Store, keys: Collection[str]) -> set[str]:
    """Remove the tombstones of these users, who may be adapted again; returns those that had one."""
    known = read_tombstones(store)
    lifted = known.erased(keys)
    if lifted:
        gone = set(map(known.mark, lifted))
        _write(store, Tombstones(known.salt, {mark: day for mark, day in known.days.items() if mark not in gone}))
    return lifted


def _write(store: Store, tombstones: Tombstones) -> None:
    import pyarrow as pa

    rows = sorted(tombstones.days.items())
    columns = [pa.array([row[place] for row in rows], pa.string()) for place in (0, 1)]
    table = pa.table(columns, names=["mark", "day"]).replace_schema_metadata({_SALT: tombstones.salt.hex()})
    store.write_table(tombstones_uri(store), table)
