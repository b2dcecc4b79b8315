"""The check of the index against pointers: a row that names another version than the pointer keeps its user unchanged
for ever, and a user without a row is trained again every night."""

from collections.abc import Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ds2ray.errors import ArtifactCorruptError
from ds2ray.store import Store, made_seq
from ds2ray.store.index import edit_rows, read_rows, with_rows
from ds2ray.store.layout import index_uri
from ds2ray.store.outcomes import Status
from ds2ray.store.recovery.aside import set_aside
from ds2ray.upkeep.checks.faults import Checkup, Fault, Kind
from ds2ray.upkeep.checks.users import UserCheck, entries_of

if TYPE_CHECKING:
    import pyarrow as pa

_WHERE = "index/users.parquet"
_OUTSIDE_RUNS = "train"  # the job for a single user, which writes no index
MENDED = "the row was written again from the pointer"


@dataclass
class CurrentVersions:
    """What the pointers of all users say, in columns, as there may be a million of them.

    Attributes:
        fingerprints: of the newest publication, which a rollback may have taken back.
        taken_back: users with an earlier version than that, or with the base.
        retrain: users whose pointer was mended: the next run trains them again.
        uncertain: users whose pointer cannot be read.
    """

    keys: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    fingerprints: list[str] = field(default_factory=list)
    run_ids: list[str] = field(default_factory=list)
    taken_back: set[str] = field(default_factory=set)
    retrain: set[str] = field(default_factory=set)
    uncertain: set[str] = field(default_factory=set)

    def add(self, user: UserCheck, mended: bool) -> None:
        """Take a user up."""
        pointer = user.last.pointer if user.last else None
        self.keys.append(user.user_key)
        self.versions.append(user.version)
        newest = max(entries_of(pointer), key=made_seq) if pointer else {}
        # a rollback keeps what it takes back: where nothing newer is named, what was newer was damaged, and left out
        lost = pointer is not None and pointer.restored_seq and newest["version"] == pointer.version
        self.fingerprints.append("" if lost else str(newest.get("data_fingerprint", "")))
        if newest.get("version", "") != user.version:
            self.taken_back.add(user.user_key)
        self.run_ids.append(pointer.run_id if pointer else "")
        if user.uncertain or (user.pointer_damaged and not mended):
            self.uncertain.add(user.user_key)
        if mended:
            self.retrain.add(user.user_key)


def check_index(store: Store, versions: CurrentVersions, found: Checkup) -> set[str]:
    """Compare every row with the user's pointer; returns the keys of the users whose rows are wrong or missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        index = read_rows(store)
    except ArtifactCorruptError as error:
        # a damaged table is named where files are read
        found.faults.append(Fault(Kind.disagrees, _WHERE, f"no row can be compared: {error}"))
        return set(versions.keys)
    keys = pa.array(versions.keys, pa.string())
    place = pc.index_in(index["user_key"].combine_chunks(), value_set=keys)
    current = pc.fill_null(pa.array(versions.versions, pa.string()).take(place), "")
    wrong: dict[str, str] = {}
    differs = index.append_column("current", current).filter(pc.not_equal(index["version"], current))
    for row in differs.to_pylist():
        said = f"version {row['version']}" if row["version"] else "no adapter"
        is_so = f"version {row['current']}" if row["current"] else "none"
        wrong[row["user_key"]] = f"the index says {said}, and the pointer {is_so}"
    counts = pc.value_counts(index["user_key"].combine_chunks())
    for count in counts.filter(pc.greater(counts.field("counts"), 1)).to_pylist():
        wrong[count["values"]] = f"{count['counts']} rows of one user"
    known = pa.array([status.value for status in Status])
    for key in index.filter(pc.invert(pc.is_in(index["status"], value_set=known)))["user_key"].to_pylist():
        wrong[key] = "a status that no release writes"
    wrong |= _without_rows(versions, index)
    for key in sorted(set(wrong) - versions.uncertain):
        found.faults.append(Fault(Kind.disagrees, f"{_WHERE} user {key}", wrong[key]))
    return (set(wrong) - versions.uncertain) | versions.retrain


def _without_rows(versions: CurrentVersions, index: "pa.Table") -> dict[str, str]:
    """Users with an adapter of a run and no row, as a run leaves them that was killed."""
    known = set(index["user_key"].to_pylist())
    columns = zip(versions.keys, versions.versions, versions.run_ids, strict=True)
    return {
        key: f"the index has no row, and the pointer names version {version} of run {run_id}"
        for key, version, run_id in columns
        if version and run_id != _OUTSIDE_RUNS and key not in known
    }


def mend_index(store: Store, versions: CurrentVersions, name: str, found: Checkup) -> None:
    """Write the wrong and missing rows again, from the pointers; a table that cannot be read is set aside, and made of
    the pointers alone."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wrong = {fault.where.removeprefix(f"{_WHERE} user ") for fault in found.faults if fault.where.startswith(_WHERE)}
    wrong |= versions.retrain
    try:
        read_rows(store)
    except ArtifactCorruptError:
        set_aside(store, index_uri(store), "damaged")
        wrong = set(versions.keys)
    keys = pa.array(sorted(wrong), pa.string())

    def mended(index: "pa.Table") -> "pa.Table":
        known = set(index.filter(pc.is_in(index["user_key"], value_set=keys))["user_key"].to_pylist())
        rows = _rows_of(versions, wrong, known, name)
        return with_rows(index, keys, pa.Table.from_pylist(rows, schema=index.schema))

    edit_rows(store, mended)
    found.faults = [
        replace(fault, mended=MENDED) if fault.where.startswith(_WHERE) else fault for fault in found.faults
    ]


def _rows_of(versions: CurrentVersions, wrong: Set[str], known: Set[str], name: str) -> list[dict[str, str]]:
    """Rows of the users whose rows are wrong, from the pointers.

    Args:
        known: those of them who have a row: without an adapter, the others need none.
        name: of the check, as the run that leaves a user to be trained again.
    """
    rows = []
    columns = (versions.keys, versions.versions, versions.fingerprints, versions.run_ids)
    for key, version, fingerprint, run_id in zip(*columns, strict=True):
        if key in wrong and (version or key in known):
            again = key in versions.retrain or not fingerprint
            status = Status.kept_previous if key in versions.taken_back else Status.adapted
            rows.append(
                {
                    "user_key": key,
                    "fingerprint": "" if again else fingerprint,
                    "status": (Status.failed if again else status).value,
                    "version": version,
                    "run_id": name if again else run_id,
                }
            )
    return rows
