"""The users whom a verb is about: ids as they are typed, and those of a list."""

from collections.abc import Iterable, Sequence

from ds2ray import storage
from ds2ray.errors import InputError
from ds2ray.store.keys import user_keys
from ds2ray.tables.encodings import decoded
from ds2ray.tables.formats import TABLES, read_unpacked, table_format
from ds2ray.tables.rows import read_rows

_MAX_SHOWN = 5


def keys_of(user_ids: Iterable[str]) -> dict[str, str]:
    """User ids by their keys, each user once. Raises InputError where an id gives no key."""
    listed = list(dict.fromkeys(user_ids))
    return dict(zip(user_keys(listed), listed, strict=True))


def read_user_list(uri: str, encoding: str = "") -> list[str]:
    """The user ids of a list: a table with a column user_id, or a text with an id a line.

    Raises:
        InputError: it is missing or unreadable, names nobody, or has rows without an id: a list that is half read
            would be half obeyed.
    """
    if table_format(uri) not in TABLES:
        return _lines(uri, encoding)
    table = read_rows(uri, {"user_id"}, encoding)
    table.require(("user_id",))
    rows = list(table.rows)
    nameless = [row.line for row in rows if not str(row.cells.get("user_id", "")).strip()]
    if table.problems or nameless:
        told = [str(problem) for problem in table.problems] + [f"{uri}:{line}: no user is named" for line in nameless]
        raise InputError("\n  ".join([f"{uri}: rows that name nobody; correct them first:", *told[:_MAX_SHOWN]]))
    return _of_somebody([str(row.cells["user_id"]).strip() for row in rows], uri)


def _lines(uri: str, encoding: str) -> list[str]:
    try:
        text = decoded(read_unpacked(uri), uri, encoding).content
    except FileNotFoundError:
        raise InputError(f"{uri}: there is no such file; name a table with a column user_id, or a text") from None
    return _of_somebody([line.strip() for line in text.splitlines() if line.strip()], uri)


def _of_somebody(user_ids: Sequence[str], uri: str) -> list[str]:
    if not user_ids:
        raise InputError(f"{uri}: it names no user")
    return list(user_ids)


def wanted_users(user_ids: Sequence[str], list_uri: str) -> dict[str, str]:
    """User ids by their keys, of those that are typed and those of a list, if one is named."""
    return keys_of([*user_ids, *(read_user_list(storage.absolute(list_uri)) if list_uri else [])])
