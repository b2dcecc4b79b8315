"""Which trial is the best, which may be as good, and which nothing else beats."""

import pytest
from sweeping import pairs, points_of, result

from ds2ray.config import Best, ErrorMetric
from ds2ray.fleet.sweep.choice import decide
from ds2ray.fleet.sweep.report import conclusions
from ds2ray.fleet.sweep.search import trial_of

SMALL, MIDDLE, LARGE = points_of(10, 20, 30)
NAMES = ["adapter.hidden_dims"]
WER = ErrorMetric.wer


def test_error_ranks_then_loss_then_size() -> None:
    worse, more_loss, larger, best = points_of(1, 2, 4, 3)
    decision = decide(
        pairs(
            (worse, result(worse, [9, 9])),
            (more_loss, result(more_loss, [5, 5], loss=1.5)),
            (larger, result(larger, [5, 5])),
            (best, result(best, [5, 5])),
        ),
        WER,
        Best.error,
    )
    assert [one.trial.point for one in decision.ranked] == [best, larger, more_loss, worse]
    assert decision.chosen is decision.ranked[0]
    assert (decision.ranked[0].error, decision.ranked[0].error_before) == (0.05, 0.5)


def test_what_differs_by_chance_is_the_same_and_the_smallest_may_be_chosen() -> None:
    # the large one is better for some users and worse for others; the small one is worse for all of them
    tried = pairs(
        (SMALL, result(SMALL, [20, 22, 21, 24, 20, 23], seconds=9)),
        (MIDDLE, result(MIDDLE, [10, 12, 11, 9, 10, 12], seconds=3)),
        (LARGE, result(LARGE, [12, 9, 12, 10, 9, 11], seconds=6)),
    )
    decision = decide(tried, WER, Best.error)
    assert [one.trial.point for one in decision.same] == [LARGE, MIDDLE]
    assert decision.chosen is not None
    assert decision.chosen.trial.point == LARGE
    for best in (Best.size, Best.seconds):
        chosen = decide(tried, WER, best).chosen
        assert chosen is not None
        assert chosen.trial.point == MIDDLE
    small = decision.ranked[2]
    assert small.more is not None
    assert small.more.low > 0
    assert small.within is not None
    assert small.within.low <= small.error <= small.within.high
    said = conclusions(decision, NAMES, WER, 6)
    assert said[0] == "these 2 are the same, but for chance: hidden_dims 30; hidden_dims 20"
    assert said[1].startswith("the smallest of them: hidden_dims 20 (80 bytes, ")


def test_a_paired_difference_counts_however_much_users_differ() -> None:
    users = [5, 40, 80, 10, 60, 30]
    tried = pairs((SMALL, result(SMALL, [one + 3 for one in users])), (LARGE, result(LARGE, users)))
    decision = decide(tried, WER, Best.size)
    assert [one.trial.point for one in decision.same] == [LARGE]
    assert conclusions(decision, NAMES, WER, 6) == ["the best is so beyond chance: hidden_dims 30"]


def test_with_one_user_chance_cannot_be_told() -> None:
    decision = decide(pairs((SMALL, result(SMALL, [9])), (LARGE, result(LARGE, [1]))), WER, Best.error)
    assert [one.within for one in decision.ranked] == [None, None]
    assert all(one.same for one in decision.ranked)
    assert "one user" in conclusions(decision, NAMES, WER, 1)[0]


def test_characters_where_the_gate_counts_them() -> None:
    decision = decide(pairs((SMALL, result(SMALL, [9, 9]))), ErrorMetric.cer, Best.error)
    assert decision.ranked[0].error == 18 / 400


def test_nothing_beats_who_is_on_the_front() -> None:
    beaten, fast, slow = points_of(25, 20, 10)
    decision = decide(
        pairs(
            (slow, result(slow, [9, 9], seconds=9)),
            (beaten, result(beaten, [9, 9], seconds=9)),
            (fast, result(fast, [9, 9], seconds=1)),
        ),
        WER,
        Best.error,
    )
    assert {one.trial.point.adapter.hidden_dims[0] for one in decision.ranked if one.unbeaten} == {10, 20}


def test_stopped_and_failed_trials_are_no_candidates() -> None:
    stopped = trial_of(SMALL, 0.5)
    failed = result(LARGE, [0, 0], reason="no finite loss")
    tried = [*pairs((MIDDLE, result(MIDDLE, [9, 9])), (LARGE, failed)), (stopped, result(stopped.point, [1, 1]))]
    decision = decide(tried, WER, Best.error)
    assert [one.trial.point for one in decision.ranked] == [MIDDLE]
    assert [one.trial for one in decision.stopped] == [stopped]
    assert decision.failed[0].result.reason == "no user could be trained: no finite loss"
    assert "1 trials failed" in conclusions(decision, NAMES, WER, 2)[-1]


def test_where_all_failed_there_is_no_best() -> None:
    decision = decide(pairs((LARGE, result(LARGE, [0], reason="no"))), WER, Best.error)
    assert (decision.ranked, decision.chosen, conclusions(decision, NAMES, WER, 1)) == ([], None, [])


@pytest.mark.parametrize("worse", [0, 1, 2])
def test_users_who_got_worse_are_counted(worse: int) -> None:
    errors = [60] * worse + [50, 40]
    assert decide(pairs((LARGE, result(LARGE, errors))), WER, Best.error).ranked[0].num_worse(WER) == worse
