"""The tree in object storage: bases, users' adapters, runs, the index and the lease. Neither torch nor Ray."""

from ds2ray.store.adapters import (
    MAX_HISTORY,
    AdapterPointer,
    BaseRecord,
    history,
    list_bases,
    publish_adapter,
    publish_base,
    read_adapter,
    read_base,
    read_base_record,
    read_pointer,
    rollback,
    sha256,
    user_key,
)

__all__ = [
    "MAX_HISTORY",
    "AdapterPointer",
    "BaseRecord",
    "history",
    "list_bases",
    "publish_adapter",
    "publish_base",
    "read_adapter",
    "read_base",
    "read_base_record",
    "read_pointer",
    "rollback",
    "sha256",
    "user_key",
]
