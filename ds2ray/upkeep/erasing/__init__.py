"""The erasure of users: what names them, what is removed, tombstones, and the search that nothing is left."""

from ds2ray.upkeep.erasing.erasure import erase, lift
from ds2ray.upkeep.erasing.receipt import Erased, Receipt
from ds2ray.upkeep.erasing.tombstones import Tombstones, read_tombstones, refuse_erased

__all__ = ["Erased", "Receipt", "Tombstones", "erase", "lift", "read_tombstones", "refuse_erased"]
