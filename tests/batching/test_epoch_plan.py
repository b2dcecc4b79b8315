"""Plans of epochs: every utterance once, whatever the ranks, and also where a run stopped and others went on."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ds2ray.batching.batches import epoch_batches
from ds2ray.batching.epoch_plan import Batching, EpochPlan, epoch_course, plan_epoch

DURATIONS = st.lists(st.floats(0.1, 30), min_size=1, max_size=90)
BATCHINGS = st.builds(
    Batching,
    batch_size=st.integers(1, 9),
    batch_s=st.one_of(st.just(0.0), st.floats(1, 120)),
    accumulate_steps=st.integers(1, 4),
    sorta_grad=st.booleans(),
    seed=st.integers(-5, 99),
)


def seen(plan: EpochPlan, steps: range) -> list[int]:
    """The utterances that all ranks see in some steps."""
    return [index for rank in range(plan.world_size) for index in seen_by(plan, rank, steps)]


def seen_by(plan: EpochPlan, rank: int, steps: range) -> list[int]:
    """The utterances that a rank sees in some steps, in its order."""
    return [index for step in steps for batch in plan.batches(step, rank) for index in batch]


def whole(durations_s: list[float], batching: Batching, epoch: int = 0, world_size: int = 1) -> EpochPlan:
    return plan_epoch(np.array(durations_s), np.arange(len(durations_s)), batching, epoch, world_size)


@given(DURATIONS, BATCHINGS, st.integers(0, 3), st.integers(1, 5))
def test_an_epoch_is_every_utterance_once_in_as_many_steps_and_batches_on_every_rank(
    durations_s: list[float], batching: Batching, epoch: int, world_size: int
) -> None:
    plan = whole(durations_s, batching, epoch, world_size)
    assert sorted(seen(plan, range(len(plan)))) == list(range(len(durations_s)))
    for step in range(len(plan)):
        by_rank = [plan.batches(step, rank) for rank in range(world_size)]
        assert len({len(batches) for batches in by_rank}) == 1
        assert 1 <= len(by_rank[0]) <= batching.accumulate_steps
        assert plan.num_utterances(step) == sum(len(batch) for batches in by_rank for batch in batches) > 0
    again = whole(durations_s, batching, epoch, world_size)
    assert all(again.batches(step, 0) == plan.batches(step, 0) for step in range(len(plan)))


@given(DURATIONS, st.floats(0.5, 100), st.integers(0, 3), st.integers(1, 5), st.booleans())
def test_batches_by_seconds_hold_no_more_padded_audio_than_is_allowed(
    durations_s: list[float], batch_s: float, epoch: int, world_size: int, sorta_grad: bool
) -> None:
    plan = whole(durations_s, Batching(batch_size=1, batch_s=batch_s, sorta_grad=sorta_grad), epoch, world_size)
    batches = [batch for step in range(len(plan)) for rank in range(world_size) for batch in plan.batches(step, rank)]
    for batch in batches:
        assert len(batch) <= 1 or len(batch) * max(durations_s[index] for index in batch) <= batch_s
    if len(durations_s) >= len(batches):  # a rank is without work only where there is not enough for all
        assert all(batches)
    alone = whole(durations_s, Batching(batch_size=1, batch_s=batch_s, sorta_grad=sorta_grad), epoch)
    assert len(alone) <= len(batches) < len(alone) + world_size


@given(DURATIONS, BATCHINGS, st.integers(0, 2), st.lists(st.tuples(st.integers(1, 5), st.integers(0, 6)), max_size=4))
def test_whoever_goes_on_wherever_others_stopped_each_utterance_is_seen_once(
    durations_s: list[float], batching: Batching, epoch: int, stops: list[tuple[int, int]]
) -> None:
    done: list[tuple[int, int]] = []
    heard: list[int] = []
    for world_size, more in [*stops, (3, 10**6)]:
        course = epoch_course(np.array(durations_s), batching, epoch, done, world_size)
        end = min(len(course.plan), course.first_step + more)
        heard += seen(course.plan, range(course.first_step, end))
        if done and done[-1][0] == world_size:
            assert course.first_step == done[-1][1]
            done[-1] = (world_size, end)
        else:
            assert course.first_step == 0
            done.append((world_size, end))
    assert sorted(heard) == list(range(len(durations_s)))


@given(DURATIONS, BATCHINGS, st.integers(1, 4))
def test_the_same_ranks_go_on_with_the_same_plan(durations_s: list[float], batching: Batching, ranks: int) -> None:
    plan = whole(durations_s, batching, 1, ranks)
    stop = len(plan) // 2
    course = epoch_course(np.array(durations_s), batching, 1, [(ranks, stop)], ranks)
    assert (course.first_step, course.steps_before, course.num_steps) == (stop, 0, len(plan))
    assert [course.plan.batches(step, 0) for step in range(stop, len(plan))] == [
        plan.batches(step, 0) for step in range(stop, len(plan))
    ]


@example([1.0] * 5, Batching(batch_size=1, batch_s=1.0, accumulate_steps=2), 1, 2, 2, 0)
@given(DURATIONS, BATCHINGS, st.integers(1, 3), st.integers(1, 7), st.integers(1, 3), st.integers(0, 9))
def test_batches_come_out_of_windows_of_few_groups(
    durations_s: list[float], batching: Batching, window_groups: int, num_groups: int, world_size: int, stop: int
) -> None:
    groups = np.arange(len(durations_s)) * 5 % num_groups
    batching = replace(batching, window_groups=window_groups)
    course = epoch_course(np.array(durations_s), batching, 1, [], world_size, groups)
    plan = course.plan
    assert sorted(seen(plan, range(len(plan)))) == list(range(len(durations_s)))
    bounds = [*plan.window_starts, len(plan)]
    windows = [seen(plan, range(first, end)) for first, end in pairwise(bounds)]
    assert len(windows) == -(-len(set(groups)) // window_groups)
    for window in windows:
        assert 1 <= len(set(groups[window])) <= window_groups
    assert sum(len(set(groups[window])) for window in windows) == len(set(groups))  # each group is read once
    for first, following in pairwise(range(len(windows))):
        for rank in range(world_size):
            own = [seen_by(plan, rank, range(bounds[window], bounds[window + 1])) for window in (first, following)]
            assert plan.windows_from(bounds[first], rank).tolist() == [*own[0], *own[1]]
    for step in {bounds[-2], *range(len(plan) + 1)} - set(bounds[:-2]):
        assert len(plan.windows_from(step, 0)) == 0
    stop = min(stop, len(plan))
    rest = epoch_course(np.array(durations_s), batching, 1, [(world_size, stop)], 2, groups)
    heard = seen(plan, range(stop)) + seen(rest.plan, range(rest.first_step, len(rest.plan)))
    assert sorted(heard) == list(range(len(durations_s)))


def test_steps_that_others_have_done_count_as_steps_of_those_who_go_on() -> None:
    durations_s = np.ones(48)
    batching = Batching(batch_size=2)
    course = epoch_course(durations_s, batching, 0, [(4, 3)], 1)  # 24 of 48 are done
    assert (len(course.plan), course.steps_before, course.num_steps) == (12, 12, 24)
    over = epoch_course(durations_s, batching, 0, [(4, 6)], 1)
    assert (len(over.plan), over.num_steps) == (0, 1)


def test_without_seconds_the_steps_are_those_of_batches_of_utterances() -> None:
    durations_s = [1 + 0.1 * (index % 17) for index in range(60)]
    batches = epoch_batches(durations_s, 4, 2, seed=3, epoch=1)
    plan = whole(durations_s, Batching(batch_size=4, seed=3), epoch=1, world_size=2)
    assert [[plan.batches(step, rank) for rank in range(2)] for step in range(len(plan))] == [
        [[batch[rank::2]] for rank in range(2)] for batch in batches
    ]


def test_accumulated_batches_are_the_parts_of_one_large_one() -> None:
    durations_s = [1 + 0.1 * (index % 17) for index in range(60)]
    large = whole(durations_s, Batching(batch_size=12), world_size=2)
    parts = whole(durations_s, Batching(batch_size=4, accumulate_steps=3), world_size=2)
    assert len(large) == len(parts) == 3
    for step in range(3):
        for rank in range(2):
            batches = parts.batches(step, rank)
            assert {len(batch) for batch in batches} <= {3, 4}
            assert sorted(index for batch in batches for index in batch) == sorted(large.batches(step, rank)[0])


@pytest.mark.parametrize("batch_s", [0.0, 20.0])
def test_sorta_grad_goes_from_short_to_long_in_the_first_epoch_only(batch_s: float) -> None:
    durations_s = np.random.default_rng(0).uniform(1, 10, 200)
    batching = Batching(batch_size=4, batch_s=batch_s, sorta_grad=True)
    first, second = (whole(durations_s.tolist(), batching, epoch, world_size=2) for epoch in range(2))
    longest = [
        [max(durations_s[seen(plan, range(step, step + 1))]) for step in range(len(plan))] for plan in (first, second)
    ]
    assert longest[0] == sorted(longest[0])
    assert longest[1] != sorted(longest[1])
    shuffled = whole(durations_s.tolist(), replace(batching, sorta_grad=False), 1, world_size=2)
    assert [shuffled.batches(step, 0) for step in range(5)] == [second.batches(step, 0) for step in range(5)]


def test_every_epoch_and_every_seed_has_its_own_batches_by_seconds() -> None:
    durations_s = [1 + 0.02 * index for index in range(60)]
    plans = [
        whole(durations_s, Batching(batch_size=1, batch_s=12, seed=seed), epoch) for seed in (0, 1) for epoch in (0, 1)
    ]
    batches = [{tuple(sorted(plan.batches(step, 0)[0])) for step in range(len(plan))} for plan in plans]
    assert all(batches[first] != batches[second] for first in range(4) for second in range(first))


def test_ranks_work_on_like_durations_and_little_is_padding() -> None:
    durations_s = np.random.default_rng(0).gamma(4, 2, 2000).clip(0.5, 30)
    plan = whole(durations_s.tolist(), Batching(batch_size=1, batch_s=120), world_size=4)
    padded_s = longest_s = mean_s = 0.0
    for step in range(len(plan)):
        batches = [plan.batches(step, rank)[0] for rank in range(4)]
        longest = [durations_s[batch].max() for batch in batches]
        padded_s += sum(seconds * len(batch) for seconds, batch in zip(longest, batches, strict=True))
        longest_s += max(longest)
        mean_s += sum(longest) / 4
    assert durations_s.sum() / padded_s > 0.93
    assert mean_s / longest_s > 0.93  # the others wait for the rank with the longest
