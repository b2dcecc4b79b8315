"""A night compared with another: who came and went, why users have no adapter, whose errors rose, and what it cost."""

from dataclasses import replace

import pytest

from ds2ray.config import ReportConfig
from ds2ray.nights.compared import Comparison, compared, cost, gpu_hours
from ds2ray.nights.night import Night
from ds2ray.store.outcomes import Status


def test_users_are_counted_beside_those_of_the_night_before(comparison: Comparison) -> None:
    found = {count.label: (count.now, count.before, count.change) for count in comparison.counts}
    wanted = ("users", "with a new adapter", "failed")
    assert [found[label] for label in wanted] == [(7, 3, 4), (2, 3, -1), (2, 0, 2)]
    assert (comparison.new, comparison.gone) == (("cyd", "dan", "few"), ("gone-user",))


def test_causes_leave_particulars_out_and_name_a_remedy(comparison: Comparison) -> None:
    found = [(cause.status, cause.count, cause.text) for cause in comparison.causes]
    assert found == [
        (Status.failed, 2, "its manifest cannot be read"),
        (Status.skipped_no_data, 1, "… usable utterances, at least … are needed"),
        (Status.kept_previous, 2, "held-out wer … is worse than the base's …"),
    ]
    failed, skipped, kept = (cause.remedy for cause in comparison.causes)
    assert "can be read from every node" in failed
    assert "adapt.min_utterances" in skipped
    assert kept.startswith("Nothing")


def test_errors_that_rose_are_found_over_all_nights(first_night: Night, second_night: Night) -> None:
    (ann,) = compared(second_night, [first_night]).regressions
    assert (ann.user_key, ann.error_before, ann.error_now) == ("ann", 0.1, 0.3)
    assert (ann.run_before, ann.run_now) == ("first", "second")
    quiet = replace(second_night, outcomes=(), summary={**second_night.summary, "run_id": "third"})
    assert compared(quiet, [second_night, first_night]).regressions == (ann,)


def test_ordinary_speech_through_new_adapters_is_told_where_there_was_an_anchor(
    first_night: Night, second_night: Night
) -> None:
    assert len(compared(second_night, [first_night]).rates) == 2
    adapted = [outcome for outcome in second_night.outcomes if outcome.status is Status.adapted]
    others = [outcome for outcome in second_night.outcomes if outcome.status is not Status.adapted]
    after = [replace(one, anchor_error_before=0.1, anchor_error_after=0.2 * place) for place, one in enumerate(adapted)]
    kept = [replace(one, anchor_error_before=0.9, anchor_error_after=0.9) for one in others]
    night = replace(second_night, outcomes=(*after, *kept))
    by_base, by_adapters = compared(night, [first_night]).rates[2:]
    assert (by_base.label, by_base.now, by_base.before) == ("ordinary speech by the base alone", 0.1, None)
    assert by_adapters.now == pytest.approx(0.1)  # of two


def test_a_first_night_is_compared_with_nothing(first_night: Night) -> None:
    found = compared(first_night)
    assert (found.before, found.gone, found.regressions, found.changed_settings) == (None, (), (), {})
    assert {count.change for count in found.counts} == {None}


def test_settings_that_changed_are_told(comparison: Comparison) -> None:
    assert comparison.changed_settings == {"adapt.num_epochs": ("20", "30")}


def test_the_cost_is_that_of_gpus_while_they_trained_and_of_the_rest_all_the_time(
    first_night: Night, second_night: Night
) -> None:
    assert gpu_hours(second_night) == pytest.approx(4 * 1.25)
    prices = ReportConfig(price_per_gpu_hour=2.0, price_per_hour=1.0)
    assert cost(second_night, prices) == pytest.approx(10 + 1.5)
    assert cost(second_night, ReportConfig()) is None
    assert (gpu_hours(first_night), cost(first_night, prices)) == (None, None)
