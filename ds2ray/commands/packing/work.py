"""The packs of a run of jobs/prepare.py, and how far it is with them."""

import time
from collections import Counter
from dataclasses import dataclass, field

from ds2ray.commands.packing.long_recordings import LongRecordings
from ds2ray.packs.dropped import dropped_rows
from ds2ray.packs.layout import Pack
from ds2ray.packs.ledger import Packed
from ds2ray.packs.making import Made
from ds2ray.progress import duration_text, size_text
from ds2ray.tables.problems import Problem


@dataclass
class Packing:
    """The packs of a run: planned, unchanged and written, and the problems of rows left out."""

    packs: list[Pack]
    problems: list[Problem]
    packed: list[Packed] = field(default_factory=list)
    num_unchanged: int = 0
    num_written: int = 0
    durations_corrected: int = 0
    mixed: Counter[str] = field(default_factory=Counter)
    long: LongRecordings | None = None

    def add(self, made: Made) -> None:
        self.problems += made.problems
        self.packed += [made.packed] if made.packed else []
        self.num_written += made.written
        self.durations_corrected += made.durations_corrected
        self.mixed += made.mixed


@dataclass
class Progress:
    """How far a run is."""

    work: Packing
    num_packs: int
    all_bytes: int
    num_done: int = 0
    read_bytes: int = 0
    started_s: float = field(default_factory=time.monotonic)

    def share(self) -> float:
        """Of the work that is done, 0 to 1."""
        return self.read_bytes / self.all_bytes if self.all_bytes else 1.0

    def facts(self) -> list[str]:
        """`312/1000 packs`, `280 written`, `1.2 GB read`, `4 rows left out`, `eta 17m`."""
        elapsed_s = time.monotonic() - self.started_s
        parts = [f"{self.num_done}/{self.num_packs} packs", f"{self.work.num_written} written"]
        parts.append(f"{size_text(self.read_bytes)} read")
        if self.work.problems:
            parts.append(f"{len(dropped_rows(self.work.problems))} rows left out")
        if 0 < self.read_bytes < self.all_bytes:
            parts.append(f"eta {duration_text(elapsed_s * (self.all_bytes / self.read_bytes - 1))}")
        return parts
