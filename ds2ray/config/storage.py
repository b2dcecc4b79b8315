"""The store."""

from dataclasses import dataclass

from ds2ray.config.fields import require, setting


@dataclass(frozen=True, kw_only=True)
class StorageConfig:
    """The store of bases, adapters, runs and the index: its root and its server."""

    root: str = setting("./store", "any fsspec URI: a folder, s3://bucket/prefix, memory://…")
    endpoint_url: str = setting(
        "",
        "S3-compatible server of the store and, unless data.endpoint_url or data.profile says otherwise, of every "
        "other s3:// URI; empty: AWS_ENDPOINT_URL, else the profile's own, else the provider's",
    )
    profile: str = setting(
        "", "name of the credentials for it in the AWS configuration files of every node; empty: the provider's chain"
    )
    outage_s: float = setting(
        90.0,
        "seconds without an answer, or with a server's own errors and overload alone, that a request to the store or "
        "to another s3:// URI waits before it fails; 600 waits for ten minutes",
    )

    wait_for_lease_s: float = setting(
        0.0, "seconds for which a run waits for another one that is at work on the store; 0: it ends at once, with 75"
    )

    def __post_init__(self) -> None:
        require(0 < self.outage_s <= 86_400, "storage.outage_s", self.outage_s, "above 0, and at most a day, 86400")
        waits = 0 <= self.wait_for_lease_s <= 604_800
        require(waits, "storage.wait_for_lease_s", self.wait_for_lease_s, "0 or more, and at most a week, 604800")
