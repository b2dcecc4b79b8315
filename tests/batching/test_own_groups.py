"""Row groups of each rank: every one is read by one rank alone, and all have about as much to do."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ds2ray.batching.epoch_plan import Batching, EpochPlan, epoch_course
from ds2ray.batching.own_groups import LEAST_GROUPS, windows_of_ranks

BATCHINGS = st.builds(
    Batching,
    batch_size=st.integers(1, 9),
    batch_s=st.one_of(st.just(0.0), st.floats(1, 120)),
    accumulate_steps=st.integers(1, 4),
    sorta_grad=st.booleans(),
    seed=st.integers(0, 99),
    window_groups=st.integers(1, 12),
    own_groups=st.just(True),
)


def corpus(num_groups: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Durations and groups of utterances, of three to nine to a group."""
    draws = np.random.default_rng(seed)
    groups = np.repeat(np.arange(num_groups) * 7, draws.integers(3, 10, num_groups))
    return draws.uniform(0.5, 15, len(groups)), groups


def own(plan: EpochPlan, rank: int, steps: range) -> list[int]:
    return [index for step in steps for batch in plan.batches(step, rank) for index in batch]


@given(BATCHINGS, st.integers(1, 70), st.integers(1, 4), st.integers(0, 2), st.integers(0, 9), st.integers(0, 30))
def test_an_epoch_is_every_utterance_once_whoever_goes_on(
    batching: Batching, num_groups: int, world_size: int, epoch: int, seed: int, stop: int
) -> None:
    durations_s, groups = corpus(num_groups, seed)
    plan = epoch_course(durations_s, batching, epoch, [], world_size, groups).plan
    everything, ranks = list(range(len(groups))), range(world_size)
    assert sorted(index for rank in ranks for index in own(plan, rank, range(len(plan)))) == everything
    for step in range(len(plan)):
        counts = {len(plan.batches(step, rank)) for rank in ranks}
        assert len(counts) == 1
        assert counts <= set(range(1, batching.accumulate_steps + 1))
        assert plan.num_utterances(step) > 0
    stop = min(stop, len(plan))
    heard = [index for rank in ranks for index in own(plan, rank, range(stop))]
    rest = epoch_course(durations_s, batching, epoch, [(world_size, stop)], world_size + 1, groups).plan
    heard += [index for rank in range(world_size + 1) for index in own(rest, rank, range(len(rest)))]
    assert sorted(heard) == everything
    again = epoch_course(durations_s, batching, epoch, [(world_size, stop)], world_size, groups)
    assert again.plan.order.tolist() == plan.order.tolist()


@given(BATCHINGS, st.integers(2, 4), st.integers(0, 9))
def test_each_group_is_read_by_one_rank(batching: Batching, world_size: int, seed: int) -> None:
    batching = replace(batching, window_groups=LEAST_GROUPS + batching.window_groups)
    durations_s, groups = corpus(2 * world_size * batching.window_groups, seed)
    plan = epoch_course(durations_s, batching, 1, [], world_size, groups).plan
    read = [set(groups[own(plan, rank, range(len(plan)))].tolist()) for rank in range(world_size)]
    assert sum(map(len, read)) == len(set(groups.tolist())) == len(set.union(*read))
    for first in plan.window_starts[:-1]:
        for rank in range(world_size):
            fetched = plan.windows_from(first, rank)
            assert set(groups[fetched].tolist()) <= read[rank]
            assert len(set(groups[fetched].tolist())) <= 2 * batching.window_groups
    seconds = [float(durations_s[own(plan, rank, range(len(plan)))].sum()) for rank in range(world_size)]
    assert max(seconds) <= 1.3 * min(seconds)


def test_ranks_have_batches_of_like_length_in_a_step() -> None:
    durations_s, groups = corpus(64, 1)
    batching = Batching(batch_size=4, window_groups=16, own_groups=True)
    plan = epoch_course(durations_s, batching, 1, [], 2, groups).plan
    longest = np.array(
        [[durations_s[plan.batches(step, rank)[0]].max(initial=0) for rank in (0, 1)] for step in range(len(plan))]
    )
    both = longest[(longest > 0).all(axis=1)]
    assert len(both) > 0.9 * len(plan)
    assert np.abs(both[:, 0] - both[:, 1]).mean() < 1.0  # of 0.5 to 15 s


def test_a_few_groups_are_dealt_out_by_utterance() -> None:
    groups, seconds = np.arange(40), np.ones(40)
    windows = windows_of_ranks(groups, seconds, 2, 16)
    assert [[len(share) for share in window] for window in windows] == [[16, 16], [8]]
    assert [len(window) for window in windows_of_ranks(groups[:15], seconds[:15], 2, 16)] == [1]
    assert [len(window) for window in windows_of_ranks(groups, seconds, 1, 16)] == [1, 1, 1]


def test_the_order_changes_with_the_epoch() -> None:
    durations_s, groups = corpus(64, 2)
    batching = Batching(batch_size=4, window_groups=16, own_groups=True)
    first, second = (epoch_course(durations_s, batching, epoch, [], 2, groups).plan for epoch in (1, 2))
    assert first.order.tolist() != second.order.tolist()
