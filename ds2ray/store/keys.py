"""User keys, the names of users in the store: of one user, and of a whole fleet; and what else may tell who they are.

With a salt nothing that is stored, logged or reported says who a user is. The store knows its salt by a check value.
"""

import functools
import hmac
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote, unquote

from ds2ray.errors import ArtifactCorruptError, ConfigError, InputError
from ds2ray.store.index import read_fingerprints
from ds2ray.store.layout import newest_base_uri, salt_uri
from ds2ray.store.records import read_record, write_record
from ds2ray.store.store import Store

SALT_VARIABLE = "DS2RAY_USER_KEY_SALT"
MAX_KEY_BYTES = 200
_UNQUOTED = re.compile(r"[A-Za-z0-9._~@-]+").fullmatch
_MAX_REFUSED = 50  # lines of a message
_CHECKED_TEXT = b"the salt of the user keys in this store of ds2ray"
_KIND = "salt of user keys"
_SALTED = re.compile(r"[0-9a-f]{64}").fullmatch
_ADDRESS = re.compile(r"(?:\b[A-Za-z][\w+.-]*://|(?<![\w/])(?:~|\.{1,2})?/)[^\s,;'\"()]*[^\s,;'\"():.]")
_WITHHELD = "…"

_private = False


def user_key(user_id: str, salt: str | None = None) -> str:
    """The name of a user in the store: the id, percent-encoded, or with a salt its HMAC-SHA256.

    Args:
        salt: by default that of the environment variable DS2RAY_USER_KEY_SALT; empty: none.

    Raises:
        InputError: the id is empty, holds control characters or is too long.
    """
    normal = unicodedata.normalize("NFC", user_id)
    if not normal.strip():
        raise InputError(f"user id {user_id!r} is empty; every user needs an id")
    if not normal.isprintable() and any(unicodedata.category(character) in ("Cc", "Cs") for character in normal):
        raise InputError(f"user id {user_id!r} holds control characters; take them out")
    salt = _salt() if salt is None else salt
    if salt:
        return hmac.digest(salt.encode(), normal.encode(), "sha256").hex()
    key = normal if _UNQUOTED(normal) else quote(normal, safe="-_~@")
    key = key.replace(".", "%2E")
    if len(key) > MAX_KEY_BYTES:
        allowed = f"at most {MAX_KEY_BYTES} bytes, percent-encoded; shorten it or set {SALT_VARIABLE}"
        raise InputError(f"user id {user_id[:40]!r}… takes {len(key)} bytes: {allowed}")
    return key


def _salt() -> str:
    return os.environ.get(SALT_VARIABLE, "")


def is_private() -> bool:
    """Whether nothing may say who a user is: a salt is set, here or in the job that this process works for."""
    return _private or bool(_salt())


def keep_private(private: bool) -> None:
    """Tell a process that works for a job whether that has a salt: the process itself needs none."""
    global _private
    _private = private


def private(text: str, *names: str) -> str:
    """A text as it may be stored and logged: with a salt without addresses and without these names.

    Halves of letters, which names of files may hold and no table can, are escaped.
    """
    text = text.encode(errors="backslashreplace").decode()
    if not is_private() or not text:
        return text
    for name in sorted({name for name in names if name}, key=len, reverse=True):
        text = text.replace(name, _WITHHELD)
    return _ADDRESS.sub(_WITHHELD, text)


def require_salt(store: Store, *, writing: bool = False) -> None:
    """Make sure that this process names users as the store does.

    Args:
        writing: whether users are about to be written; a salt is then remembered by the store.

    Raises:
        ConfigError: the store's user keys are made with a salt and this process has none or another one, or it has one
            and the keys are plain.
        ArtifactCorruptError: what the store knows of its salt is damaged.
    """
    salt = _salt()
    check = hmac.digest(salt.encode(), _CHECKED_TEXT, "sha256").hex() if salt else ""
    known = _known_check(store)
    if known and known != check:
        what = "another salt than that of" if salt else "a salt, and there is none in"
        raise ConfigError(
            f"{store}: its user keys are made with {what} {SALT_VARIABLE}: set the one that they were made with; "
            "without it every user would get a second name, or a readable one"
        )
    if known or not salt or not writing:
        return
    keys = read_fingerprints(store)["user_key"].to_pylist()
    if keys and not any(map(_SALTED, keys)):
        raise ConfigError(
            f"{store}: its user keys are made without a salt, and {SALT_VARIABLE} is set: every user would get a "
            "second name; name another storage.root, or unset it"
        )
    write_record(store, salt_uri(store), _KIND, {"check": check})


def _known_check(store: Store) -> str:
    """The check value of the store's salt; empty where it has none."""
    uri = salt_uri(store)
    remedy = "restore it: without it ids might be written"
    try:
        record: dict[str, Any] = read_record(store, dict, uri, kind=_KIND, remedy=remedy)
    except FileNotFoundError:
        return ""
    check = record.get("check")
    if not isinstance(check, str) or not _SALTED(check):
        raise ArtifactCorruptError(f"{uri}: says nothing of a salt; {remedy}")
    return check


def stored_key(store: Store, user_id: str) -> str:
    """The key of a user in this store; raises as `user_key` and `require_salt` do. The store is asked once."""
    _require_once(store, _salt())
    return user_key(user_id)


@functools.lru_cache(64)
def _require_once(store: Store, salt: str) -> None:
    require_salt(store)


def refuse_case_pairs(store: Store, keys: Callable[[], Iterable[str]]) -> None:
    """Raise InputError for keys that differ by case alone, where the store takes them for the same.

    So do the disks of macOS and Windows, and shares of theirs. Existing keys stay as they are.
    """
    if not _ignores_case(store):
        return
    alike: defaultdict[str, set[str]] = defaultdict(set)
    for key in keys():
        alike[key.lower()].add(key)
    pairs = [", ".join(sorted(each)) for each in alike.values() if len(each) > 1]
    if pairs:
        more = [f"… and {len(pairs) - _MAX_REFUSED} more"] if len(pairs) > _MAX_REFUSED else []
        raise InputError(
            "\n  ".join(
                [
                    f"{store} makes no difference between upper and lower case, and these users would share a name "
                    f"there; give each another id, or set {SALT_VARIABLE} for a new store:",
                    *sorted(pairs)[:_MAX_REFUSED],
                    *more,
                ]
            )
        )


def _ignores_case(store: Store) -> bool:
    """Whether an object that is there is found under the same name in capitals."""
    uri = newest_base_uri(store)
    below_root = uri[len(store.root_uri) :]
    return store.exists(uri) and store.exists(store.root_uri + below_root.upper())


def shown_user(key: str) -> str:
    """A user's key as a report shows it: the user id, or with a salt the HMAC, which nobody can read."""
    return unquote(key)


def why_no_key(user_id: str) -> str:
    """Why a user cannot have this id, as a table's row says it; empty where it can."""
    try:
        user_key(user_id)
    except InputError as error:
        return str(error).removeprefix(f"user id {user_id!r} ").removeprefix(f"user id {user_id[:40]!r}… ")
    return ""


def user_keys(user_ids: Sequence[str]) -> list[str]:
    """The key of every user, in their order.

    Raises:
        InputError: two users would share a key, or an id gives none; the message lists all of them, up to a limit.
    """
    keys, named, refused = [], [], []
    for user_id in user_ids:
        try:
            keys.append(user_key(user_id))
            named.append(user_id)
        except InputError as error:
            refused.append(str(error))
    if len(set(keys)) < len(keys):
        ids_of: defaultdict[str, list[str]] = defaultdict(list)
        for key, user_id in zip(keys, named, strict=True):
            ids_of[key].append(user_id)
        for key, ids in ids_of.items():
            if len(ids) > 1:
                listed = ", ".join(map(ascii, ids))
                refused.append(f"users {listed} would share the name {key} in the store; give each user one id")
    if refused:
        more = [f"… and {len(refused) - _MAX_REFUSED} more"] if len(refused) > _MAX_REFUSED else []
        raise InputError("\n".join([*refused[:_MAX_REFUSED], *more]))
    return keys
