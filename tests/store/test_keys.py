from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2ray import storage, store
from ds2ray.errors import ArtifactCorruptError, ConfigError, InputError
from ds2ray.store import Store, index, keys
from ds2ray.store.outcomes import Outcome, Status


def test_keys_of_users() -> None:
    assert store.user_key("user_john-2@home~x", salt="") == "user_john-2@home~x"
    assert store.user_key("../a b/ü", salt="") == "%2E%2E%2Fa%20b%2F%C3%BC"
    assert store.user_key("u\u0308", salt="") == store.user_key("ü", salt="")  # one id, composed or not


USER_IDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=15).filter(
    lambda user_id: user_id.strip() != ""
)


@given(USER_IDS)
def test_keys_are_safe_and_reversible(user_id: str) -> None:
    key = store.user_key(user_id, salt="")
    assert set(key) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~@%")
    assert store.user_key(unquote(key), salt="") == key


@pytest.mark.parametrize("user_id", ["", " ", "a\nb", "a\x00", "\ud800", "x" * 201, "홍" * 23])
def test_ids_that_cannot_be_keys(user_id: str) -> None:
    with pytest.raises(InputError, match="user id"):
        store.user_key(user_id, salt="")


def test_a_salt_hides_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS2RAY_USER_KEY_SALT", "pepper")
    # echo -n john | openssl dgst -sha256 -hmac pepper
    assert store.user_key("john") == "a5511a8c2c77d5a668d7b1459e00a9bd82080f8da69d1228ad71b35499cc198a"
    assert store.user_key("john") == store.user_key("john", salt="pepper")
    assert store.user_key("john") != store.user_key("john", salt="salt")
    monkeypatch.delenv("DS2RAY_USER_KEY_SALT")
    assert store.user_key("john") == "john"


@pytest.fixture
def salted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store that was written with the salt that is set."""
    monkeypatch.setenv("DS2RAY_USER_KEY_SALT", "pepper")
    place = Store(str(tmp_path))
    keys.require_salt(place, writing=True)
    return place


@pytest.mark.parametrize("writing", [False, True])
@pytest.mark.parametrize(("other", "message"), [("", "a salt, and there is none"), ("sugar", "another salt than that")])
def test_a_store_knows_its_salt(
    salted: Store, other: str, message: str, writing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.require_salt(salted, writing=writing)
    assert store.stored_key(salted, "john") == store.user_key("john", "pepper")
    monkeypatch.setenv("DS2RAY_USER_KEY_SALT", other)
    with pytest.raises(ConfigError, match=f"{message}.*DS2RAY_USER_KEY_SALT") as caught:
        keys.require_salt(salted, writing=writing)
    assert caught.value.exit_code == 2
    with pytest.raises(ConfigError, match=message):
        store.stored_key(salted, "john")


def test_what_a_store_knows_of_its_salt_tells_nothing_of_it(salted: Store) -> None:
    content = Path(salted.root_uri, "index/salt.json").read_text()
    assert "pepper" not in content
    assert store.user_key("john") not in content


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"check": "00"}'])
def test_a_damaged_record_of_the_salt_is_not_taken_for_none(salted: Store, content: bytes) -> None:
    Path(salted.root_uri, "index/salt.json").write_bytes(content)
    with pytest.raises(ArtifactCorruptError, match="ids might be written"):
        keys.require_salt(salted)


def test_a_store_without_a_salt_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Store(str(tmp_path))
    keys.require_salt(place, writing=True)
    assert storage.list_objects(place.root_uri, recursive=True) == []
    index.close_run(place, "run", [Outcome(user_key="john", status=Status.adapted, fingerprint="f", version="v")])
    monkeypatch.setenv("DS2RAY_USER_KEY_SALT", "pepper")
    with pytest.raises(ConfigError, match="made without a salt"):
        keys.require_salt(place, writing=True)


def test_a_salted_store_of_an_earlier_release_learns_its_salt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS2RAY_USER_KEY_SALT", "pepper")
    place, key = Store(str(tmp_path)), store.user_key("john")
    index.close_run(place, "run", [Outcome(user_key=key, status=Status.adapted, fingerprint="f", version="v")])
    keys.require_salt(place, writing=True)
    monkeypatch.delenv("DS2RAY_USER_KEY_SALT")
    with pytest.raises(ConfigError, match="there is none"):
        keys.require_salt(place)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("/data/john/a.wav: is empty", "…: is empty"),
        ("cannot be read: s3://b/john/m.csv, at 3", "cannot be read: …, at 3"),
        ("~/john.csv and ../john.csv and ./j", "… and … and …"),
        ("john said so; 5 × audio is empty", "… said so; 5 × audio is empty"),
        ("loss is [nan] and/or 1/2", "loss is [nan] and/or 1/2"),
    ],
)
def test_a_private_text_names_nobody(text: str, hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keys.private(text, "john") == text
    monkeypatch.setenv("DS2RAY_USER_KEY_SALT", "pepper")
    assert keys.private(text, "john") == hidden


def test_a_worker_keeps_private_what_its_job_does(monkeypatch: pytest.MonkeyPatch) -> None:
    keys.keep_private(True)
    try:
        assert keys.private("see /home/john") == "see …"
    finally:
        keys.keep_private(False)
    assert keys.private("see /home/john") == "see /home/john"


class IgnoringCase(Store):
    """A store as disks of macOS and Windows are: with no difference between upper and lower case."""

    def exists(self, uri: str) -> bool:
        return super().exists(self.root_uri + uri[len(self.root_uri) :].lower())


def test_keys_that_differ_by_case_are_refused_where_they_would_be_one(tmp_path: Path) -> None:
    storage.write_json(str(tmp_path / "bases/current.json"), {})
    names = ["John", "john", "JOHN", "ann"]
    keys.refuse_case_pairs(Store(str(tmp_path)), lambda: names)
    keys.refuse_case_pairs(IgnoringCase(str(tmp_path)), lambda: ["John", "ann"])
    with pytest.raises(InputError, match="upper and lower case") as caught:
        keys.refuse_case_pairs(IgnoringCase(str(tmp_path)), lambda: names)
    assert str(caught.value).splitlines()[1:] == ["  JOHN, John, john"]
