"""Evaluations without any recognition."""

import pytest
from judged_rows import MISHEARD, SAID, judged, of_user

from ds2ray.evaluation.evaluation import Evaluation, System, evaluate
from ds2ray.evaluation.reliability import Bin, Reliability

PAIRS = [("base", "adapters")]
SYSTEMS = [System("base", "base 0123, alone", 40.0), System("adapters", "base 0123, with adapters", 30.0)]
USERS = ("ann", "김철수", "<b>bold</b>", "$a_1$", "[red]x[/red]")


@pytest.fixture(scope="session")
def evaluation() -> Evaluation:
    """Five users, whose names mean something to browsers, terminals and plots, on ten utterances each."""
    rows = [row for place, user in enumerate(USERS) for row in of_user(user, 8 - 2 * place, place, 2 + place)]
    cells = {"source": "<script>alert(1)</script>"}
    rows.append(judged("ann", "so " + SAID, "", number=99, cells=cells))
    others = [row for user in USERS for row in of_user(user, 0, 6, 4)]
    return evaluate(
        "test.csv",
        rows,
        SYSTEMS,
        PAIRS,
        ["source"],
        others=others,
        minutes=dict.fromkeys(USERS[:4], 1.5) | {"ann": 20.0},
        notes=["left out: test.csv:3: <i>nothing</i>"] * 60,
        reliability={
            "adapters": Reliability(0.125, 8, True, [Bin(0.25, 0.5, 4), Bin(1.0, 1.0, 4)]),
            "$a_1$": Reliability(0.5, 2, False, [Bin(1.0, 0.5, 2)]),
        },
    )


@pytest.fixture
def one_system() -> Evaluation:
    """Utterances of a base without adapters."""
    rows = [judged(user, SAID, MISHEARD, number=n) for user in USERS for n in range(9)]
    return evaluate("test.csv", rows, SYSTEMS[1:], [], [])


@pytest.fixture
def many_users() -> Evaluation:
    """More users than have a line of their own."""
    rows = [row for n in range(50) for row in of_user(f"user-{n:02}", n % 9, n % 4, 2)]
    return evaluate("test.csv", rows, SYSTEMS, PAIRS, [])
