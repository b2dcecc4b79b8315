"""fsck: the checks of bases, users and the index, and what is mended of the faults that they find."""

from ds2ray.upkeep.checks.checking import fsck
from ds2ray.upkeep.checks.faults import Checkup, Fault, Kind

__all__ = ["Checkup", "Fault", "Kind", "fsck"]
