"""What chaos has done, and what it has found afterwards; both are only ever added to."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ds2ray import storage
from ds2ray.errors import ArtifactCorruptError
from ds2ray.store import Store, read_adapter, read_pointer, user_key
from ds2ray.store.index import read_index
from ds2ray.store.layout import outcomes_uri, run_uri
from ds2ray.store.outcomes import read_part

TRACEBACK = b"Traceback (most recent call last)"

Adapters = dict[str, tuple[str, str]]
"""By user key: the version of the adapter, and the fingerprint of the data that it was made of."""


@dataclass
class Findings:
    """Counts of what was done and found; `notes` say where."""

    kills: Counter[str] = field(default_factory=Counter)  # that hit a living process, by what was killed
    wrong: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def found(self, what: str, where: str, count: int = 1) -> None:
        """Note what must not be."""
        if count:
            self.wrong[what] += count
            self.notes.append(f"{what}: {where}"[:300])

    def check_output(self, log: Path) -> None:
        """Look for the traces of Python in what a process printed."""
        self.found("tracebacks", log.name, log.read_bytes().count(TRACEBACK))

    def check_visible(self, store: Store, users: Iterable[str], where: str) -> None:
        """Whatever moment a writer was killed at, a reader finds a whole adapter, or none."""
        for user in users:
            try:
                pointer = read_pointer(store, user_key(user))
                if pointer is not None:
                    read_adapter(store, pointer)
            except ArtifactCorruptError as error:
                self.found("half_visible", f"{where}: {error}")

    def check_store(self, store: Store, expected: Adapters, where: str) -> None:
        """After all that went wrong, the store is that of a run in which nothing did."""
        try:
            found = adapters_of(store, expected)
            index = read_index(store)
        except ArtifactCorruptError as error:
            self.found("silent_corruptions", f"{where}: {error}")
            return
        lost = [key for key in expected if key not in found or not index[key].fingerprint]
        self.found("users_lost", f"{where}: {lost}", len(lost))
        differing = sum(found.get(key) != adapter for key, adapter in expected.items()) + len(index.keys() - expected)
        self.found("unequal_stores", where, differing)
        for run in runs_of(store):
            twice = done_twice(store, run)
            self.found("users_done_twice", f"{where}, run {run}: {twice}", len(twice))


def adapters_of(store: Store, keys: Iterable[str]) -> Adapters:
    """The verified adapters of users, but for those who have none."""
    found = {}
    for key in keys:
        pointer = read_pointer(store, key)
        if pointer is not None:
            read_adapter(store, pointer)
            found[key] = (pointer.version, pointer.data_fingerprint)
    return found


def runs_of(store: Store) -> list[str]:
    prefix = f"{storage.parent(run_uri(store, 'x'))}/"
    names = (info.uri.removeprefix(prefix).partition("/")[0] for info in store.list_objects(prefix, recursive=True))
    return sorted(set(names))


def done_twice(store: Store, run_id: str) -> list[str]:
    """Users with two rows in the settled outcomes of a run or, where it was not settled, in the parts of its trials."""
    names = [info.uri.rpartition("/")[2] for info in store.list_objects(outcomes_uri(store, run_id))]
    parts = [name.removesuffix(".parquet") for name in names if name.endswith(".parquet")]
    wanted = ["settled"] if "settled" in parts else parts
    rows = Counter(row.user_key for name in wanted for row in read_part(store, run_id, name) or [])
    return [key for key, count in rows.items() if count > 1]


def stored_leaks(store: Store, secrets: Mapping[str, str]) -> list[str]:
    """Objects of a store in which a secret can be read, its tables decoded."""
    found = []
    for info in store.list_objects(store.root_uri, recursive=True):
        data = store.read_bytes(info.uri) + info.uri.removeprefix(store.root_uri).encode()
        if info.uri.endswith(".parquet"):
            data += json.dumps(store.read_table(info.uri).to_pylist(), default=str, ensure_ascii=False).encode()
        found += [f"{name} in {info.uri}" for name, secret in secrets.items() if secret.encode() in data]
    return found
