"""Plans of users of whom nothing but the row is read."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import changes, index_of, make_plan, sealed_table, user

from ds2ray.config import AdaptConfig, DataConfig
from ds2ray.errors import InputError
from ds2ray.fleet.plan import Change, plan_table


def test_a_sealed_user_is_known_by_the_version() -> None:
    before = make_plan(table=sealed_table({"ann": "1", "bob": "1", "cy": "1"}))
    assert changes(before) == {"ann": "new", "bob": "new", "cy": "new"}
    after = make_plan(table=sealed_table({"cy": "1", "bob": "2", "ann": "1", "dee": "1"}), index=index_of(before))
    assert changes(after) == {"ann": "unchanged", "bob": "changed", "cy": "unchanged", "dee": "new"}
    bob = after.users[0]
    assert (bob.user_id, bob.utterances, bob.num_utterances, bob.speech_s) == ("bob", (), 4, 8.0)
    assert bob.row is not None
    assert (bob.row.manifest_uri, bob.row.line) == ("/fleet/packed/bob.parquet", 2)
    assert after.unchanged.to_pylist()[0] == {
        "user_key": "ann",
        "fingerprint": index_of(before)["ann"],
        "num_utterances": 4,
        "num_dropped": 0,
        "speech_s": 8.0,
        "version": "",
        "unusable": False,
    }


def test_a_sealed_user_with_few_utterances_is_skipped_unread() -> None:
    plan = make_plan(table=sealed_table({"ann": "1"}, num_utterances=3))
    assert (changes(plan), plan.cohorts) == ({"ann": "skipped"}, ())


def test_sealed_users_can_be_forced() -> None:
    table = sealed_table({"ann": "1"})
    assert changes(make_plan(table=table, index=index_of(make_plan(table=table)), adapt=AdaptConfig(force=True))) == {
        "ann": "changed"
    }


def test_sealed_and_other_users_share_cohorts() -> None:
    table = sealed_table({"bob": "1", "dee": "1"}, speech_s=5.0)
    plan = make_plan([user("cy"), user("ann")], table=table, adapt=AdaptConfig(max_cohort_users=2), min_cohorts=2)
    assert [(u.user_key, u.row is None, len(u.utterances)) for u in plan.users] == [
        ("ann", True, 4),
        ("bob", False, 0),
        ("cy", True, 4),
        ("dee", False, 0),
    ]
    assert plan.cohorts == ((0, 1), (2, 3))


def test_a_sealed_user_shares_no_name_with_another() -> None:
    with pytest.raises(InputError, match="would share the name %C3%BC"):
        make_plan([user("\u00fc")], table=sealed_table({"u\u0308": "1"}))


VERSIONS = st.dictionaries(st.text("abc.é", min_size=1, max_size=4), st.sampled_from("123"), max_size=12)


@given(VERSIONS, VERSIONS, st.randoms(use_true_random=False), st.integers(1, 4))
def test_the_order_of_rows_changes_nothing(
    before: dict[str, str], after: dict[str, str], random: Any, max_users: int
) -> None:
    index = index_of(make_plan(table=sealed_table(before)))
    adapt = AdaptConfig(max_cohort_users=max_users)
    plan = make_plan(table=sealed_table(after), index=index, adapt=adapt)
    shuffled = random.sample(list(after.items()), len(after))
    known = dict(random.sample(list(index.items()), len(index)))
    again = make_plan(table=sealed_table(dict(shuffled)), index=known, adapt=adapt)
    assert plan_table(plan).equals(plan_table(again))

    # each user is there once, in one cohort or none, and what is to do follows from the versions alone
    assert {u.user_id: u.change for u in plan.users} == {
        user_id: Change.changed if user_id in before else Change.new
        for user_id, version in after.items()
        if before.get(user_id) != version
    }
    assert plan.num_users == len(after) == len(changes(plan))
    assert sorted(itertools.chain.from_iterable(plan.cohorts)) == list(range(len(plan.users)))


def test_a_sealed_user_of_few_long_recordings_is_not_skipped() -> None:
    cut = DataConfig(segment_long=True)
    for data, speech_s, change in (
        (cut, 300.0, Change.new),
        (cut, 20.0, Change.skipped),
        (DataConfig(), 300.0, Change.skipped),
    ):
        table = sealed_table({"ann": "v1"}, num_utterances=1, speech_s=speech_s)
        (planned,) = make_plan(table=table, data=data).users
        assert planned.change is change
