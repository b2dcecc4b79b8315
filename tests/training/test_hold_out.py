"""The choice of held-out utterances."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2ray.errors import InputError
from ds2ray.training.hold_out import hold_out


def ids(count: int) -> list[str]:
    return [f"utterance-{number}" for number in range(count)]


@given(st.integers(2, 500), st.floats(0.01, 0.99), st.integers(0, 99))
def test_hold_out_splits_all_and_leaves_some_on_each_side(count: int, fraction: float, seed: int) -> None:
    train, held_out = hold_out(ids(count), fraction, seed)
    assert sorted([*train, *held_out]) == list(range(count))
    assert train == sorted(train)
    assert held_out == sorted(held_out)
    assert train
    assert len(held_out) == min(count - 1, max(1, round(count * fraction)))
    assert (train, held_out) == hold_out(ids(count), fraction, seed)


def test_hold_out_depends_on_the_seed_and_refuses_a_single_utterance() -> None:
    assert len({str(hold_out(ids(50), 0.2, seed)) for seed in range(5)}) == 5
    with pytest.raises(InputError, match="2 or more"):
        hold_out(ids(1), 0.2, 0)


@given(st.integers(5, 80), st.integers(0, 40), st.randoms(use_true_random=False), st.integers(0, 9))
def test_an_utterance_keeps_its_side_when_others_come(count: int, more: int, order: object, seed: int) -> None:
    before = ids(count)
    after = [*before, *(f"new-{number}" for number in range(more))]
    order.shuffle(after)  # type: ignore[attr-defined]
    held_before = {before[row] for row in hold_out(before, 0.2, seed)[1]}
    held_after = {after[row] for row in hold_out(after, 0.2, seed)[1]}
    # of what was learned from, no more can come to judge than places were added
    learned_then_judges = (held_after & set(before)) - held_before
    assert len(learned_then_judges) <= max(0, len(held_after) - len(held_before))
