"""What an erasure has removed, and its receipt."""

from dataclasses import asdict, dataclass, field

from ds2ray.upkeep.erasing.search import Searched

BEYOND = (
    "copies that others made: backups, object versions and logs of the storage, outputs and manifests in other folders",
    "the weights of bases that were trained on this speech",
)
"""What no erasure of a store reaches, as the receipt says."""


@dataclass
class Erased:
    """What was removed, or with a dry run would be.

    Attributes:
        objects, size_bytes: of users' folders and of adapters that are files by themselves.
        index_rows, run_rows: rows of the index, and of plans and outcomes of runs.
        documents: of runs and the index, deleted or with the name taken out.
        packs, pack_rows: packs deleted or written again, and rows of their tables.
        leftovers: temporary files of killed writes.
        known: the users of whom there was anything.
    """

    objects: int = 0
    size_bytes: int = 0
    index_rows: int = 0
    run_rows: int = 0
    documents: int = 0
    packs: int = 0
    pack_rows: int = 0
    leftovers: int = 0
    known: set[str] = field(default_factory=set)


@dataclass
class Receipt:
    """The receipt of an erasure.

    Attributes:
        marks: of the users, as the tombstones have them: none of them is an id.
        unknown: keys of users of whom the store knew nothing, not even that they were erased.
        roots: what was searched.
        searched: by root; empty after a dry run.
    """

    name: str
    day: str
    store: str
    dry_run: bool
    marks: list[str]
    unknown: list[str]
    erased: Erased
    roots: list[str]
    searched: dict[str, Searched]

    @property
    def left(self) -> dict[str, str]:
        """The objects that still name one of the users, and where they do."""
        return {uri: where for searched in self.searched.values() for uri, where in searched.left.items()}

    def document(self) -> dict[str, object]:
        """The receipt for a file: it names nobody."""
        counted = {name: value for name, value in asdict(self.erased).items() if name != "known"}
        return {
            "erasure": self.name,
            "day": self.day,
            "store": self.store,
            "users": len(self.marks),
            "marks": self.marks,
            "never_known": len(self.unknown),
            "removed": counted,
            "searched": {
                root: {
                    "names": searched.names,
                    "contents": dict(searched.contents),
                    "names_only": dict(searched.unread),
                    "objects_that_still_name_a_user": len(searched.left),
                }
                for root, searched in self.searched.items()
            },
            "not_reached": list(BEYOND),
        }
