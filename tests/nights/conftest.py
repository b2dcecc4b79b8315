"""Two nights of a small fleet, with every status, a user who came and one who went, and names that look like tags."""

from collections.abc import Set
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from ds2ray.fleet.report import summarise
from ds2ray.nights.compared import Comparison, compared
from ds2ray.nights.night import Night
from ds2ray.store.outcomes import Outcome, Status

HOSTILE = "%3Cb%3Ebold%3C%2Fb%3E"
"""The key of a user whose id is a tag."""


def night_of(run_id: str, rows: list[Outcome], new: Set[str] = frozenset(), **summary: Any) -> Night:
    """A night of these outcomes; every user has as many minutes of speech as the place tells."""
    keys = [row.user_key for row in rows]
    plan = pa.table(
        {
            "user_key": keys,
            "change": ["new" if key in new else "changed" for key in keys],
            "speech_s": [60.0 * (place + 1) for place in range(len(keys))],
        }
    )
    counted = summarise(rows, run_id=run_id, base_fingerprint="b" * 64, seconds=5400.0, max_failed_ratio=0.5)
    return Night({**counted, **summary}, plan, tuple(rows))


def adapted(key: str, before: float, after: float) -> Outcome:
    return Outcome(user_key=key, status=Status.adapted, error_before=before, error_after=after, version="v")


@pytest.fixture(scope="session")
def first_night() -> Night:
    rows = [adapted("ann", 0.4, 0.1), adapted("bob", 0.5, 0.2), adapted("gone-user", 0.3, 0.3)]
    return night_of("first", rows, {"ann", "bob", "gone-user"}, settings={"adapt.num_epochs": "20", "adapt.seed": "0"})


@pytest.fixture(scope="session")
def second_night(first_night: Night) -> Night:
    kept = Outcome(user_key="cyd", status=Status.kept_previous, error_before=0.2, error_after=0.25)
    failed = Outcome(user_key="dan", status=Status.failed)
    rows = [
        adapted("ann", 0.4, 0.3),
        adapted("bob", 0.5, 0.1),
        replace(kept, reason="held-out wer 25.0% is worse than the base's 20.0%"),
        replace(kept, user_key="eve", reason="held-out wer 31.5% is worse than the base's 30.1%"),
        replace(failed, reason="its manifest cannot be read: s3://speech/dan.csv: <script>alert(1)</script>"),
        replace(failed, user_key=HOSTILE, reason="its manifest cannot be read: s3://speech/b.csv: gone"),
        Outcome(user_key="few", status=Status.skipped_no_data, reason="2 usable utterances, at least 4 are needed"),
    ]
    spent = {"stages": {"planning": 600.0, "training": 4500.0, "settling": 300.0}, "gpus": 4.0}
    settings = {"adapt.num_epochs": "30", "adapt.seed": "0"}
    return night_of(
        "second", rows, {"cyd", "dan", "few"}, settings=settings, versions={"Python": "3.11"}, previous="first", **spent
    )


@pytest.fixture(scope="session")
def comparison(first_night: Night, second_night: Night) -> Comparison:
    return compared(second_night, [first_night])
