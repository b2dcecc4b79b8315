"""Erasing users: everything that names them goes, others keep what they have, and a kill anywhere loses neither."""

import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from kept_store import content, copied, packed, publish, two_nights
from killed import dies_at

from ds2ray import store
from ds2ray.config import DataConfig, PackBy, Scanned
from ds2ray.errors import ArtifactCorruptError, InputError
from ds2ray.packs.files import read_shard
from ds2ray.store import Store
from ds2ray.store.index import read_index
from ds2ray.store.layout import attempt_uri, log_uri, report_uri, summary_uri, tombstones_uri, words_index_uri
from ds2ray.store.own_words import write_words_index
from ds2ray.store.records import SUMMARY, read_record, write_record
from ds2ray.tables.users import read_fleet
from ds2ray.upkeep import keys_of, rollback_users
from ds2ray.upkeep.erasing import erase, lift, read_tombstones, refuse_erased


@pytest.fixture
def place(tmp_path: Path) -> Store:
    """Two nights of four users, with packs in the store, and whatever may name alice."""
    found = two_nights(str(tmp_path / "store"))
    packed(str(tmp_path / "store" / "packs" / "mine"), PackBy.user)
    packed(str(tmp_path / "store" / "packs" / "base"), PackBy.shard)
    rollback_users(found, ["alice"])
    publish(found, "alice", b"alice three", "third")
    write_words_index(found, {"alice": "abc", "bob": "def"})
    found.write_json(attempt_uri(found, "first", 0), {"attempt": 1, "user_key": "alice"})
    reason = "its manifest cannot be read: s3://speech/alice.csv"
    failures = {reason: 1, "s3://speech/bob.csv": 1}
    write_record(found, summary_uri(found, "first"), SUMMARY, {"failures": failures})
    found.write_json(summary_uri(found, "earlier-release"), {"failures": failures})
    found.write_json(f"{found.root_uri}/index/marks/alice.json", {"user_key": "alice"})
    (tmp_path / "store" / "users" / "alice" / ".x.safetensors.12.tmp").write_bytes(b"half a file")
    (tmp_path / "store" / "index" / ".users.parquet.12.tmp").write_bytes(b"PAR1 half a table")
    (tmp_path / "store" / "alice_adapter.pt").write_bytes(b"an adapter by itself")
    return found


def mentioning(root: str, name: bytes = b"alice") -> list[str]:
    """The files below a folder whose names or contents, Parquet decoded, hold this anywhere; and folders so named."""
    found = [path.name for path in Path(root).rglob("*") if name.decode() in path.name]
    for path, data in content(root).items():
        if path.endswith(".parquet"):
            data = repr(pq.read_table(io.BytesIO(data)).to_pylist()).encode()
        found += [path] if name in data else []
    return found


def test_nothing_of_the_user_is_left_and_others_keep_everything(place: Store) -> None:
    receipt = erase(place, keys_of(["alice"]))
    assert mentioning(place.root_uri) == []
    assert (receipt.left, receipt.unknown) == ({}, [])
    assert set(read_index(place)) == {"bob", "carol", "dave"}
    assert store.read_adapter(place, store.read_pointer(place, "bob")) == b"bob two"  # type: ignore[arg-type]
    for run_id in ("first", "earlier-release"):
        assert read_record(place, dict, summary_uri(place, run_id), kind=SUMMARY)["failures"] == {
            "its manifest cannot be read: s3://speech/….csv": 1,
            "s3://speech/bob.csv": 1,
        }
    assert place.read_table(words_index_uri(place))["user_key"].to_pylist() == ["bob"]


@pytest.mark.parametrize(
    ("user", "named"), [("alice", "alice"), ("jo", "jo"), ("o'brien & co", "o&#39;brien &amp; co"), ("4711", "4711")]
)
def test_a_page_that_names_the_user_goes_and_that_of_another_night_stays(place: Store, user: str, named: str) -> None:
    def page(name: str) -> bytes:
        return f'<ul>\n<li class="key">{name}</li>\n</ul><p>4711 users</p>'.encode()

    place.write_bytes(report_uri(place, "first"), page(named))
    place.write_bytes(report_uri(place, "second"), page("bob"))
    receipt = erase(place, keys_of([user]))
    assert receipt.left == {}
    assert not place.exists(report_uri(place, "first"))
    assert place.read_bytes(report_uri(place, "second")) == page("bob")


@pytest.mark.parametrize("user", ["alice", "jo", "o'brien & co", "4711"])
def test_a_log_that_names_the_user_goes_and_that_of_another_night_stays(place: Store, user: str) -> None:
    def log(name: str) -> bytes:
        return f"2026-11-26 02:00:00 failed: {name}: its manifest cannot be read\n".encode()

    place.write_bytes(log_uri(place, "first"), log(user))
    place.write_bytes(log_uri(place, "second"), log("bob"))
    receipt = erase(place, keys_of([user]))
    assert (place.exists(log_uri(place, "first")), receipt.left) == (False, {})
    assert place.read_bytes(log_uri(place, "second")) == log("bob")


def test_packs_of_others_stay_and_shards_are_written_again(place: Store, tmp_path: Path) -> None:
    erase(place, keys_of(["alice"]))
    root = tmp_path / "store" / "packs"
    fleet = read_fleet(str(root / "mine" / "users.parquet"), DataConfig())
    assert fleet.table.rows["user_id"].to_pylist() == ["bob", "carol"]
    manifest = pq.read_table(root / "base" / "manifest.parquet").to_pylist()
    assert [row["user_id"] for row in manifest] == ["carol", "bob"]
    for row in manifest:
        (utterance,) = read_shard(str(root / "base" / row["shard"]), [row["row_group"]])
        assert utterance.audio == f"audio of {row['user_id']}".encode()
    assert len(list((root / "base" / "shards").glob("shard-*"))) == 2
    assert pq.read_table(root / "base" / "shards" / "packed.parquet")["name"].to_pylist() == ["shard-00001"]


def test_a_dry_run_tells_the_same_and_writes_nothing(place: Store) -> None:
    before = content(place.root_uri)
    told = erase(place, keys_of(["alice"]), dry_run=True)
    assert content(place.root_uri) == before
    done = erase(place, keys_of(["alice"])).erased
    assert told.erased == done
    assert (done.objects, done.packs, done.documents, done.leftovers) == (9, 2, 4, 1)
    assert (done.index_rows, done.run_rows) == (2, 6)


def test_the_tombstone_and_the_receipt_hold_no_id_and_lift_takes_it_away(place: Store) -> None:
    receipt = erase(place, keys_of(["alice", "bob"]))
    stones = read_tombstones(place)
    assert stones.erased(["alice", "bob", "carol"]) == {"alice", "bob"}
    written = json.dumps(receipt.document())
    assert not [user for user in ("alice", "bob") if user in written]
    assert sorted(stones.days) == receipt.marks
    with pytest.raises(InputError, match="user alice was erased from"):
        refuse_erased(place, "alice", "alice")
    assert lift(place, keys_of(["alice"])) == {"alice"}
    refuse_erased(place, "alice", "alice")
    assert read_tombstones(place).erased(["alice", "bob"]) == {"bob"}
    assert read_tombstones(place).salt == stones.salt


def test_tombstones_without_their_salt_are_damage(place: Store) -> None:
    erase(place, keys_of(["alice"]))
    place.write_table(tombstones_uri(place), place.read_table(tombstones_uri(place)).replace_schema_metadata(None))
    with pytest.raises(ArtifactCorruptError, match="not a table of tombstones with its salt"):
        read_tombstones(place)


def test_two_stores_have_different_marks(place: Store, tmp_path: Path) -> None:
    other = two_nights(str(tmp_path / "other"))
    assert not set(erase(place, keys_of(["alice"])).marks) & set(erase(other, keys_of(["alice"])).marks)


def test_a_user_of_whom_nothing_is_known_is_told_once(place: Store) -> None:
    assert erase(place, keys_of(["alcie"])).unknown == ["alcie"]
    assert erase(place, keys_of(["alcie"])).unknown == []


def test_what_is_not_ours_is_left_and_told(place: Store, tmp_path: Path) -> None:
    other = tmp_path / "outputs"
    other.mkdir()
    (other / "heard.jsonl").write_text('{"user_id": "alice", "text": "a"}\n{"user_id": "malice"}\n')
    (other / "malice.txt").write_text("malice and alice2")
    (other / "alice_adapter.pt").write_bytes(b"an adapter")
    place.write_bytes(f"{place.root_uri}/notes/alice.txt", b"hers")
    receipt = erase(place, keys_of(["alice"]), folders=[str(other)])
    assert receipt.left == {
        f"{place.root_uri}/notes/alice.txt": "name",
        f"{other}/heard.jsonl": "content",
    }
    assert sorted(path.name for path in other.iterdir()) == ["heard.jsonl", "malice.txt"]


def test_a_search_of_what_is_shared_reads_no_other_user_s_folder(place: Store) -> None:
    (searched,) = erase(place, keys_of(["alice"]), scan=Scanned.shared).searched.values()
    assert searched.unread == {"safetensors": 3, "json": 2}
    assert searched.contents["parquet"] > 5


@pytest.mark.parametrize("user", ["1", "users", "adapted", "al", "ü/ü b", "first.second", "user_key"])
def test_ids_that_stand_for_something_else_take_nobody_else_s_rows(tmp_path: Path, user: str) -> None:
    place = two_nights(str(tmp_path / "store"))
    (key,) = keys_of([user])
    publish(place, key, b"odd", "third")
    before = content(place.root_uri, without=("index/",))
    receipt = erase(place, keys_of([user]))
    mine = f"users/{key}/"
    assert content(place.root_uri, without=("index/",)) == {
        name: data for name, data in before.items() if not name.startswith(mine)
    }
    assert receipt.left == {}
    assert receipt.unknown == []


def state(place: Store) -> dict[str, object]:
    """The store without what differs between two erasures: the salt, and what a kill leaves half written."""
    kept = content(place.root_uri).items()
    found: dict[str, object] = {name: data for name, data in kept if not name.endswith((".tmp", "lease.json"))}
    return found | {"index/erased.parquet": read_tombstones(place).erased(["alice", "bob", "carol"])}


@pytest.mark.process
@pytest.mark.usefixtures("no_power_fails")
def test_killed_at_every_change_and_run_again_it_ends_the_same(place: Store, tmp_path: Path) -> None:
    undisturbed = copied(place.root_uri, str(tmp_path / "undisturbed"))
    erase(undisturbed, keys_of(["alice"]))
    expected, kills = state(undisturbed), 0
    while True:
        where = copied(place.root_uri, str(tmp_path / "killed"))
        if not dies_at(kills + 1, lambda where=where: erase(where, keys_of(["alice"]))):  # type: ignore[misc]
            break
        kills += 1
        pointer = store.read_pointer(where, "alice")
        assert pointer is None or store.read_adapter(where, pointer) == b"alice three"
        assert erase(where, keys_of(["alice"])).left == {}
        assert state(where) == expected, kills
        assert mentioning(where.root_uri) == []
    assert kills > 25
