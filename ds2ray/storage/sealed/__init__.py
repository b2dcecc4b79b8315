"""Files that carry checksums of themselves: JSON records and Parquet tables."""

from ds2ray.storage.sealed.records import FORMAT, MAX_RECORD_BYTES, RESTORE, seal, unseal

__all__ = ["FORMAT", "MAX_RECORD_BYTES", "RESTORE", "seal", "unseal"]
