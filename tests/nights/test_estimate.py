"""Estimates of runs by the speed of earlier ones."""

from typing import Any

import pytest

from ds2ray.config import ReportConfig
from ds2ray.nights.estimate import Estimate, estimate

PRICES = ReportConfig(price_per_gpu_hour=2.0, price_per_hour=1.0, currency="EUR")


def summary(speech_s: float, training_s: float, rest_s: float = 20.0, **fields: Any) -> dict[str, Any]:
    stages = {"planning": rest_s, "training": training_s}
    return {"seconds": rest_s + training_s, "stages": stages, "speech_trained_s": speech_s, "gpus": 2.0, **fields}


def test_the_run_whose_speech_is_most_like_it_counts_and_the_others_say_how_sure_it_is() -> None:
    nights = [summary(360.0, 36.0), summary(36_000.0, 1800.0), summary(720.0, 144.0)]
    assert estimate(18_000.0, nights, PRICES) == Estimate(
        seconds=20 + 900,
        low_s=20 + 900,
        high_s=20 + 3600,
        num_runs=3,
        gpu_hours=0.5,
        cost=0.5 * 2.0 + 920 / 3600,
    )


def test_only_runs_that_trained_to_their_end_count_and_of_those_the_newest_three() -> None:
    idle = {"seconds": 2.0, "stages": {"planning": 2.0}, "speech_trained_s": 0.0}
    stopped = summary(360.0, 9.0, interrupted=True)
    old_release = {"seconds": 90.0, "statuses": {"adapted": 9}}
    trained = [summary(100.0, seconds) for seconds in (10.0, 20.0, 30.0, 1000.0)]
    found = estimate(100.0, [idle, stopped, old_release, *trained], ReportConfig())
    assert found is not None
    assert (found.num_runs, found.low_s, found.high_s, found.cost) == (3, 30.0, 50.0, None)
    assert estimate(100.0, [idle, stopped, old_release], ReportConfig()) is None
    assert estimate(0.0, trained, ReportConfig()) is None
    assert estimate(1.0, [], ReportConfig()) is None


@pytest.mark.parametrize("share", [0.2, 1.0, 3.0])
def test_where_speed_and_start_stay_the_estimate_is_the_truth(share: float) -> None:
    truth = summary(share * 1000.0, share * 50.0)
    found = estimate(share * 1000.0, [summary(1000.0, 50.0), summary(3000.0, 150.0)], ReportConfig())
    assert found is not None
    assert found.seconds == pytest.approx(truth["seconds"])


def test_requests_of_trials_grow_with_speech_and_the_others_do_not() -> None:
    traffic: dict[str, Any] = {"traffic": {"requests": 130}, "traffic_of_trials": {"requests": 100}}
    found = estimate(2000.0, [summary(1000.0, 50.0, **traffic)], ReportConfig())
    assert found is not None
    assert found.requests == 230


def test_the_canary_of_a_new_base_is_training_too() -> None:
    night = summary(1000.0, 50.0)
    night["stages"]["canary"] = 5.0
    found = estimate(2000.0, [night], ReportConfig())
    assert found is not None
    assert found.seconds == pytest.approx(20 - 5 + 110)


def test_an_estimate_in_words() -> None:
    assert Estimate(1100.0, 900.0, 1500.0, 3, 0.5, 1.25).text("EUR") == (
        "about 18m (15m to 25m), 0.50 GPU-hours, 1.25 EUR, by the speed of the last 3 runs that trained"
    )
    assert Estimate(61.0, 61.0, 61.0, 1, 0.0, None, 1234.4).text("EUR") == (
        "about 1m, 1,234 requests, by the speed of the only run that trained"
    )
    assert Estimate(61.0, 61.0, 61.0, 1, 0.0, None).text("EUR") == "about 1m, by the speed of the only run that trained"
