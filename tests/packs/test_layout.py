"""The division of utterances among packs, and its changes when the corpus changes."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2ray.errors import InputError
from ds2ray.packs.layout import Member, Pack, assign_shards, packs_by_shard, packs_by_user
from ds2ray.tables.manifest import Utterance

SETTINGS = {"max_duration_s": 30.0}


def member(utterance_id: str, user_id: str = "john", line: int = 2, size_bytes: int = 100) -> Member:
    utterance = Utterance(utterance_id, user_id, f"/data/{utterance_id}.wav", None, "yes", line)
    return Member(utterance, "/data/m.csv", size_bytes, "tag")


def ids(packs: Sequence[Pack]) -> dict[str, list[str]]:
    return {pack.name: [m.utterance.utterance_id for m in pack.members] for pack in packs}


class TestByUser:
    def test_a_pack_per_user_in_the_order_of_ids(self, monkeypatch: pytest.MonkeyPatch) -> None:
        members = [member("b", "o'neil/x"), member("c", "ann"), member("a", "o'neil/x")]
        packs, problems = packs_by_user(members, SETTINGS)
        assert (ids(packs), problems) == ({"ann": ["c"], "o%27neil%2Fx": ["a", "b"]}, [])
        assert [pack.user_id for pack in packs] == ["ann", "o'neil/x"]
        assert [pack.size_bytes for pack in packs] == [100, 200]
        monkeypatch.setenv("DS2RAY_USER_KEY_SALT", "salt")
        assert all(len(pack.name) == 64 for pack in packs_by_user(members, SETTINGS)[0])

    def test_rows_of_nobody_and_repeated_ids_become_problems(self) -> None:
        members = [member("a"), member("b", ""), member("a", line=4), member("c", "x\n", 5), member("a", "ann", 6)]
        packs, problems = packs_by_user(members, SETTINGS)
        assert ids(packs) == {"ann": ["a"], "john": ["a"]}
        assert [(p.line, p.column) for p in problems] == [(2, "user_id"), (5, "user_id"), (4, "utterance_id")]
        assert "prepare.user_id=" in problems[0].remedy
        assert "holds control characters" in problems[1].reason
        assert problems[2].reason == "already the id of /data/m.csv:2"

    def test_users_that_would_share_a_file_are_refused(self) -> None:
        with pytest.raises(InputError, match="share a file") as error:
            packs_by_user([member("a", "Zo\u00eb"), member("b", "Zoe\u0308"), member("c", "ann")], SETTINGS)
        assert str(error.value).count("users ") == 3
        assert "ann" not in str(error.value)

    def test_the_source_tells_what_would_be_packed(self) -> None:
        first = member("a")
        others = [
            replace(first, version_tag="new"),
            replace(first, utterance=replace(first.utterance, transcript="no")),
            replace(first, utterance=replace(first.utterance, audio="/elsewhere/a.wav")),
        ]
        sources = [packs_by_user([one], SETTINGS)[0][0].source for one in [first, *others]]
        sources += [packs_by_user([first], {"max_duration_s": 10.0})[0][0].source]
        assert len(set(sources)) == 5
        moved = replace(first, manifest_uri="/other.csv", utterance=replace(first.utterance, line=9))
        assert packs_by_user([moved], SETTINGS)[0][0].source == sources[0]


SIZES = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=6), st.integers(1, 400), max_size=60)


class TestShards:
    @given(SIZES, SIZES, st.integers(100, 1000))
    def test_every_utterance_is_in_one_shard_of_about_the_size(
        self, sizes: dict[str, int], later: dict[str, int], shard_bytes: int
    ) -> None:
        previous: dict[str, int] = {}
        for current in (sizes, later):
            shards = assign_shards(current, previous, shard_bytes)
            assert sorted(key for keys in shards.values() for key in keys) == sorted(current)
            assert all(shards.values())
            for keys in shards.values():
                fill = sum(current[key] for key in keys)
                # the new ones are within an utterance of their share, which is at most 1.5 of the wanted size
                assert fill <= max(2 * shard_bytes, 1.5 * shard_bytes + 400)
            previous = {key: number for number, keys in shards.items() for key in keys}
        assert assign_shards(later, {}, shard_bytes) == assign_shards(dict(reversed(later.items())), {}, shard_bytes)

    @given(SIZES, st.integers(100, 1000))
    def test_nothing_moves_where_nothing_changes(self, sizes: dict[str, int], shard_bytes: int) -> None:
        shards = assign_shards(sizes, {}, shard_bytes)
        again = assign_shards(sizes, {key: n for n, keys in shards.items() for key in keys}, shard_bytes)
        small = [n for n, keys in shards.items() if sum(sizes[key] for key in keys) < shard_bytes / 2]
        if len(small) <= 1:  # one that is left over; several are put together
            assert sorted(map(sorted, again.values())) == sorted(map(sorted, shards.values()))

    def test_what_is_too_large_together_is_not_put_together(self) -> None:
        for sizes in ({"a": 250, "b": 400}, {"a": 400, "b": 250}, {"a": 700, "b": 200}):
            shards = assign_shards(sizes, {}, 300)
            assert sorted(shards.values()) == [["a"], ["b"]]
            assert assign_shards(sizes, {key: n for n, keys in shards.items() for key in keys}, 300) == shards

    def test_a_change_touches_only_the_shards_that_hold_it(self) -> None:
        sizes = {f"u{number:04d}": 10 for number in range(1000)}
        shards = assign_shards(sizes, {}, 1000)
        assert {number: len(keys) for number, keys in shards.items()} == dict.fromkeys(range(10), 100)
        # not in the order of the corpus: every shard is a sample of it
        assert all(min(keys) < "u0200" and max(keys) > "u0800" for keys in shards.values())
        previous = {key: number for number, keys in shards.items() for key in keys}
        gone, kept = shards[3][0], {key: size for key, size in sizes.items() if key != shards[3][0]}
        more = kept | {f"v{number:04d}": 10 for number in range(120)}
        after = assign_shards(more, previous, 1000)
        assert after[3] == [key for key in shards[3] if key != gone]
        assert {number: after[number] for number in shards if number != 3} == {
            n: k for n, k in shards.items() if n != 3
        }
        assert [len(after[number]) for number in after if number not in shards] == [120]

    def test_shards_that_became_small_are_filled_again(self) -> None:
        previous = {f"u{number}": number // 10 for number in range(30)}
        sizes = {key: 10 for key, shard in previous.items() if shard != 1 or key < "u14"}
        assert sorted(previous[key] for key in sizes) == [0] * 10 + [1] * 4 + [2] * 10
        after = assign_shards(sizes | {f"v{number}": 10 for number in range(6)}, previous, 100)
        assert {number: len(keys) for number, keys in after.items()} == {0: 10, 1: 10, 2: 10}
        assert {key[0] for key in after[1]} == {"u", "v"}

    def test_ids_that_users_share_are_told_apart(self) -> None:
        members = [member("1", "ann"), member("1", "bob"), member("2", "bob"), member("2", "bob", 7), member("3", "")]
        packs, problems = packs_by_shard(members, {}, 1e6, SETTINGS)
        assert sorted(ids(packs)["shard-00000"]) == ["2", "3", "ann/1", "bob/1"]
        assert [(p.line, p.reason) for p in problems] == [(7, "already the id of /data/m.csv:2")]
