"""Who tries a new base first, and when the gains hold."""

from dataclasses import replace
from typing import Any

import pytest

from ds2ray.config import AdaptConfig, Canary, ErrorMetric
from ds2ray.fleet.choosing.canary import (
    Found,
    Sample,
    base_of_fleet,
    candidates,
    error_had,
    found_in,
    found_of,
    had_metric,
    is_wanted,
    last_begun,
    sample_text,
)
from ds2ray.fleet.plan import Change, Plan, UserPlan
from ds2ray.store import AdapterPointer
from ds2ray.store.outcomes import Outcome, Status

OLD, NEW = "a" * 64, "b" * 64
KEYS = [f"u{number}" for number in range(8)]


def planned(key: str, change: Change = Change.changed) -> UserPlan:
    return UserPlan(
        user_id=key, user_key=key, utterances=(), num_utterances=9, speech_s=60.0, num_dropped=0, reasons={},
        fingerprint="f", change=change,
    )  # fmt: skip


def plan_of(*users: UserPlan) -> Plan:
    unchanged: Any = None
    return Plan(users=users, unchanged=unchanged, cohorts=((0,),), problems=())


def sample_of(errors: dict[str, float]) -> Sample:
    return Sample(OLD, tuple(map(planned, errors)), errors)


def adapted(key: str, error: float) -> Outcome:
    return Outcome(user_key=key, status=Status.adapted, error_before=0.9, error_after=error)


def kept(key: str, error: float, current: float | None = None) -> Outcome:
    return Outcome(
        user_key=key, status=Status.kept_previous, error_before=error, error_after=0.9, error_current=current
    )


def test_the_base_of_a_fleet_is_that_of_the_last_run_that_no_canary_ended() -> None:
    failed = {"base_fingerprint": NEW, "canary": {"held": False}}

    def base_of(*summaries: dict[str, Any]) -> str:
        return base_of_fleet(last_begun(summaries))

    assert base_of(failed, failed, {"base_fingerprint": OLD, "canary": None}) == OLD
    assert base_of({"base_fingerprint": NEW, "canary": {"held": True}}, {"base_fingerprint": OLD}) == NEW
    assert base_of({"run_id": "of an early release"}) == base_of() == base_of(failed) == ""


def test_errors_of_before_are_of_the_metric_that_the_run_had() -> None:
    cer = AdaptConfig(gate_metric=ErrorMetric.cer)
    assert had_metric({"settings": {"adapt.gate_metric": "wer"}}, cer) == "wer"
    assert had_metric({"settings": {}}, cer) == had_metric({}, cer) == "cer"


@pytest.mark.parametrize(
    ("canary", "before", "wanted"),
    [
        (Canary.new_base, OLD, True),
        (Canary.new_base, NEW, False),
        (Canary.new_base, "", False),
        (Canary.always, NEW, True),
        (Canary.always, "", False),
        (Canary.never, OLD, False),
    ],
)
def test_a_canary_is_for_another_base_unless_the_settings_say_otherwise(
    canary: Canary, before: str, wanted: bool
) -> None:
    assert is_wanted(canary, NEW, before) is wanted


def test_users_are_asked_in_an_order_of_their_keys_and_of_the_base_whatever_the_order_of_the_table() -> None:
    users = [planned(key) for key in KEYS]
    there = candidates(plan_of(*users), KEYS, NEW)
    assert candidates(plan_of(*reversed(users)), reversed(KEYS), NEW) == there
    assert sorted(user.user_key for user in there) == KEYS
    assert candidates(plan_of(*users), KEYS, OLD) != there


def test_nobody_is_asked_who_has_no_adapter_or_is_not_trained() -> None:
    plan = plan_of(planned("has"), planned("lacks"), planned("few", Change.skipped))
    assert [user.user_key for user in candidates(plan, ["has", "few", "gone"], NEW)] == ["has"]


def test_what_a_user_had_is_told_by_an_adapter_of_the_base_before_alone() -> None:
    pointer = AdapterPointer(
        user_key="u", version="v", sha256="s", size_bytes=1, base_fingerprint=OLD, data_fingerprint="d", adapter={},
        run_id="r", seq=1, error_before=0.5, error_after=0.25, history=(),
    )  # fmt: skip
    assert error_had(pointer, OLD) == 0.25
    assert error_had(pointer, NEW) is None
    assert error_had(replace(pointer, error_after=None), OLD) is None
    assert error_had(None, OLD) is None


HAD = {"ann": 0.2, "bob": 0.2}


@pytest.mark.parametrize(
    ("outcomes", "served", "published", "held"),
    [
        ([adapted("ann", 0.1), adapted("bob", 0.1)], 2, 2, True),
        ([adapted("ann", 0.2), adapted("bob", 0.22)], 2, 2, True),  # a point more on the average
        ([adapted("ann", 0.2), adapted("bob", 0.23)], 2, 2, False),
        ([adapted("ann", 0.1), kept("bob", 0.2)], 2, 1, True),  # by the base alone no worse than before
        ([adapted("ann", 0.1), kept("bob", 0.3)], 1, 1, True),
        ([kept("ann", 0.201), kept("bob", 0.201)], 0, 0, False),  # hardly worse, and nobody gained
        ([kept("ann", 0.9, current=0.2), kept("bob", 0.9, current=0.2)], 2, 0, True),  # of the same base
        ([adapted("ann", 0.1)], 1, 1, True),
        ([Outcome(user_key=key, status=Status.failed) for key in HAD], 0, 0, False),
        ([], 0, 0, False),
    ],
)
def test_gains_hold_where_enough_users_gain_and_the_mean_error_does_not_rise(
    outcomes: list[Outcome], served: int, published: int, held: bool
) -> None:
    found = found_in(sample_of(HAD), outcomes, AdaptConfig())
    assert (found.users, found.served, found.published, found.held) == (2, served, published, held)


def test_thresholds_are_settings() -> None:
    worse = [adapted("ann", 0.5), kept("bob", 0.9)]
    assert found_in(sample_of(HAD), worse, AdaptConfig(canary_max_rise=0.6)).held
    assert not found_in(sample_of(HAD), worse, AdaptConfig(canary_max_rise=0.6, canary_min_share=0.6)).held


def test_it_is_told_in_words_and_read_back_from_a_summary() -> None:
    found = found_in(sample_of(HAD), [adapted("ann", 0.1), kept("bob", 0.2)], AdaptConfig())
    assert found.text() == (
        "of 2 users 1 get an adapter, 1 do no worse by the base alone, mean held-out error 20.0 % with what they had, "
        "15.0 % now"
    )
    assert found_of({"canary": {**vars(found), "of a later release": 1}}) == found
    assert found_of({"canary": None}) is found_of({}) is found_of({"canary": {"held": True}}) is None
    nobody = Found("a" * 16, 2, 0, 0, None, None, held=False)
    assert nobody.text() == "of 2 users 0 get an adapter"


def test_a_plan_says_who_is_first_and_on_which_terms() -> None:
    plan = plan_of(*map(planned, KEYS))
    text = sample_text(sample_of({"u0": 0.1, "u1": 0.1}), plan, AdaptConfig())
    assert "2 users with an adapter of base aaaaaaaaaaaaaaaa first, and the other 6 only if 50 % of them" in text
