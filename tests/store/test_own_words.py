"""Own words in the store: versions, the commit, checks on reading, and erasure."""

from pathlib import Path

import pytest

from ds2ray.errors import ArtifactCorruptError, InputError
from ds2ray.store import (
    OwnWord,
    Store,
    erase_words,
    publish_words,
    read_words,
    read_words_record,
    rollback_words,
    words_history,
)
from ds2ray.store.own_words import MAX_WORDS, read_words_index, write_words_index


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def words(store: Store, key: str = "kim") -> list[tuple[str, float]]:
    record = read_words_record(store, key)
    assert record is not None
    return [(word.text, word.weight) for word in read_words(store, record)]


def test_words_are_published_sorted_and_each_once(store: Store) -> None:
    assert read_words_record(store, "kim") is None
    record = publish_words(store, "kim", [OwnWord("서울  역"), OwnWord("anna", 2), OwnWord("anna")])
    assert words(store) == [("anna", 2.0), ("서울 역", 1.0)]
    assert (record.seq, record.num_words, record.history) == (1, 2, ())
    assert publish_words(store, "kim", [OwnWord("anna", 2.0), OwnWord("서울 역")]) == record


def test_versions_are_kept_and_taken_back(store: Store) -> None:
    first = publish_words(store, "kim", [OwnWord("anna")])
    second = publish_words(store, "kim", [])
    assert (second.seq, second.num_words, words(store)) == (2, 0, [])
    third = rollback_words(store, "kim", first.version)
    assert (third.seq, words(store)) == (3, [("anna", 1.0)])
    assert [entry["version"] for entry in words_history(store, "kim")] == [first.version, second.version]
    with pytest.raises(InputError, match=f"no words of version 'x'; versions there: {first.version}"):
        rollback_words(store, "kim", "x")
    with pytest.raises(InputError, match="versions there: none"):
        rollback_words(store, "lee", "x")


def test_damage_and_the_words_of_others_are_found(store: Store, tmp_path: Path) -> None:
    record = publish_words(store, "kim", [OwnWord("anna")])
    file = tmp_path / "users" / "kim" / f"words-{record.version}.json"
    file.write_bytes(file.read_bytes().replace(b"anna", b"anno"))
    with pytest.raises(ArtifactCorruptError, match="sha256"):
        read_words(store, record)
    (tmp_path / "users" / "lee").mkdir()
    (tmp_path / "users" / "lee" / "words.json").write_bytes((tmp_path / "users" / "kim" / "words.json").read_bytes())
    with pytest.raises(ArtifactCorruptError, match="user_key 'kim', not 'lee'"):
        read_words_record(store, "lee")


def test_nothing_is_left_of_erased_words(store: Store, tmp_path: Path) -> None:
    publish_words(store, "kim", [OwnWord("anna")])
    publish_words(store, "kim", [OwnWord("olaf")])
    (tmp_path / "users" / "kim" / "current.json").write_text("{}")
    assert erase_words(store, "kim") == 3
    assert [path.name for path in (tmp_path / "users" / "kim").iterdir()] == ["current.json"]
    assert erase_words(store, "kim") == 0


@pytest.mark.parametrize(("text", "weight"), [("", 1.0), (" ", 1.0), ("a", 0.0), ("a", float("nan")), ("a", -1.0)])
def test_words_that_are_none_are_refused(text: str, weight: float) -> None:
    with pytest.raises(InputError, match="without text|number above 0"):
        OwnWord(text, weight)


def test_there_are_no_more_words_than_a_user_has(store: Store) -> None:
    with pytest.raises(InputError, match=f"{MAX_WORDS + 1} own words"):
        publish_words(store, "kim", [OwnWord(str(n)) for n in range(MAX_WORDS + 1)])


def test_the_index_holds_a_version_for_each_user(store: Store) -> None:
    assert read_words_index(store) == {}
    write_words_index(store, {"lee": "b", "kim": "a"})
    assert read_words_index(store) == {"kim": "a", "lee": "b"}
