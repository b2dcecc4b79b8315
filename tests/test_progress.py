"""Progress of long work."""

import pytest

from ds2ray.progress import duration_text, left_text, paced, size_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0.2, "0s"), (4, "4s"), (59.4, "59s"), (59.6, "1m"), (61, "1m"), (100, "2m"), (3599, "1h00m")),
        *((7500, "2h05m"), (47.9 * 3600, "47h54m"), (360_000, "4d04h")),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0s"), (59.4, "59s"), (61, "1m"), (85, "1m20s"), (119, "2m"), (594, "9m50s"), (596, "10m"), (1020, "17m")],
)
def test_estimates_of_minutes_have_tens_of_seconds(seconds: float, text: str) -> None:
    assert left_text(seconds) == text


def test_a_line_is_passed_on_only_when_it_is_time() -> None:
    told: list[str] = []
    seldom, always = paced(told.append, interval_s=3600), paced(told.append, interval_s=0)
    seldom("too early")
    always("now")
    assert told == ["now"]


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 KB"),
        (3_400_000, "3.4 MB"),
        (2.5e9, "2.5 GB"),
        (7e12, "7000.0 GB"),
    ],
)
def test_a_size_in_the_unit_that_suits_it(size_bytes: float, text: str) -> None:
    assert size_text(size_bytes) == text
