"""What fsck finds: faults, each with its place, what is wrong, and how it was mended, if it was."""

from dataclasses import dataclass, field
from enum import Enum


class Kind(Enum):
    """The kinds of faults. The last three are told, and are no harm: they leave the exit code as it is."""

    damaged = "damaged"  # unreadable, or not what was published
    missing = "missing"  # named, and not there
    disagrees = "disagrees"  # two records contradict each other
    orphaned = "orphaned"  # nothing names it: gc removes it when it is old
    foreign = "foreign"  # nothing that ds2ray writes there
    unfinished = "unfinished"  # of a run that was killed: the next run takes it over

    @property
    def is_wrong(self) -> bool:
        return self in (Kind.damaged, Kind.missing, Kind.disagrees)


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        where: path below the root.
        mended: what was done about it; empty: nothing.
    """

    kind: Kind
    where: str
    what: str
    mended: str = ""


@dataclass
class Checkup:
    """What fsck has read and found.

    Attributes:
        users, objects, size_bytes: how many were looked at, and how much of them was read.
    """

    users: int = 0
    objects: int = 0
    size_bytes: int = 0
    faults: list[Fault] = field(default_factory=list)

    @property
    def wrong(self) -> list[Fault]:
        """The faults that do harm and are not mended."""
        return [fault for fault in self.faults if fault.kind.is_wrong and not fault.mended]

    def count(self, kind: Kind) -> int:
        return sum(fault.kind is kind for fault in self.faults)
