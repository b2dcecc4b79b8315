"""fsck: what it finds in a store that was damaged on purpose, and what it mends."""

import struct
from pathlib import Path

import pyarrow as pa
import pytest
from damage import flip_a_bit
from kept_store import BASE_ID, FINGERPRINT, comparable, content, copied, fingerprint, publish, two_nights
from killed import dies_at

from ds2ray import store
from ds2ray.config import Checked
from ds2ray.errors import ArtifactCorruptError
from ds2ray.store import Store
from ds2ray.store.index import IndexRow, edit_rows, open_run, read_index, read_rows
from ds2ray.store.layout import adapter_weights_uri, index_uri, own_words_uri, pointer_uri
from ds2ray.store.outcomes import Status
from ds2ray.upkeep import rollback_users, versions
from ds2ray.upkeep.checks import Checkup, Kind, fsck
from ds2ray.upkeep.checks.users import require_tensors
from ds2ray.upkeep.erasing import erase


@pytest.fixture
def place(tmp_path: Path) -> Store:
    return two_nights(str(tmp_path / "store"))


def told(found: Checkup) -> dict[str, Kind]:
    return {fault.where: fault.kind for fault in found.faults}


@pytest.mark.parametrize("depth", [Checked.sizes, Checked.content])
def test_a_good_store_is_clean(place: Store, depth: Checked) -> None:
    rollback_users(place, ["alice"])
    rollback_users(place, ["carol"])
    before = content(place.root_uri)
    found = fsck(place, check=depth)
    assert (found.faults, found.users) == ([], 3)
    assert fsck(place, check=depth, mend=True).faults == []
    assert content(place.root_uri) == before


def test_a_flipped_bit_is_found_in_contents_and_not_in_sizes(place: Store) -> None:
    name = f"{store.history(place, 'alice')[0]['version']}.safetensors"
    flip_a_bit(f"{place.root_uri}/users/alice/{name}")
    assert fsck(place, check=Checked.sizes).faults == []
    assert told(fsck(place)) == {f"users/alice/{name}": Kind.damaged}


def test_a_current_version_that_is_damaged_gives_way_to_the_one_before(place: Store) -> None:
    second, first = (version.version for version in versions(place, "alice"))
    flip_a_bit(adapter_weights_uri(place, "alice", second))
    found = fsck(place, mend=True)
    assert (found.wrong, found.faults[0].mended[:24]) == ([], f"version {first}")
    pointer = store.read_pointer(place, "alice")
    assert pointer is not None
    assert store.read_adapter(place, pointer) == b"alice one"
    row = read_index(place)["alice"]
    assert (row.version, row.fingerprint, row.status) == (first, "", Status.failed)
    assert told(fsck(place)) == {f"users/alice/{second}.safetensors": Kind.orphaned}
    assert publish(place, "alice", b"alice three", "third").seq == 4


def test_without_an_intact_version_the_base_is_used(place: Store) -> None:
    place.delete(adapter_weights_uri(place, "carol", store.history(place, "carol")[0]["version"]))
    assert list(told(fsck(place)).values()) == [Kind.missing]
    assert fsck(place, mend=True).wrong == []
    assert store.read_pointer(place, "carol") is None
    assert read_index(place)["carol"].fingerprint == ""
    assert fsck(place).wrong == []


def test_a_version_that_is_gone_leaves_the_history(place: Store) -> None:
    place.delete(adapter_weights_uri(place, "alice", versions(place, "alice")[1].version))
    assert fsck(place, mend=True).wrong == []
    assert [version.seq for version in versions(place, "alice")] == [2]


@pytest.mark.parametrize("damage", ["garbage", "another's"])
def test_a_pointer_that_cannot_be_used_is_set_aside(place: Store, damage: str) -> None:
    data = b"{" if damage == "garbage" else Path(pointer_uri(place, "bob")).read_bytes()
    place.write_bytes(pointer_uri(place, "alice"), data)
    assert told(fsck(place))["users/alice/current.json"] is Kind.damaged
    assert fsck(place, mend=True).wrong == []
    assert store.read_pointer(place, "alice") is None
    assert read_index(place)["alice"] == IndexRow("", Status.failed, "", read_index(place)["alice"].run_id)
    assert fsck(place).wrong == []
    assert len(list((Path(place.root_uri) / "aside" / "users" / "alice").glob("current.json.*"))) == 1
    assert publish(place, "alice", b"alice three", "third").seq == 1


def test_own_words_that_are_damaged_give_way_to_earlier_ones(place: Store) -> None:
    second, first = (entry["version"] for entry in store.words_history(place, "alice"))
    flip_a_bit(own_words_uri(place, "alice", second))
    assert told(fsck(place)) == {f"users/alice/words-{second}.json": Kind.damaged}
    assert fsck(place, mend=True).wrong == []
    assert [entry["version"] for entry in store.words_history(place, "alice")] == [first]
    flip_a_bit(own_words_uri(place, "alice", first))
    assert fsck(place, mend=True).wrong == []
    assert store.read_words_record(place, "alice") is None


def changed(place: Store, key: str, **cells: str) -> None:
    rows = [row | (cells if row["user_key"] == key else {}) for row in read_rows(place).to_pylist()]
    edit_rows(place, lambda index: pa.Table.from_pylist(rows, schema=index.schema))


def test_rows_of_the_index_follow_pointers(place: Store) -> None:
    good = read_index(place)
    changed(place, "alice", version="0" * 16)

    def broken(rows: pa.Table) -> pa.Table:
        return pa.concat_tables([rows.filter(pa.compute.not_equal(rows["user_key"], "bob")), rows.slice(2, 1)])

    edit_rows(place, broken)
    found = fsck(place)
    assert set(told(found).values()) == {Kind.disagrees}
    assert sorted(told(found)) == [f"index/users.parquet user {key}" for key in ("alice", "bob", "carol")]
    assert fsck(place, mend=True).wrong == []
    assert read_index(place) == good
    assert fsck(place).faults == []


def test_a_row_for_an_adapter_that_is_gone_lets_the_user_be_trained_again(place: Store) -> None:
    changed(place, "dave", version="0" * 16)
    (fault,) = fsck(place).faults
    assert "the index says version 0000000000000000, and the pointer none" in fault.what


def test_a_row_of_who_was_taken_back_has_the_fingerprint_of_what_was_taken_back(place: Store) -> None:
    for key in ("alice", "carol"):
        rollback_users(place, [key])
        changed(place, key, version="0" * 16, fingerprint="?")
    assert fsck(place, mend=True).wrong == []
    for key in ("alice", "carol"):
        row = read_index(place)[key]
        assert (row.fingerprint, row.status) == (fingerprint(key, "second"), Status.kept_previous)


def test_an_index_that_cannot_be_read_is_made_of_the_pointers(place: Store) -> None:
    good = read_index(place)
    place.write_bytes(index_uri(place), b"PAR1")
    assert [fault.kind for fault in fsck(place).faults] == [Kind.damaged, Kind.disagrees]
    fsck(place, mend=True)
    del good["dave"]
    assert read_index(place) == good
    assert fsck(place).wrong == []


def test_the_user_of_a_run_that_was_killed_is_not_wrong_once_it_is_taken_over(place: Store) -> None:
    open_run(place, "third")
    publish(place, "erin", b"erin one", "third")
    found = told(fsck(place))
    assert found.pop("index/pending/third.json") is Kind.unfinished
    assert found == {"index/users.parquet user erin": Kind.disagrees}
    assert fsck(place, mend=True).wrong == []
    assert read_index(place)["erin"].fingerprint == fingerprint("erin", "third")


def test_what_the_single_user_s_job_publishes_has_no_row(place: Store) -> None:
    publish(place, "erin", b"erin one", "train")
    assert fsck(place).faults == []


def test_bases_runs_and_foreign_objects(place: Store) -> None:
    root = place.root_uri
    flip_a_bit(f"{root}/bases/{BASE_ID}/model.safetensors")
    place.write_bytes(f"{root}/runs/first/outcomes/settled.parquet", b"PAR1")
    place.write_bytes(f"{root}/runs/first/notes.txt", b"mine")
    place.write_bytes(f"{root}/users/alice/photo.png", b"mine")
    place.write_bytes(f"{root}/users/alice/{'0' * 16}.safetensors", b"stray")
    place.write_bytes(f"{root}/readme.txt", b"mine")
    place.write_json(f"{root}/bases/current.json", {"base_id": "0" * 16})
    found = fsck(place)
    assert told(found) == {
        f"bases/{BASE_ID}": Kind.damaged,
        "bases/current.json": Kind.disagrees,
        "runs/first/outcomes/settled.parquet": Kind.damaged,
        "runs/first/notes.txt": Kind.foreign,
        "users/alice/photo.png": Kind.foreign,
        f"users/alice/{'0' * 16}.safetensors": Kind.orphaned,
        "readme.txt": Kind.foreign,
    }
    assert len(found.wrong) == 3
    assert FINGERPRINT.startswith(BASE_ID)


def test_the_files_of_a_sweep_are_ours(place: Store) -> None:
    for name in ("table.csv", "table.md", "pareto.svg", "pareto.png", "best.yaml"):
        place.write_bytes(f"{place.root_uri}/sweeps/first/{name}", b"of a sweep")
    place.write_json(f"{place.root_uri}/sweeps/first/trials/0123456789abcdef.json", {"error": 0.5})
    assert fsck(place).faults == []


def test_an_erasure_that_was_interrupted_is_told(place: Store) -> None:
    erase(place, {"alice": "alice"})
    assert fsck(place).faults == []
    publish(place, "alice", b"alice again", "third")
    assert told(fsck(place))["users/alice"] is Kind.disagrees


def test_a_file_of_tensors_is_told_from_others() -> None:
    header = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    good = struct.pack("<Q", len(header)) + header + bytes(8)
    require_tensors(good, "x")
    for bad in (b"", good[:-1], good + b"\0", good.replace(b"[2]", b"[3]"), good.replace(b"F32", b"F16")):
        with pytest.raises(ArtifactCorruptError, match="not a file of tensors"):
            require_tensors(bad, "x")


@pytest.mark.process
@pytest.mark.usefixtures("no_power_fails")
def test_killed_at_every_change_and_run_again_it_ends_the_same(place: Store, tmp_path: Path) -> None:
    flip_a_bit(adapter_weights_uri(place, "alice", versions(place, "alice")[0].version))
    flip_a_bit(own_words_uri(place, "alice", store.words_history(place, "alice")[0]["version"]))
    place.write_bytes(pointer_uri(place, "carol"), b"{")
    changed(place, "bob", version="0" * 16)

    def state(where: Store) -> tuple[object, object]:
        files = content(where.root_uri, without=("index/", "aside/"))
        index = {key: (row.fingerprint, row.status, row.version) for key, row in read_index(where).items()}
        return comparable({name: data for name, data in files.items() if not name.endswith(".tmp")}), index

    undisturbed = copied(place.root_uri, str(tmp_path / "undisturbed"))
    fsck(undisturbed, mend=True)
    expected, kills = state(undisturbed), 0
    while True:
        where = copied(place.root_uri, str(tmp_path / "killed"))
        if not dies_at(kills + 1, lambda where=where: fsck(where, mend=True)):  # type: ignore[misc]
            break
        kills += 1
        fsck(where, mend=True)
        assert state(where) == expected, kills
        assert fsck(where).wrong == []
    assert kills >= 6
