"""The moves of a rollback, and the table in which they are written down before anything moves."""

import json
from dataclasses import asdict, dataclass
from enum import Enum

from ds2ray.store import Store
from ds2ray.store.layout import rollback_uri


class Moved(Enum):
    """What became of a user."""

    version = "gets the version before back"
    base = "goes back to the base, as no version was before"
    newer = "is left alone: a later run has published"
    nothing = "is left alone: there is nothing to take back"
    damaged = "is left alone: the pointer or the version before is missing or damaged"


@dataclass(frozen=True)
class Move:
    """The move of one user.

    Attributes:
        seq, version: of the pointer that it starts from.
        target: the version that becomes current; empty: the base alone.
        fingerprint: of speech, base and settings of the version that is taken back.
        reason: why nothing is moved.
    """

    user_key: str
    moved: Moved
    seq: int = 0
    version: str = ""
    target: str = ""
    fingerprint: str = ""
    reason: str = ""

    @property
    def moves(self) -> bool:
        return self.moved in (Moved.version, Moved.base)


@dataclass(frozen=True)
class RolledBack:
    """The moves of a rollback.

    Attributes:
        finished: users of an earlier rollback that was interrupted, and is finished now.
        was_interrupted: whether that was this very rollback, of which nothing else was left to do.
    """

    moves: list[Move]
    finished: int = 0
    was_interrupted: bool = False

    def count(self, moved: Moved) -> int:
        return sum(move.moved is moved for move in self.moves)


@dataclass(frozen=True)
class Intent:
    """What a rollback has written down.

    Attributes:
        request: digest of what was asked for.
        retrain: whether the users are trained again.
    """

    moves: list[Move]
    request: str
    retrain: bool


def write_intent(store: Store, intent: Intent) -> None:
    """Write down what is going to move."""
    import pyarrow as pa

    table = pa.Table.from_pylist([asdict(move) | {"moved": move.moved.name} for move in intent.moves])
    told = {"request": intent.request, "retrain": json.dumps(intent.retrain)}
    store.write_table(rollback_uri(store), table.replace_schema_metadata(told))


def read_intent(store: Store) -> Intent | None:
    """What an interrupted rollback has written down; None where there is none."""
    try:
        table = store.read_table(rollback_uri(store))
    except FileNotFoundError:
        return None
    told = table.schema.metadata or {}
    moves = [Move(**row | {"moved": Moved[row["moved"]]}) for row in table.to_pylist()]
    return Intent(moves, told.get(b"request", b"").decode(), json.loads(told.get(b"retrain", b"false")))


def forget_intent(store: Store, request: str = "") -> None:
    """Remove what is written down, or only what this request has."""
    intent = read_intent(store)
    if intent is not None and request in ("", intent.request):
        store.delete(rollback_uri(store))
