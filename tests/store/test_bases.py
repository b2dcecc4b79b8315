import pytest
from damage import flip_a_bit

from ds2ray import storage, store
from ds2ray.errors import ArtifactCorruptError, InputError
from ds2ray.store import BaseRecord, Store


def record_of(weights: bytes, base_id: str = "0123456789abcdef") -> BaseRecord:
    return BaseRecord(
        base_id=base_id,
        fingerprint=base_id * 4,
        sha256=store.sha256(weights),
        size_bytes=len(weights),
        model={"num_rnn_layers": 3},
        audio={"num_mels": 80},
        vocabulary={"tokens": ["<blank>", "a"]},
        run_id="run",
        metrics={"wer": 0.05},
    )


def test_a_base_comes_back(place: Store) -> None:
    record = record_of(b"weights")
    uri = store.publish_base(place, b"weights", record)
    assert uri == storage.join(place.root_uri, "bases", "0123456789abcdef")
    for base in ("", "0123456789abcdef", uri, uri + "/"):
        assert store.read_base(place, base) == (record, b"weights")
        assert store.read_base_record(place, base) == record


def test_the_newest_base_is_the_default(place: Store) -> None:
    store.publish_base(place, b"one", record_of(b"one", "1" * 16))
    store.publish_base(place, b"two", record_of(b"two", "2" * 16))
    assert store.read_base(place)[1] == b"two"
    assert store.read_base(place, "1" * 16)[1] == b"one"
    assert store.list_bases(place) == ["1" * 16, "2" * 16]


def test_a_store_without_a_base(place: Store) -> None:
    with pytest.raises(InputError, match="no base in .*: train one with jobs/train.py"):
        store.read_base(place)


def test_an_unknown_base_is_answered_with_those_there(place: Store) -> None:
    with pytest.raises(InputError, match="no base 'abc' in .*; there are none"):
        store.read_base(place, "abc")
    store.publish_base(place, b"one", record_of(b"one"))
    with pytest.raises(InputError, match="no base 'abc' in .*; bases there: 0123456789abcdef"):
        store.read_base(place, "abc")
    with pytest.raises(InputError, match="no base .*/elsewhere/x'"):
        store.read_base(place, f"{place}/elsewhere/x")


def test_a_damaged_base_is_found(place: Store) -> None:
    uri = store.publish_base(place, b"weights", record_of(b"weights"))
    flip_a_bit(f"{uri}/model.safetensors")
    with pytest.raises(ArtifactCorruptError, match=r"model\.safetensors: its sha256 is not the published"):
        store.read_base(place)
    assert store.read_base_record(place).run_id == "run"


@pytest.mark.parametrize("document", ["{}", "[]", "nothing"])
def test_a_damaged_current_base_is_found(place: Store, document: str) -> None:
    storage.write_bytes(storage.join(place.root_uri, "bases", "current.json"), document.encode())
    with pytest.raises(ArtifactCorruptError, match=r"bases/current\.json"):
        store.read_base(place)
