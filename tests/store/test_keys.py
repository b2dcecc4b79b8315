from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2ray import store
from ds2ray.errors import InputError


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
