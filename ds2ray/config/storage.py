"""The store: where it lies, and the verbs of jobs/store.py."""

from dataclasses import dataclass, field, fields

from ds2ray.config.fields import Choice, require, require_finite, setting
from ds2ray.errors import ConfigError


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
        0.0,
        "seconds for which a run, or a verb of jobs/store.py, waits for another one that is at work on the store; 0: "
        "it ends at once, with 75",
    )

    def __post_init__(self) -> None:
        require(0 < self.outage_s <= 86_400, "storage.outage_s", self.outage_s, "above 0, and at most a day, 86400")
        waits = 0 <= self.wait_for_lease_s <= 604_800
        require(waits, "storage.wait_for_lease_s", self.wait_for_lease_s, "0 or more, and at most a week, 604800")


class Checked(Choice):
    """How much of a store is read to check it."""

    sizes = "sizes", "records are read, and of files their sizes"
    content = "content", "every file is read, and its sha256 compared"
    deep = "deep", "of weights the names, types and places of their tensors, too"


class Scanned(Choice):
    """How much of a store is searched for what names an erased user."""

    everything = "everything", "names and contents of all objects"
    shared = "shared", "all names, and the contents of what lies outside other users' folders"


@dataclass(frozen=True, kw_only=True)
class StoreJob:
    """jobs/store.py"""

    verb: list[str] = setting([], "what is to be done (above), and after it the users whom it is about")
    users: str = setting("", "also these users: URI of a table with a column user_id, or of a text, an id a line")
    run: str = setting(
        "", "rollback: the run whose publications are taken back; `last`: the newest. unlock: the run that is gone"
    )
    version: str = setting("", "rollback: of one user, the version to go back to; empty: the one before")
    retrain: bool = setting(False, "rollback: let the next night train these users again, even from the same speech")
    lift: bool = setting(False, "erase: let users who were erased be adapted again; nothing comes back")
    receipt: str = setting("", "erase: URI of a file, .json, that receives the receipt, which holds no id")
    scan: Scanned = setting(Scanned.everything, "erase: how much is searched afterwards")
    folders: list[str] = setting(
        [], "erase, gc, export-user: folders outside the store with what ds2ray wrote: packs, checkpoints, adapters"
    )
    keep_runs: int = setting(30, "gc: so many runs stay, the newest, whatever their age")
    keep_versions: int = setting(31, "gc: so many versions of a user stay, with the current one")
    older_than_days: float = setting(7.0, "gc: what is younger stays, whatever it is")
    yes: bool = setting(False, "gc: delete; without it, what would be deleted is told")
    check: Checked = setting(Checked.content, "fsck: how much is read")
    mend: bool = setting(False, "fsck: mend what can be mended without guessing")
    deep: bool = setting(False, "stats: read every pointer, to tell adapters by their bases exactly")
    json: bool = setting(False, "history, rollback, fsck, gc, stats: print JSON")
    output: str = setting("", "export-user: the folder, or the file that ends in .zip, that receives everything")
    storage: StorageConfig = field(default_factory=StorageConfig)
    dry_run: bool = setting(False, "tell what would be done; write nothing")

    def __post_init__(self) -> None:
        require_finite(self)
        require(self.keep_runs >= 0, "keep_runs", self.keep_runs, "at least 0")
        require(self.keep_versions >= 1, "keep_versions", self.keep_versions, "at least 1, the current one")
        require(self.older_than_days >= 0, "older_than_days", self.older_than_days, "at least 0 days")


VERBS = {
    "history": "a user's versions: seq, run, base, errors, size, and which is current",
    "rollback": "give users the version before: some, a list, or all of a run that was bad",
    "erase": "remove all of a user, keep the user out of later runs, and prove that nothing is left",
    "gc": "remove old runs, versions, packs, checkpoints and leftovers that nothing names",
    "fsck": "check every record, file and index row, and mend what needs no guess",
    "stats": "users, adapters, runs and bytes",
    "unlock": "take the lease from a run that is gone",
    "export-user": "write all that the store holds of a user into a folder or a zip",
}
"""The verbs, each with its line."""

_USES = {
    "history": {"users", "json"},
    "rollback": {"users", "run", "version", "retrain", "json", "dry_run"},
    "erase": {"users", "lift", "receipt", "scan", "folders", "dry_run"},
    "gc": {"folders", "keep_runs", "keep_versions", "older_than_days", "yes", "json", "dry_run"},
    "fsck": {"check", "mend", "json", "dry_run"},
    "stats": {"deep", "json"},
    "unlock": {"run", "dry_run"},
    "export-user": {"users", "folders", "output", "dry_run"},
}


def refuse_useless(job: StoreJob, verb: str) -> None:
    """Raise ConfigError for a changed setting that this verb has no use for."""
    default = StoreJob()
    changed = [f.name for f in fields(StoreJob) if getattr(job, f.name) != getattr(default, f.name)]
    useless = [name for name in changed if name not in _USES[verb] | {"verb", "storage"}]
    if useless:
        raise ConfigError(f"{verb} has no use for {', '.join(useless)}: leave it out")
