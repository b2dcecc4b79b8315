"""Sealed documents: what they say of themselves, and that no damage to one passes."""

import json
import random
import re

import pytest

from ds2ray.errors import ArtifactCorruptError, Ds2RayError, NewerReleaseError
from ds2ray.storage import sealed
from ds2ray.storage.sealed import FORMAT, seal, unseal

DOCUMENT = {"user_key": "jörg", "seq": 2, "error": 0.25, "none": None, "history": [{"seq": 1}], "nested": {"a": [1, 2]}}


def test_a_document_comes_back() -> None:
    data = seal("pointer", DOCUMENT)
    assert unseal(data, "a.json", "pointer") == DOCUMENT
    written = json.loads(data)
    assert list(written) == ["record", "format", *DOCUMENT, "checksum"]
    assert (written["record"], written["format"]) == ("pointer", FORMAT)
    assert "jörg" in data.decode()  # people read it


def test_tuples_and_numbers_as_keys_are_sealed_as_json_has_them() -> None:
    assert unseal(seal("pointer", {"a": (1, 2), "b": {3: 4}}), "a.json", "pointer") == {"a": [1, 2], "b": {"3": 4}}


def test_the_same_content_in_another_layout_is_the_same_document() -> None:
    document = dict(reversed(json.loads(seal("pointer", DOCUMENT)).items()))
    assert unseal(json.dumps(document).encode(), "a.json", "pointer") == DOCUMENT


def test_a_document_of_an_early_release_has_no_seal() -> None:
    assert unseal(json.dumps(DOCUMENT).encode(), "a.json", "pointer") == DOCUMENT


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seq": 3}, "does not match its checksum"),
        ({"record": "lease"}, "does not match its checksum"),
        ({"format": 0}, "does not match its checksum"),
        ({"checksum": None}, "does not match its checksum"),
        ({"more": 1}, "does not match its checksum"),
    ],
)
def test_a_changed_document_is_refused(change: dict[str, object], told: str) -> None:
    document = json.loads(seal("pointer", DOCUMENT)) | change
    with pytest.raises(ArtifactCorruptError, match=told) as caught:
        unseal(json.dumps(document).encode(), "s3://b/a.json", "pointer", "set it again")
    assert str(caught.value).startswith("s3://b/a.json: ")
    assert str(caught.value).endswith("; set it again")


@pytest.mark.parametrize("lost", ["record", "format", "checksum"])
def test_a_seal_in_parts_is_refused(lost: str) -> None:
    document = json.loads(seal("pointer", DOCUMENT))
    del document[lost]
    with pytest.raises(ArtifactCorruptError, match=f"it has lost its {lost}"):
        unseal(json.dumps(document).encode(), "a.json", "pointer")


def test_another_file_s_content_is_refused() -> None:
    with pytest.raises(ArtifactCorruptError, match="no record of the kind 'pointer'"):
        unseal(seal("lease", DOCUMENT), "a.json", "pointer")


def test_a_newer_format_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(sealed, "FORMAT", FORMAT + 1)
        data = seal("pointer", DOCUMENT)
    with pytest.raises(NewerReleaseError, match=r"a\.json: written in format 2 by a newer release.*update ds2ray"):
        unseal(data, "a.json", "pointer")


@pytest.mark.parametrize(
    "data",
    [b"", b"[1]", b"null", b"7", b'{"a": 1, "a": 2}', b'{"a": {"b": 1, "b": 1}}', b"[" * 100_000, b"\xff{}", b"{",
     b'{"a": ' + b"9" * 5000 + b"}"],
    ids=lambda data: repr(data[:12]),
)  # fmt: skip
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(ArtifactCorruptError, match=r"^a\.json: "):
        unseal(data, "a.json", "pointer")


def test_a_document_that_is_too_large_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "MAX_RECORD_BYTES", 100)
    with pytest.raises(ArtifactCorruptError, match=re.escape("101 bytes, and a record has 100 at most")):
        unseal(b" " * 101, "a.json", "pointer")


def test_a_document_may_not_seal_itself() -> None:
    with pytest.raises(ValueError, match="checksum"):
        seal("pointer", {"checksum": ""})


def test_no_damage_to_one_place_passes() -> None:
    data, draw, passed = seal("pointer", DOCUMENT), random.Random(7), 0
    for _ in range(2000):
        start = draw.randrange(len(data))
        end = min(len(data), start + draw.randint(1, 60))
        part = draw.choice([b"", bytes(end - start), data[start:end] * 2, bytes([draw.randrange(256)])])
        try:
            assert unseal(data[:start] + part + data[end:], "a.json", "pointer") == DOCUMENT
            passed += 1
        except Ds2RayError:
            continue
    assert passed < 200  # blanks between the fields
