"""The store."""

from dataclasses import dataclass

from ds2ray.config.fields import setting


@dataclass(kw_only=True)
class StorageConfig:
    """Where bases, adapters, runs and the index live."""

    root: str = setting("./store", "any fsspec URI: a folder, s3://bucket/prefix, memory://…")
    endpoint_url: str = setting("", "S3-compatible server; empty: the provider's own (or AWS_ENDPOINT_URL)")
