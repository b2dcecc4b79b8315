"""The index of own words that users tables have set: a row per user, so that a quiet night reads one table."""

from collections.abc import Mapping

from ds2ray.store.layout import words_index_uri
from ds2ray.store.store import Store


def read_words_index(store: Store) -> dict[str, str]:
    """The version that was last published out of a users table, by user key; empty where none ever was."""
    try:
        table = store.read_table(words_index_uri(store), ["user_key", "version"])
    except FileNotFoundError:
        return {}
    return dict(zip(table["user_key"].to_pylist(), table["version"].to_pylist(), strict=True))


def write_words_index(store: Store, versions: Mapping[str, str]) -> None:
    """Write the whole index: versions by user key."""
    import pyarrow as pa

    rows = sorted(versions.items())
    columns = [pa.array([row[place] for row in rows], pa.string()) for place in (0, 1)]
    store.write_table(words_index_uri(store), pa.table(columns, names=["user_key", "version"]))
