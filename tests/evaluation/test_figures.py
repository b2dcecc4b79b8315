"""Figures of groups: rates, intervals, paired differences, and what they are drawn from."""

import pytest
from judged_rows import MISHEARD, SAID, judged, of_user

from ds2ray.chance import CHANCE, RESAMPLES
from ds2ray.evaluation.evaluation import System, evaluate, users_of
from ds2ray.evaluation.figures import MIN_DRAWN, Drawn, Group, Verdict, group_of
from ds2ray.evaluation.judged import Judged
from ds2ray.metrics import ErrorCount

SYSTEMS = ("base", "adapters")
PAIRS = [SYSTEMS]


def group(rows: list[Judged]) -> Group:
    return group_of("all", rows, SYSTEMS, PAIRS)


def test_errors_of_words_and_characters_are_summed_by_system() -> None:
    rows = [
        judged("ann", "turn of a light", SAID),
        judged("ann", SAID, "turn on light"),
        judged("ann", SAID, "so " + SAID),
    ]
    found = group(rows)
    assert found.figures["base"].score.words == ErrorCount(2, 0, 0, 12)
    assert found.figures["adapters"].score.words == ErrorCount(0, 1, 1, 12)
    assert found.figures["base"].score.characters.reference_length == 3 * len(SAID)
    (compared,) = found.compared
    assert (compared.before, compared.after) == SYSTEMS
    assert compared.wer.rate == 0.0
    assert compared.cer.rate == pytest.approx((4 + 3) / 51 - 4 / 51)
    assert (found.num_utterances, found.num_users, found.speech_s) == (3, 1, 6.0)


def test_few_utterances_have_no_intervals_and_no_verdict() -> None:
    found = group(of_user("ann", fallen=MIN_DRAWN - 1, risen=0, same=0))
    assert found.drawn is Drawn.nothing
    assert found.figures["base"].wer_interval is None
    difference = found.compared[0].wer
    assert (difference.rate, difference.interval, difference.p) == (-0.25, None, None)
    assert difference.verdict is Verdict.unclear


@pytest.mark.parametrize(
    ("fallen", "risen", "verdict"),
    [
        (12, 0, Verdict.better),
        (12, 2, Verdict.better),
        (0, 12, Verdict.worse),
        (2, 1, Verdict.unclear),
        (6, 6, Verdict.unclear),
        (0, 0, Verdict.unclear),
    ],
)
def test_the_verdict_on_one_user(fallen: int, risen: int, verdict: Verdict) -> None:
    found = group(of_user("ann", fallen, risen, 24 - fallen - risen))
    difference = found.compared[0].wer
    assert found.drawn is Drawn.utterances
    assert difference.verdict is verdict
    assert difference.interval is not None
    assert difference.p is not None
    assert difference.interval.low <= difference.rate <= difference.interval.high
    assert (difference.p < CHANCE) == (verdict is not Verdict.unclear)


def test_systems_that_are_alike_differ_by_nothing() -> None:
    found = group([judged("ann", MISHEARD, MISHEARD)] * 10 + [judged("ann", SAID, SAID)] * 10)
    difference = found.compared[0].wer
    assert difference.interval is not None
    assert (difference.rate, difference.interval.low, difference.interval.high, difference.p) == (0, 0, 0, 1)
    interval = found.figures["base"].wer_interval
    assert interval is not None
    assert interval.low < 0.125 < interval.high


def test_errors_of_one_user_are_not_independent() -> None:
    """One of eight users is all errors: utterances by themselves would seem to say more than these users do."""
    spoilt, fine = [MISHEARD] * 20, [SAID] * 20
    rows = [judged(f"u{n}", text, text) for n in range(MIN_DRAWN) for text in (spoilt if n == 0 else fine)]
    by_users = group(rows)
    by_utterances = group([judged("ann", row.texts["base"], row.texts["base"]) for row in rows])
    assert (by_users.drawn, by_utterances.drawn) == (Drawn.users, Drawn.utterances)
    of_users, of_utterances = by_users.figures["base"].wer_interval, by_utterances.figures["base"].wer_interval
    assert of_users is not None
    assert of_utterances is not None
    assert of_users.high - of_users.low > 2 * (of_utterances.high - of_utterances.low)


def test_empty_transcripts_have_rates_too() -> None:
    found = group([judged("ann", "", "word", said="")] * MIN_DRAWN)
    assert found.figures["base"].score.words.rate() == 0
    assert found.figures["adapters"].score.words.rate() == 1
    difference = found.compared[0].wer
    assert (difference.rate, difference.p) == (1, pytest.approx(2 / (RESAMPLES + 1)))


def test_users_are_counted_by_what_became_of_them() -> None:
    rows = [
        *of_user("better", 12, 0, 12),
        *of_user("worse", 0, 12, 12),
        *of_user("same", 0, 0, 24),
        *of_user("perhaps", 2, 1, 21),
        *of_user("few", 2, 0, 0),
        *of_user("", 0, 20, 0),  # nobody
    ]
    evaluation = evaluate("test.csv", rows, [System("base", ""), System("adapters", "")], PAIRS, [])
    users = users_of(evaluation)
    assert (users.better, users.worse, users.unclear) == (1, 1, 3)
    assert (users.fewer, users.more) == (3, 1)
    assert users.by_chance == pytest.approx(4 * CHANCE / 2)  # of the four who could be tested
