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


def test_a_base_comes_back(root: str) -> None:
    record = record_of(b"weights")
    uri = store.publish_base(Store(root), b"weights", record)
    assert uri == storage.join(root, "bases", "0123456789abcdef")
    for base in ("", "0123456789abcdef", uri, uri + "/"):
        assert store.read_base(Store(root), base) == (record, b"weights")
        assert store.read_base_record(Store(root), base) == record


def test_the_newest_base_is_the_default(root: str) -> None:
    store.publish_base(Store(root), b"one", record_of(b"one", "1" * 16))
    store.publish_base(Store(root), b"two", record_of(b"two", "2" * 16))
    assert store.read_base(Store(root))[1] == b"two"
    assert store.read_base(Store(root), "1" * 16)[1] == b"one"
    assert store.list_bases(Store(root)) == ["1" * 16, "2" * 16]


def test_a_store_without_a_base(root: str) -> None:
    with pytest.raises(InputError, match="no base in .*: train one with jobs/train.py"):
        store.read_base(Store(root))


def test_an_unknown_base_is_answered_with_those_there(root: str) -> None:
    with pytest.raises(InputError, match="no base 'abc' in .*; there are none"):
        store.read_base(Store(root), "abc")
    store.publish_base(Store(root), b"one", record_of(b"one"))
    with pytest.raises(InputError, match="no base 'abc' in .*; bases there: 0123456789abcdef"):
        store.read_base(Store(root), "abc")
    with pytest.raises(InputError, match="no base .*/elsewhere/x'"):
        store.read_base(Store(root), f"{root}/elsewhere/x")


def test_a_damaged_base_is_found(root: str) -> None:
    uri = store.publish_base(Store(root), b"weights", record_of(b"weights"))
    flip_a_bit(f"{uri}/model.safetensors")
    with pytest.raises(ArtifactCorruptError, match=r"model\.safetensors: its sha256 is not the published"):
        store.read_base(Store(root))
    assert store.read_base_record(Store(root)).run_id == "run"


@pytest.mark.parametrize("document", ["{}", "[]", "nothing"])
def test_a_damaged_current_base_is_found(root: str, document: str) -> None:
    storage.write_bytes(storage.join(root, "bases", "current.json"), document.encode())
    with pytest.raises(ArtifactCorruptError, match=r"bases/current\.json"):
        store.read_base(Store(root))
