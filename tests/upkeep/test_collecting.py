"""gc: what goes by age and number, and what is never touched."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from kept_store import BASE_ID, content, copied, held_elsewhere, night, packed, publish, two_nights
from killed import dies_at

from ds2ray import store
from ds2ray.config import PackBy
from ds2ray.errors import InterruptedRunError
from ds2ray.store import OwnWord, Store
from ds2ray.store.index import open_run
from ds2ray.store.layout import adapter_weights_uri
from ds2ray.upkeep import rollback_users
from ds2ray.upkeep.collecting import DAY_S, gc

STRAY = "ffffffffffffffff"


def aged(root: str, days: float) -> None:
    """Let every file below a folder be that much older."""
    for name in content(root):
        path = Path(root) / name
        seconds = path.stat().st_mtime - days * DAY_S
        os.utime(path, (seconds, seconds))


GONE = {
    f"users/alice/{STRAY}.safetensors",
    f"users/alice/words-{STRAY}.json",
    "users/bob/.x.safetensors.12.tmp",
    "index/.users.parquet.12.tmp",
    f"packs/users/alice.{2 * STRAY}.parquet",
    f"bases/{BASE_ID}/lm/{STRAY}.arpa.gz",
    "outputs/checkpoints/000000001-aaaaaaaa.pt",
}


@pytest.fixture
def place(tmp_path: Path) -> Store:
    """Two old nights, one of yesterday, and everything that nothing names, all of it old."""
    found = two_nights(str(tmp_path / "store"))
    root = tmp_path / "store"
    packed(str(root / "packs"), PackBy.user)
    for name in (*GONE, "outputs/checkpoints/000000002-bbbbbbbb.pt"):
        found.write_bytes(f"{root}/{name}", b"left over")
    found.write_json(f"{root}/outputs/checkpoints/latest.json", {"checkpoints": [{"name": "000000002-bbbbbbbb.pt"}]})
    store.publish_language_model(
        found, BASE_ID, b"model", unit="word", num_ngrams=(1,), num_sentences=1, perplexity=None
    )
    aged(str(root), 20)
    night(found, "third", {"alice": b"alice three"})
    aged(str(root), 1)
    return found


def test_what_nothing_names_goes_and_all_else_stays(place: Store) -> None:
    before = content(place.root_uri)
    told = gc(place)
    assert content(place.root_uri) == before
    done = gc(place, dry_run=False)
    after = content(place.root_uri)
    assert before.keys() - after.keys() == GONE
    assert after == {name: data for name, data in before.items() if name not in GONE}
    assert (told.objects, told.size_bytes) == (done.objects, done.size_bytes)
    assert done.objects == {
        "versions": 1,
        "own words": 1,
        "leftovers": 2,
        "packs": 1,
        "language models": 1,
        "checkpoints": 1,
    }
    assert sum(done.size_bytes.values()) == 7 * len(b"left over")


def test_old_runs_go_beyond_those_that_are_kept(place: Store) -> None:
    assert gc(place, keep_runs=3).runs == []
    assert gc(place, keep_runs=2).runs == ["first"]
    done = gc(place, keep_runs=0, dry_run=False)
    assert sorted(done.runs) == ["first", "second"]  # third is of yesterday
    assert os.listdir(f"{place.root_uri}/runs") == ["third"]


def test_a_run_that_is_marked_or_holds_the_lease_stays(place: Store) -> None:
    open_run(place, "first")
    assert gc(place, keep_runs=0).runs == ["second"]
    held_elsewhere(place, "second")
    assert gc(place, keep_runs=0).runs == []
    with pytest.raises(InterruptedRunError):
        gc(place, dry_run=False)


def test_histories_are_cut_before_their_versions_go(place: Store) -> None:
    first, second = (entry["version"] for entry in reversed(store.history(place, "alice")[1:]))
    done = gc(place, keep_versions=1, dry_run=False)
    assert done.histories_cut == 2  # alice's adapters and words; bob's
    assert [entry["seq"] for entry in store.history(place, "alice")] == [3]
    for version in (first, second):
        assert not place.exists(adapter_weights_uri(place, "alice", version))
    assert store.read_adapter(place, store.history(place, "bob") and store.read_pointer(place, "bob"))  # type: ignore[arg-type]


def test_what_is_young_stays_at_any_number(place: Store) -> None:
    publish(place, "alice", b"alice four", "fourth")
    publish(place, "alice", b"alice five", "fifth")
    gc(place, keep_versions=1, dry_run=False)
    assert [entry["seq"] for entry in store.history(place, "alice")] == [5, 4, 3]
    place.write_bytes(adapter_weights_uri(place, "alice", STRAY), b"under way")
    assert "versions" not in gc(place, older_than_days=0).objects


def test_who_went_back_to_the_base_keeps_every_version(place: Store) -> None:
    for _ in range(3):
        rollback_users(place, ["alice"])
    before = content(f"{place.root_uri}/users/alice")
    assert store.read_pointer(place, "alice") is None
    gc(place, dry_run=False)
    kept = content(f"{place.root_uri}/users/alice")
    assert before.keys() - kept.keys() == {f"{STRAY}.safetensors", f"words-{STRAY}.json"}


def test_a_damaged_pointer_keeps_every_version_and_is_told(place: Store) -> None:
    place.write_bytes(f"{place.root_uri}/users/alice/current.json", b"{}")
    done = gc(place, dry_run=False)
    assert "fields are missing" in done.left[0]
    assert place.exists(adapter_weights_uri(place, "alice", STRAY))


def test_folders_outside_the_store(place: Store, tmp_path: Path) -> None:
    packed(str(tmp_path / "packs"), PackBy.shard)
    place.write_bytes(f"{tmp_path}/packs/shards/shard-00007.{2 * STRAY}.parquet", b"left over")
    aged(str(tmp_path / "packs"), 20)
    done = gc(place, folders=[str(tmp_path / "packs")], dry_run=False)
    assert done.objects["packs"] == 2
    assert len([name for name in os.listdir(tmp_path / "packs" / "shards") if name.startswith("shard-")]) == 2


@pytest.mark.process
@pytest.mark.usefixtures("no_power_fails")
def test_killed_at_every_change_and_run_again_it_ends_the_same(place: Store, tmp_path: Path) -> None:
    store.publish_words(place, "alice", [OwnWord("x")])

    def collect(where: Store) -> None:
        gc(where, keep_runs=1, keep_versions=1, dry_run=False)

    undisturbed = copied(place.root_uri, str(tmp_path / "undisturbed"))
    collect(undisturbed)
    expected, kills = content(undisturbed.root_uri), 0
    while True:
        where = copied(place.root_uri, str(tmp_path / "killed"))
        if not dies_at(kills + 1, lambda where=where: collect(where)):  # type: ignore[misc]
            break
        kills += 1
        collect(where)
        kept = {name: data for name, data in content(where.root_uri).items() if "lease.json" not in name}
        halves = {name for name in kept if name.endswith(".tmp")}  # of the write that the kill met: too young to go
        assert {name: data for name, data in kept.items() if name not in halves} == expected, kills
        for key in ("alice", "bob", "carol"):
            pointer = store.read_pointer(where, key)
            assert pointer is not None
            for entry in (vars(pointer), *pointer.history):
                known = replace(pointer, **{name: entry[name] for name in ("version", "size_bytes", "sha256")})
                assert store.read_adapter(where, known)
    assert kills > 15
