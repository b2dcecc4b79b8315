import pytest
from damage import flip_a_bit

from ds2ray import storage
from ds2ray.errors import ArtifactCorruptError, InputError
from ds2ray.store import (
    BaseRecord,
    LanguageModelRecord,
    Store,
    adopt_base,
    publish_base,
    publish_language_model,
    read_language_model,
    sha256,
)
from ds2ray.store.language_models import read_language_model_record

BASE = "0123456789abcdef"


def publish(place: Store, data: bytes, folder_uri: str = "") -> LanguageModelRecord:
    described = {"unit": "word", "num_ngrams": [3, 2], "num_sentences": 1, "perplexity": None}
    return publish_language_model(place, BASE, data, folder_uri, **described)


def test_a_language_model_comes_back(place: Store) -> None:
    record = publish(place, b"one")
    assert record.version == sha256(b"one")[:16]
    assert storage.join(place.root_uri, record.where) == storage.join(place.root_uri, "bases", BASE, "lm", "lm.json")
    found, data = read_language_model(place, BASE)
    assert (found.version, found.num_ngrams, data) == (record.version, [3, 2], b"one")  # JSON knows no tuples


def test_the_last_one_is_read_and_the_earlier_stays(place: Store) -> None:
    first = publish(place, b"one")
    publish(place, b"two")
    assert read_language_model(place, BASE)[1] == b"two"
    assert place.read_bytes(f"{place}/bases/{BASE}/lm/{first.version}.arpa.gz") == b"one"


def test_a_base_elsewhere_has_its_own(place: Store) -> None:
    elsewhere = storage.join(place.root_uri, "elsewhere")
    publish(place, b"one", elsewhere)
    assert read_language_model(place, BASE, elsewhere)[1] == b"one"
    with pytest.raises(InputError, match="has no language model"):
        read_language_model(place, BASE)


def test_a_base_without_one_is_told_how_to_get_it(place: Store) -> None:
    told = rf"base {BASE} has no language model \(.*/lm\.json is missing\): make one with jobs/language_model.py"
    with pytest.raises(InputError, match=told):
        read_language_model(place, BASE)


def test_a_damaged_model_is_found(place: Store) -> None:
    record = publish(place, b"model")
    uri = f"{place}/bases/{BASE}/lm/{record.version}.arpa.gz"
    flip_a_bit(uri)
    with pytest.raises(ArtifactCorruptError, match=r"arpa\.gz: its sha256 is not the published"):
        read_language_model(place, BASE)
    place.write_bytes(uri, b"mod")
    with pytest.raises(ArtifactCorruptError, match=r"arpa\.gz: 3 bytes, published were 5"):
        read_language_model(place, BASE)
    place.delete(uri)
    with pytest.raises(ArtifactCorruptError, match="it was published, and is missing"):
        read_language_model(place, BASE)
    assert read_language_model_record(place, BASE).version == record.version


@pytest.mark.parametrize("document", [b"{}", b"[]", b"nothing"])
def test_a_damaged_record_is_found(place: Store, document: bytes) -> None:
    place.write_bytes(f"{place}/bases/{BASE}/lm/lm.json", document)
    with pytest.raises(ArtifactCorruptError, match=r"lm/lm\.json"):
        read_language_model(place, BASE)


def test_a_record_in_another_base_s_place_is_found(place: Store) -> None:
    publish(place, b"one")
    other = "f" * 16
    place.write_bytes(f"{place}/bases/{other}/lm/lm.json", place.read_bytes(f"{place}/bases/{BASE}/lm/lm.json"))
    with pytest.raises(ArtifactCorruptError, match=f"base_id '{BASE}', not '{other}'"):
        read_language_model(place, other)


def test_a_base_that_is_adopted_brings_its_language_model(place: Store) -> None:
    elsewhere = Store(storage.join(place.root_uri, "elsewhere"), place.server)
    folders = []
    for base_id in ("1" * 16, "2" * 16):
        record = BaseRecord(
            base_id=base_id,
            fingerprint=base_id * 4,
            sha256=sha256(b"base"),
            size_bytes=4,
            model={},
            audio={},
            vocabulary={},
            run_id="run",
            metrics={},
        )
        folders.append(publish_base(elsewhere, b"base", record))
    published = publish_language_model(
        elsewhere, "1" * 16, b"model", unit="token", num_ngrams=[3], num_sentences=1, perplexity=2.5
    )
    for folder in folders:
        adopt_base(place, folder)
    found, data = read_language_model(place, "1" * 16)
    assert (found, data) == (published, b"model")
    with pytest.raises(InputError, match="has no language model"):
        read_language_model(place, "2" * 16)
