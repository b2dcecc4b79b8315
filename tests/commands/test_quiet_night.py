"""A night in which nothing is new: what it reads, and that it writes nothing of users and nothing of the index."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from finished_run import finish_run
from fleet_runs import RandomBase, job_of, spoken, write_users

from ds2ray import storage
from ds2ray.commands import adapt_users
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.store import Store
from ds2ray.store.index import forget_users
from ds2ray.store.layout import index_uri, users_uri
from ds2ray.store.outcomes import Status, read_outcomes
from ds2ray.store.recovery.agreement import SAMPLE

READS = ("read_bytes", "read_seen", "read_table")
WRITES = ("write_bytes", "write_json", "write_table", "write_where_seen", "delete")


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """How often each object is read and written, by kind of access and URI."""
    counted = Counter[tuple[str, str]]()

    def count(kind: str, name: str) -> None:
        real = getattr(storage, name)

        def counting(uri: str, *arguments: Any, **options: Any) -> Any:
            counted[kind, uri] += 1
            return real(uri, *arguments, **options)

        monkeypatch.setattr(storage, name, counting)

    for name in READS:
        count("read", name)
    for name in WRITES:
        count("write", name)
    return counted


@pytest.fixture
def finished(random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path) -> tuple[Store, str, list[str]]:
    """A store after a run, the table of its users, and their keys."""
    root = random_base.publish(str(tmp_path / "store"))
    users = write_users(str(tmp_path / "users.csv"), spoken(small_corpus))
    return Store(root), users, finish_run(job_of(root, users), "first")


def test_a_rerun_of_a_finished_run_writes_nothing_of_users_and_reads_the_index_once(
    finished: tuple[Store, str, list[str]], counts: Counter[tuple[str, str]]
) -> None:
    store, users, keys = finished
    assert adapt_users.run(job_of(store.root_uri, users, "again")) == 0
    assert {row.status for row in read_outcomes(store, "again")} == {Status.unchanged}
    assert counts["read", index_uri(store)] == 1
    written = [uri for kind, uri in counts if kind == "write"]
    assert written  # the run's own folder
    assert [uri for uri in written if uri.startswith(users_uri(store) + "/") or uri == index_uri(store)] == []
    read_of_users = [uri for kind, uri in counts if kind == "read" and uri.startswith(users_uri(store) + "/")]
    assert 0 < len(read_of_users) <= min(SAMPLE, len(keys))


def test_nothing_is_written_where_the_index_stays_as_it_is(
    finished: tuple[Store, str, list[str]], counts: Counter[tuple[str, str]]
) -> None:
    store, _, keys = finished
    forget_users(store, {"nobody"})
    assert counts["write", index_uri(store)] == 0
    forget_users(store, {keys[0]})
    forget_users(store, {keys[0]})
    assert counts["write", index_uri(store)] == 1
