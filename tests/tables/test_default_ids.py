"""Ids that a table does not give: unique, and the same wherever their rows stand."""

from collections import Counter
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ds2ray.tables.default_ids import Nameless, default_ids
from ds2ray.tables.manifest import read_manifest

NAMELESS = st.builds(
    Nameless,
    audio=st.sampled_from(["/x/0.wav", "/y/0.wav", "/y/0.flac", "/y/1.wav", "s3://b/0.wav", b"RIFF", b"fLaC", "/", ""]),
    transcript=st.sampled_from(["a", "b"]),
    file_name=st.sampled_from(["", "0.wav", "clips/0.wav"]),
)


def test_the_shortest_end_of_the_path_that_tells_them_apart() -> None:
    audio = ["/data/john/0.wav", "/data/mary/0.wav", "/data/mary/1.wav", "s3://b/a/x/2.flac", "s3://b/c/x/2.flac"]
    ids = default_ids([Nameless(uri, "") for uri in audio], ())
    assert ids == ["john/0", "mary/0", "1", "a/x/2", "c/x/2"]


def test_the_same_path_with_other_transcripts_or_suffixes() -> None:
    first, second, third = default_ids(
        [Nameless("/a/0.wav", "one"), Nameless("/a/0.wav", "two"), Nameless("/a/0.flac", "one")], ()
    )
    assert len({first, second, third}) == 3
    assert {each.partition("#")[0] for each in (first, second, third)} == {"0"}


def test_bytes_are_named_by_their_file_or_by_themselves() -> None:
    named, plain = default_ids([Nameless(b"RIFF", "", "clips/u1.wav"), Nameless(b"fLaC", "")], ())
    assert named == "u1"
    assert plain.startswith("audio-")
    assert default_ids([Nameless(b"fLaC", "")], ()) == [plain]


def test_where_the_tree_lies_makes_no_difference() -> None:
    here, there = ([Nameless(f"{root}/{user}/0.wav", "") for user in ("john", "mary")] for root in ("/a", "s3://b/c"))
    assert default_ids(here, ()) == default_ids(there, ())


@given(st.lists(NAMELESS, max_size=8), st.randoms(use_true_random=False), st.sets(st.sampled_from(["0", "1", "x/0"])))
def test_unique_and_independent_of_the_order(rows: list[Nameless], random: Random, taken: set[str]) -> None:
    ids = default_ids(rows, taken)
    assert len(set(ids)) == len(ids)
    assert taken.isdisjoint(ids)
    order = list(range(len(rows)))
    random.shuffle(order)
    moved = default_ids([rows[place] for place in order], taken)
    before = Counter((row.audio, row.transcript, own) for row, own in zip(rows, ids, strict=True))
    after = Counter((rows[at].audio, rows[at].transcript, own) for at, own in zip(order, moved, strict=True))
    assert before == after


def test_a_table_whose_rows_are_moved_says_the_same(tmp_path: Path) -> None:
    rows = ["x/0.wav,one", "y/0.wav,two", "y/0.wav,three", "y/1.wav,four", "y/0.flac,five"]
    found = []
    for order in (rows, rows[::-1], ["z/9.wav,new", *rows[2:], *rows[:2]]):
        (tmp_path / "m.csv").write_text("\n".join(["audio,transcript", *order]))
        utterances = read_manifest(str(tmp_path / "m.csv")).utterances
        found.append({u.transcript: u.utterance_id for u in utterances})
        found[-1].pop("new", None)
    assert found[0] == found[1] == found[2]
    assert len(set(found[0].values())) == len(rows)
