"""The verbs on a server of S3: one store, looked after from the bad night to the erasure."""

from kept_store import packed, two_nights

from ds2ray import storage, store
from ds2ray.config import PackBy
from ds2ray.upkeep import Moved, erase, export_user, fsck, gc, rollback_run, stats, versions


def test_a_store_is_looked_after(s3_root: str) -> None:
    place = two_nights(s3_root)
    packed(f"{s3_root}/packs", PackBy.shard)
    done = rollback_run(place, "second")
    assert [done.count(moved) for moved in (Moved.version, Moved.base)] == [2, 1]
    assert [version.is_current for version in versions(place, "alice")] == [False, True]
    assert fsck(place).wrong == []
    assert (stats(place).users, stats(place).adapters) == (3, 2)
    assert gc(place).objects == {}
    assert len(export_user(place, "alice", "alice", f"{storage.parent(s3_root)}/alice.zip").files) > 5
    receipt = erase(place, {"alice": "alice"})
    assert (receipt.left, receipt.unknown, receipt.erased.packs) == ({}, [], 1)
    left = [found.uri for page in storage.walk(s3_root) for found in page]
    assert not [uri for uri in left if "alice" in uri]
    assert store.read_pointer(place, "alice") is None
    assert fsck(place).wrong == []
