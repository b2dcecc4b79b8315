"""The division of a user's utterances into training and held-out speech."""

from hypothesis import given
from hypothesis import strategies as st

from ds2ray.config import AdaptConfig
from ds2ray.training.adapters.judging.split import Part, part_seed, split, split_rule, undivided, with_further
from ds2ray.training.hold_out import hold_out


def ids(count: int) -> list[str]:
    return [f"utterance-{number}" for number in range(count)]


@given(st.integers(4, 19), st.integers(2, 6), st.integers(0, 9))
def test_little_speech_is_cross_validated(count: int, num_folds: int, seed: int) -> None:
    config = AdaptConfig(cross_validate_below=20, num_folds=num_folds)
    own, *folds = split(ids(count), config, seed)
    assert (list(own.train), list(own.held_out)) == (list(range(count)), [])
    assert len(folds) == min(num_folds, count)
    assert sorted(row for fold in folds for row in fold.held_out) == list(range(count))
    for fold in folds:
        assert sorted([*fold.train, *fold.held_out]) == list(range(count))
        assert fold.train
        assert fold.held_out


def test_enough_speech_has_one_part() -> None:
    config = AdaptConfig(cross_validate_below=20, held_out_fraction=0.25)
    (part,) = split(ids(20), config, 3)
    assert (part.train, part.held_out) == hold_out(ids(20), 0.25, 3)
    assert len(part.held_out) == 5


def test_parts_draw_differently() -> None:
    assert part_seed(7, 0) == 7
    assert len({part_seed(7, part) for part in range(5)}) == 5


def test_the_rule_is_a_code() -> None:
    config = AdaptConfig(held_out_fraction=0.25, seed=3, cross_validate_below=16)
    assert (split_rule(15, config), split_rule(16, config)) == ("cross_validated", "hold_out:0.25:3")


@given(st.integers(4, 30), st.integers(2, 6), st.integers(0, 9))
def test_no_part_divides_a_group_of_utterances(count: int, num_folds: int, seed: int) -> None:
    parts = split(ids(count), AdaptConfig(cross_validate_below=20, num_folds=num_folds), seed)
    groups = undivided(parts)
    assert sorted(row for group in groups for row in group) == list(parts[0].train)
    for part in parts:
        assert all(set(group) <= set(part.train) or not set(group) & set(part.train) for group in groups)
    assert len(groups) == max(1, len(parts) - 1)


def test_a_part_trains_on_the_recordings_of_which_nothing_is_held_out() -> None:
    parts = [Part([0, 1, 2, 3], []), Part([0, 1], [2, 3]), Part([2, 3], [0, 1])]
    further = [list(part.further) for part in with_further(parts, [[0, 1], [2], [3, 1]], first=4)]
    assert further == [[4, 5, 6], [4], [5]]
    assert undivided([]) == []
