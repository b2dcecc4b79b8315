"""Records are bound to the place where they lie: nobody's adapter, words or base is read in another's stead."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from ds2ray import store
from ds2ray.errors import ArtifactCorruptError, InputError
from ds2ray.store import BaseRecord, OwnWord, Store, sha256
from ds2ray.store.adapters import KIND
from ds2ray.store.layout import pointer_uri
from ds2ray.store.records import read_record, write_record

FINGERPRINT = "0123456789abcdef" * 4


@dataclass(frozen=True, kw_only=True)
class Note:
    run_id: str
    order: int


@pytest.fixture
def place(tmp_path: object) -> Store:
    return Store(str(tmp_path))


def publish(place: Store, key: str, weights: bytes = b"weights") -> store.AdapterPointer:
    return store.publish_adapter(
        place,
        key,
        weights,
        base_fingerprint=FINGERPRINT,
        data_fingerprint="d" * 32,
        adapter={},
        run_id="run",
        error_before=0.5,
        error_after=0.25,
    )


def publish_base(place: Store) -> BaseRecord:
    described: dict[str, Any] = {"model": {}, "audio": {}, "vocabulary": {}, "run_id": "", "metrics": {}}
    record = BaseRecord(
        base_id=FINGERPRINT[:16], fingerprint=FINGERPRINT, sha256=sha256(b"base"), size_bytes=4, **described
    )
    store.publish_base(place, b"base", record)
    return record


def test_a_record_comes_back_where_it_is_bound(place: Store) -> None:
    uri, note = f"{place}/note.json", Note(run_id="r", order=1)
    write_record(place, uri, "note", note)
    assert read_record(place, Note, uri, kind="note", bound={"run_id": "r"}) == note
    assert read_record(place, dict, uri, kind="note") == {"run_id": "r", "order": 1}
    with pytest.raises(ArtifactCorruptError, match="belongs elsewhere: it has run_id 'r', not 's'; delete it"):
        read_record(place, Note, uri, kind="note", bound={"run_id": "s"}, remedy="delete it")
    with pytest.raises(ArtifactCorruptError, match="belongs elsewhere"):
        read_record(place, dict, uri, kind="note", bound={"user_key": "r"})


def test_a_record_of_hundreds_of_megabytes_is_not_read(place: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ds2ray.store.records.MAX_RECORD_BYTES", 50)
    write_record(place, f"{place}/note.json", "note", Note(run_id="r" * 100, order=1))
    with pytest.raises(ArtifactCorruptError, match=r"note\.json: more than the 50 bytes"):
        read_record(place, Note, f"{place}/note.json", kind="note")


def test_another_user_s_pointer_is_refused(place: Store) -> None:
    publish(place, "hank")
    place.write_bytes(pointer_uri(place, "john"), place.read_bytes(pointer_uri(place, "hank")))
    with pytest.raises(ArtifactCorruptError, match=r"users/john/current\.json: .* user_key 'hank', not 'john'"):
        store.read_pointer(place, "john")


def test_another_user_s_pointer_in_a_history_is_refused(place: Store) -> None:
    hank, john = publish(place, "hank", b"of hank"), publish(place, "john")
    entry = {name: value for name, value in vars(hank).items() if name != "history"}
    write_record(place, pointer_uri(place, "john"), KIND, replace(john, history=(entry,)))
    with pytest.raises(ArtifactCorruptError, match="user_key 'hank', not 'john'"):
        store.history(place, "john")


@pytest.mark.parametrize("version", ["../hank/0123456789abcdef", "", "ABCDEF0123456789", "0" * 16, "/etc/passwd"])
@pytest.mark.parametrize("early", [True, False])
def test_a_version_that_is_not_the_content_s_is_refused(place: Store, version: str, early: bool) -> None:
    pointer = replace(publish(place, "john"), version=version)
    uri = pointer_uri(place, "john")
    if early:
        place.write_json(uri, {**vars(pointer), "history": []})
    else:
        write_record(place, uri, KIND, pointer)
    with pytest.raises(ArtifactCorruptError, match="does not follow from the sha256"):
        store.read_pointer(place, "john")


@pytest.mark.parametrize("digest", ["", "x" * 64, "a" * 63, "../" * 20])
def test_a_digest_that_is_none_is_refused(place: Store, digest: str) -> None:
    write_record(place, pointer_uri(place, "john"), KIND, replace(publish(place, "john"), sha256=digest))
    with pytest.raises(ArtifactCorruptError, match="is no sha256"):
        store.read_pointer(place, "john")


def test_words_of_another_version_s_name_are_refused(place: Store) -> None:
    record = store.publish_words(place, "john", [OwnWord("anna")])
    write_record(place, f"{place}/users/john/words.json", "own words", replace(record, version="../hank/words"))
    with pytest.raises(ArtifactCorruptError, match="does not follow from the sha256"):
        store.read_words_record(place, "john")


def test_a_base_s_folder_under_another_name_is_refused(place: Store) -> None:
    record = publish_base(place)
    for name in ("base.json", "model.safetensors"):
        place.write_bytes(f"{place}/copy/{name}", place.read_bytes(f"{place}/bases/{record.base_id}/{name}"))
    with pytest.raises(ArtifactCorruptError, match=r"copy/base\.json: belongs elsewhere"):
        store.read_base(place, f"{place}/copy")
    assert store.read_base(place, f"{place}/bases/{record.base_id}/") == (record, b"base")


@pytest.mark.parametrize("base_id", ["../users/hank", "", 7, None, "0123456789ABCDEF"])
def test_a_newest_base_that_is_no_id_is_refused(place: Store, base_id: object) -> None:
    publish_base(place)
    write_record(place, f"{place}/bases/current.json", "newest base", {"base_id": base_id})
    with pytest.raises(ArtifactCorruptError, match=r"bases/current\.json: names no base"):
        store.read_base(place)


def test_a_newest_base_that_is_gone_is_the_caller_s_to_name(place: Store) -> None:
    publish_base(place)
    write_record(place, f"{place}/bases/current.json", "newest base", {"base_id": "f" * 16})
    with pytest.raises(InputError, match=f"bases there: {FINGERPRINT[:16]}"):
        store.read_base(place)


@pytest.mark.parametrize("size_bytes", [10**18, 10**30, -5, 3])
def test_a_size_that_is_not_the_file_s_is_refused(place: Store, size_bytes: int) -> None:
    pointer = publish(place, "john")
    write_record(place, pointer_uri(place, "john"), KIND, replace(pointer, size_bytes=size_bytes))
    found = store.read_pointer(place, "john")
    assert found is not None
    with pytest.raises(ArtifactCorruptError, match=r"\.safetensors: "):
        store.read_adapter(place, found)
