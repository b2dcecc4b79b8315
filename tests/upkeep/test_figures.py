"""stats: the figures of a store, by the index and by its pointers."""

from pathlib import Path

from kept_store import BASE_ID, publish, two_nights

from ds2ray.store import Store
from ds2ray.store.layout import index_uri, summary_uri
from ds2ray.upkeep import rollback_users
from ds2ray.upkeep.figures import UNKNOWN, stats


def test_everything_is_counted_once(tmp_path: Path) -> None:
    place = two_nights(str(tmp_path / "store"))
    figures = stats(place)
    files = [path for path in Path(place.root_uri).rglob("*") if path.is_file()]
    assert sum(figures.objects.values()) == len(files)
    assert sum(figures.size_bytes.values()) == sum(path.stat().st_size for path in files)
    assert (figures.users, figures.adapters, figures.versions, figures.runs) == (3, 3, 5, 2)
    assert (figures.users_with_words, figures.objects["own words"]) == (1, 3)
    assert figures.statuses == {"adapted": 3, "failed": 1}
    assert figures.adapters_by_base == {BASE_ID: 3}
    assert figures.bases == {BASE_ID: sum(p.stat().st_size for p in files if BASE_ID in str(p))}
    assert 0 < figures.oldest_s <= figures.newest_s


def test_bases_that_only_pointers_know(tmp_path: Path) -> None:
    place = two_nights(str(tmp_path / "store"))
    rollback_users(place, ["carol"])
    publish(place, "erin", b"erin one", "train")
    place.delete(summary_uri(place, "second"))
    assert stats(place).adapters_by_base == {UNKNOWN: 3}
    assert stats(place, deep=True).adapters_by_base == {BASE_ID: 3}


def test_an_empty_store_and_a_damaged_index(tmp_path: Path) -> None:
    place = Store(str(tmp_path / "none"))
    assert (stats(place).users, stats(place).oldest_s) == (0, 0.0)
    place.write_bytes(index_uri(place), b"PAR1")
    assert stats(place).statuses == {"index cannot be read": 1}
