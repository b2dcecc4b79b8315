"""User keys, the names of users in the store: of one user, and of a whole fleet."""

import hmac
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from urllib.parse import quote

from ds2ray.errors import InputError

SALT_VARIABLE = "DS2RAY_USER_KEY_SALT"
MAX_KEY_BYTES = 200
_UNQUOTED = re.compile(r"[A-Za-z0-9._~@-]+").fullmatch
_MAX_REFUSED = 50  # lines of a message


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
    salt = os.environ.get(SALT_VARIABLE, "") if salt is None else salt
    if salt:
        return hmac.digest(salt.encode(), normal.encode(), "sha256").hex()
    key = normal if _UNQUOTED(normal) else quote(normal, safe="-_~@")
    key = key.replace(".", "%2E")
    if len(key) > MAX_KEY_BYTES:
        allowed = f"at most {MAX_KEY_BYTES} bytes, percent-encoded; shorten it or set {SALT_VARIABLE}"
        raise InputError(f"user id {user_id[:40]!r}… takes {len(key)} bytes: {allowed}")
    return key


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
