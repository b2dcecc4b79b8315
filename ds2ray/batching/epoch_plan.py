"""The plan of an epoch: which utterances each rank sees in each step. Pure; a run goes on from a position in it.

Words: a *batch* is what one rank computes on at once; a *round* is one batch for every rank; a *step* is the rounds
whose gradients make one update of the weights (`accumulate_steps` of them, fewer at an epoch's end).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ds2ray.batching.batches import NOISE, epoch_batches
from ds2ray.batching.cutting import cut, divisible
from ds2ray.batching.own_groups import Steps, joined_steps, windows_of_ranks


@dataclass(frozen=True)
class Batching:
    """The settings by which an epoch is cut into steps.

    Attributes:
        batch_s: seconds of padded audio that a batch holds at most; 0: a batch is `batch_size` utterances.
        accumulate_steps: rounds per step.
        sorta_grad: the first epoch goes from short utterances to long ones, within each window.
        window_groups: groups of utterances that share a window (see `plan_epoch`).
        own_groups: each rank has groups of its own, where there are enough of them: every one is read by one rank.
    """

    batch_size: int
    batch_s: float = 0.0
    accumulate_steps: int = 1
    sorta_grad: bool = False
    seed: int = 0
    window_groups: int = 1
    own_groups: bool = False


@dataclass(frozen=True)
class EpochPlan:
    """The steps of an epoch, or of what is left of it.

    Every rank has the same number of batches in every step. A batch may be empty where fewer utterances are left than
    there are ranks.

    Attributes:
        order: utterance indices int64 [N], in the order of batches; each stands here once.
        batch_starts: where each batch starts in `order`, int64 [number of batches + 1].
        step_starts: each step's first batch, int64 [number of steps + 1]; a step's batches are dealt out to the ranks
            in turn.
        window_starts: the first step of each window, ascending.
    """

    world_size: int
    order: np.ndarray
    batch_starts: np.ndarray
    step_starts: np.ndarray
    window_starts: tuple[int, ...] = (0,)

    def __len__(self) -> int:
        return len(self.step_starts) - 1

    def batches(self, step: int, rank: int) -> list[list[int]]:
        """Utterance indices of the batches that a rank computes on in a step, one after another."""
        own = range(self.step_starts[step] + rank, self.step_starts[step + 1], self.world_size)
        return [self.order[self.batch_starts[batch] : self.batch_starts[batch + 1]].tolist() for batch in own]

    def num_utterances(self, step: int) -> int:
        """Utterances of a step, over all ranks and batches."""
        return int(self.batch_starts[self.step_starts[step + 1]] - self.batch_starts[self.step_starts[step]])

    def windows_from(self, step: int, rank: int) -> np.ndarray:
        """A rank's utterances of the window that begins with `step`, then those of the window after it, int64 [n].

        Empty where no window begins with `step`, and for the last window, which no other follows.
        """
        if step not in self.window_starts[:-1]:
            return self.order[:0]
        later = (*self.window_starts, len(self))
        end = later[self.window_starts.index(step) + 2]
        batches = range(self.step_starts[step] + rank, self.step_starts[end], self.world_size)
        parts = [self.order[self.batch_starts[batch] : self.batch_starts[batch + 1]] for batch in batches]
        return np.concatenate([self.order[:0], *parts])

    def after(self, num_steps: int) -> np.ndarray:
        """The utterances that the first `num_steps` steps leave, ascending."""
        return np.sort(self.order[self.batch_starts[self.step_starts[num_steps]] :])


@dataclass(frozen=True)
class Course:
    """The rest of an epoch: its plan, and the first step of the plan that is still to be done.

    Attributes:
        steps_before: steps that the utterances outside the plan, done by another number of ranks, count for: as many
            as the plan's ranks would have taken for them. 0 where the whole epoch is planned.
    """

    plan: EpochPlan
    first_step: int
    steps_before: int

    @property
    def num_steps(self) -> int:
        """Steps of the whole epoch, at this number of ranks."""
        return max(1, self.steps_before + len(self.plan))


def epoch_course(
    durations_s: np.ndarray,
    batching: Batching,
    epoch: int,
    done: Sequence[tuple[int, int]],
    world_size: int,
    groups: np.ndarray | None = None,
) -> Course:
    """The rest of an epoch after the parts in `done`, so that the epoch sees each utterance exactly once.

    Args:
        durations_s: of all utterances, float64 [N].
        done: `(number of ranks, steps)`, in the order in which parts of the epoch were done; empty at its start.
        groups: as for `plan_epoch`.
    """
    everything = left = np.arange(len(durations_s))
    for part, (ranks, steps) in enumerate(done):
        plan = plan_epoch(durations_s, left, batching, epoch, ranks, groups)
        if ranks == world_size and part == len(done) - 1:
            return Course(plan, steps, _steps_before(plan, len(everything)))
        left = plan.after(steps)
    plan = plan_epoch(durations_s, left, batching, epoch, world_size, groups)
    return Course(plan, 0, _steps_before(plan, len(everything)))


def _steps_before(plan: EpochPlan, num_utterances: int) -> int:
    planned = len(plan.order)
    return round(len(plan) * (num_utterances - planned) / planned) if planned else 1


def plan_epoch(
    durations_s: np.ndarray,
    utterances: np.ndarray,
    batching: Batching,
    epoch: int,
    world_size: int,
    groups: np.ndarray | None = None,
) -> EpochPlan:
    """Cut `utterances` (indices into `durations_s`, ascending) into steps; the same arguments give the same plan.

    Utterances of like duration share a batch; which ones, and the order, change with the epoch.

    Args:
        groups: the group that each utterance is read with, by number, int64 [N]: for packed speech its row group.
            Batches are then drawn out of windows of `batching.window_groups` groups, so that a reader needs no more
            than these in memory; which groups share a window changes with the epoch. None: one window of everything.
    """
    if groups is None:
        return _plan(durations_s, utterances, batching, epoch, world_size)
    if batching.own_groups and world_size > 1:
        plans = _plans_of_own_groups(durations_s, utterances, batching, epoch, world_size, groups)
    else:
        windows = _windows(utterances, groups, batching, epoch)
        plans = [_plan(durations_s, window, batching, epoch, world_size) for window in windows]
    return _joined(plans, world_size)


def _plan(
    durations_s: np.ndarray, utterances: np.ndarray, batching: Batching, epoch: int, world_size: int
) -> EpochPlan:
    """The plan of one window."""
    plan = _plan_by_seconds if batching.batch_s > 0 else _plan_by_count
    return plan(durations_s, utterances, batching, epoch, world_size)


def _plans_of_own_groups(
    durations_s: np.ndarray,
    utterances: np.ndarray,
    batching: Batching,
    epoch: int,
    world_size: int,
    groups: np.ndarray,
) -> list[EpochPlan]:
    """The plans of windows in which each rank has groups of its own, then those of the groups that are left over."""
    draws = np.random.default_rng(random.Random(f"{batching.seed}/{epoch}/groups").getrandbits(64))
    present, group_of = np.unique(groups[utterances], return_inverse=True)
    seconds = np.bincount(group_of, durations_s[utterances], len(present))
    by_group = np.split(
        np.argsort(group_of, kind="stable"), np.cumsum(np.bincount(group_of, minlength=len(present)))[:-1]
    )
    order = draws.permutation(len(present))
    in_order = batching.sorta_grad and epoch == 0
    plans = []
    for shares in windows_of_ranks(order, seconds[order], world_size, batching.window_groups):
        own = [utterances[np.sort(np.concatenate([by_group[group] for group in share]))] for share in shares]
        if len(own) == 1:
            plans.append(_plan(durations_s, own[0], batching, epoch, world_size))
            continue
        by_rank = [_steps_of(_plan(durations_s, mine, batching, epoch, 1)) for mine in own]
        steps = joined_steps(
            by_rank,
            lambda step: max(float(durations_s[batch].max(initial=0.0)) for batch in step),
            np.arange if in_order else draws.permutation,
        )
        plans.append(_plan_of_steps(steps, world_size))
    return plans


def _steps_of(plan: EpochPlan) -> Steps:
    """The batches of a single rank's plan, by step."""
    bounds = pairwise(plan.batch_starts.tolist())
    batches = [plan.order[start:end] for start, end in bounds]
    return [batches[first:end] for first, end in pairwise(plan.step_starts.tolist())]


def _plan_of_steps(steps: Sequence[Sequence[np.ndarray]], world_size: int) -> EpochPlan:
    """A plan of steps, each the batches of all ranks."""
    batches = [batch for step in steps for batch in step]
    sizes = [len(batch) for batch in batches]
    batch_starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)
    step_starts = np.concatenate([[0], np.cumsum([len(step) for step in steps], dtype=np.int64)]).astype(np.int64)
    return EpochPlan(world_size, np.concatenate(batches), batch_starts, step_starts)


def _windows(utterances: np.ndarray, groups: np.ndarray, batching: Batching, epoch: int) -> list[np.ndarray]:
    """The utterances by window, each ascending."""
    draws = np.random.default_rng(random.Random(f"{batching.seed}/{epoch}/windows").getrandbits(64))
    present, group_of = np.unique(groups[utterances], return_inverse=True)
    window_of = (draws.permutation(len(present)) // batching.window_groups)[group_of]
    by_window = np.argsort(window_of, kind="stable")
    bounds = np.flatnonzero(np.diff(window_of[by_window])) + 1
    return [utterances[rows] for rows in np.split(by_window, bounds) if len(rows)]


def _joined(plans: Sequence[EpochPlan], world_size: int) -> EpochPlan:
    """The steps of some plans, one after another."""
    batch_starts, step_starts, window_starts = [np.zeros(1, np.int64)], [np.zeros(1, np.int64)], []
    for plan in plans:
        window_starts.append(sum(len(starts) for starts in step_starts) - 1)
        step_starts.append(plan.step_starts[1:] + sum(len(starts) for starts in batch_starts) - 1)
        batch_starts.append(plan.batch_starts[1:] + batch_starts[-1][-1])
    order = np.concatenate([plan.order for plan in plans]) if plans else np.zeros(0, np.int64)
    return EpochPlan(
        world_size, order, np.concatenate(batch_starts), np.concatenate(step_starts), tuple(window_starts) or (0,)
    )


def _plan_by_count(
    durations_s: np.ndarray, utterances: np.ndarray, batching: Batching, epoch: int, world_size: int
) -> EpochPlan:
    """The plan where a batch is `batch_size` utterances: a step of k batches of b is one batch of k·b, cut into k."""
    of_step = batching.batch_size * batching.accumulate_steps
    in_order = batching.sorta_grad and epoch == 0
    steps = epoch_batches(durations_s[utterances].tolist(), of_step, world_size, batching.seed, epoch, in_order)
    batches: list[list[int]] = []
    step_starts = [0]
    for step in steps:
        full_rounds = -(-len(step) // (batching.batch_size * world_size))
        rounds = max(1, min(full_rounds, batching.accumulate_steps, len(step) // world_size))
        for number in range(rounds):
            batches += [step[rank::world_size][number::rounds] for rank in range(world_size)]
        step_starts.append(len(batches))
    order = utterances[np.array([index for batch in batches for index in batch], dtype=np.int64)]
    batch_starts = np.concatenate([[0], np.cumsum([len(batch) for batch in batches], dtype=np.int64)])
    return EpochPlan(world_size, order, batch_starts.astype(np.int64), np.array(step_starts))


def _plan_by_seconds(
    durations_s: np.ndarray, utterances: np.ndarray, batching: Batching, epoch: int, world_size: int
) -> EpochPlan:
    """The plan where a batch is `batch_s` seconds of padded audio."""
    # seeded by text as everywhere, so that neighbouring seeds and epochs have nothing in common
    draws = np.random.default_rng(random.Random(f"{batching.seed}/{epoch}").getrandbits(64))
    noise = draws.uniform(1 - NOISE, 1 + NOISE, len(utterances))
    in_order = batching.sorta_grad and epoch == 0
    keys = durations_s[utterances] * (1 if in_order else noise)
    by_duration = utterances[np.argsort(keys, kind="stable")]
    bounds = cut(durations_s[by_duration].tolist(), batching.batch_s)
    bounds = divisible(bounds, world_size)
    starts, counts = bounds[:-1], np.diff(bounds)
    # ranks wait for each other, so a round takes neighbouring batches, which are about equally long
    rounds = np.arange(len(counts)).reshape(-1, world_size)
    if not in_order:
        rounds = rounds[draws.permutation(len(rounds))]
    batches = rounds.ravel()
    batch_starts = np.concatenate([[0], np.cumsum(counts[batches])]).astype(np.int64)
    places = np.repeat(starts[batches] - batch_starts[:-1], counts[batches]) + np.arange(len(utterances))
    step_rounds = np.append(np.arange(0, len(rounds), batching.accumulate_steps), len(rounds))
    return EpochPlan(world_size, by_duration[places], batch_starts, step_rounds * world_size)
