from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from plans import index_of, infos_of, make_plan, problem, user

from ds2ray import storage
from ds2ray.config import AdaptConfig, AdapterConfig, DataConfig
from ds2ray.errors import InputError
from ds2ray.fleet.cohorts import CohortSize, Room, cohort_size
from ds2ray.fleet.plan import Change, cohorts_of, plan_run, plan_table
from ds2ray.tables.problems import cause
from ds2ray.tables.users import Fleet
from ds2ray.tables.users_table import no_users

# Who is trained


def test_new_changed_unchanged_and_skipped() -> None:
    before = [user("a"), user("b"), user("c"), user("d", 3)]
    index = index_of(make_plan(before))
    after = [user("new"), before[0], user("b", 5), before[2], before[3]]
    plan = make_plan(after, index)
    assert [(u.user_id, u.change) for u in plan.users] == [
        ("b", Change.changed),
        ("d", Change.skipped),
        ("new", Change.new),
    ]
    assert plan.unchanged["user_key"].to_pylist() == ["a", "c"]
    assert sorted(number for cohort in plan.cohorts for number in cohort) == [0, 2]
    assert [plan.count(change) for change in Change] == [1, 1, 2, 1]
    assert (plan.num_users, plan.speech_s) == (5, 8.0 + 8.0 + 10.0 + 8.0 + 6.0)


def test_who_is_done_already_is_in_no_cohort() -> None:
    plan = make_plan([user("a"), user("b"), user("c", 3), user("d")])
    assert cohorts_of(plan.users, CohortSize(9, 1e9), {"b"}) == ((0, 3),)
    assert cohorts_of(plan.users, CohortSize(9, 1e9), {"a", "b", "d"}) == ()


def test_nothing_is_trained_twice() -> None:
    users = [user("a"), user("b")]
    assert make_plan(users, index_of(make_plan(users))).cohorts == ()


def test_force_trains_the_unchanged() -> None:
    users = [user("a"), user("b", 2)]
    plan = make_plan(users, index_of(make_plan(users)), AdaptConfig(force=True))
    assert [u.change for u in plan.users] == [Change.changed, Change.skipped]


def test_a_failed_user_is_tried_again() -> None:
    plan = make_plan([user("a")], {"a": ""})
    assert plan.users[0].to_train


def test_what_is_known_of_a_user() -> None:
    problems = [problem(7), problem(8), problem(8, "is empty (0 bytes)"), problem(9, "is empty (12 bytes)")]
    planned = make_plan([user("John Doe", 3, 1.5, problems)]).users[0]
    assert (planned.user_key, planned.speech_s, planned.num_dropped) == ("John%20Doe", 4.5, 3)
    assert planned.reasons == {"audio there is no such file": 2, "audio is empty": 2}
    assert planned.utterances == tuple(user("John Doe", 3, 1.5).utterances)


def test_problems_of_all_are_kept() -> None:
    nobodys = problem(3, user_id="")
    users = [user("a", problems=[problem(1, user_id="a")]), user("b", problems=[problem(2, user_id="b")])]
    plan = plan_run(
        Fleet(users, no_users("users.csv"), [nobodys], ["team"]),
        pa.table({"user_key": pa.array([], pa.string()), "fingerprint": pa.array([], pa.string())}),
        infos_of(users),
        base_fingerprint="b",
        adapter=AdapterConfig(),
        adapt=AdaptConfig(),
        data=DataConfig(),
        size=cohort_size(AdaptConfig(), Room()),
    )
    assert plan.notes == ("columns of the users table not known, ignored: team",)
    assert [p.line for p in plan.problems] == [1, 2, 3]


def test_two_users_of_one_key_are_refused() -> None:
    with pytest.raises(InputError, match=r"users '\\xfc', 'u\\u0308' would share the name %C3%BC in the store"):
        make_plan([user("\u00fc"), user("u\u0308")])


def test_all_impossible_ids_are_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        make_plan([user("a"), user(""), user("x\n"), user("a")])
    assert len(str(caught.value).splitlines()) == 3


def test_causes_leave_particulars_out() -> None:
    too_long = "too long for its audio: needs 80 frames, 0.500 s of audio give 25"
    assert cause(problem(1, too_long, column="transcript")) == "transcript too long for its audio"
    assert cause(problem(1, "the line cannot be read (unexpected end)", column="")) == "the line cannot be read"


def test_cohorts_of_a_plan_follow_the_settings() -> None:
    users = [user(f"u{number}", duration_s=number + 1.0) for number in range(7)]
    plan = make_plan(users, adapt=AdaptConfig(max_cohort_users=3), min_cohorts=2)
    assert sorted(map(len, plan.cohorts)) == [2, 2, 3]
    assert sorted(number for cohort in plan.cohorts for number in cohort) == list(range(7))


def test_the_table_of_a_plan_holds_no_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS2RAY_USER_KEY_SALT", "pepper")
    plan = make_plan([user("john", 5, 1.0), user("mary", 2)])
    uri = str(tmp_path / "plan.parquet")
    storage.write_table(uri, plan_table(plan))
    assert b"john" not in storage.read_bytes(uri)
    rows = storage.read_table(uri).to_pylist()
    assert [(row["change"], row["num_utterances"], row["speech_s"], row["cohort"]) for row in rows] == [
        ("new", 5, 5.0, 0),
        ("skipped", 2, 4.0, None),
    ]
    assert [row["user_key"] for row in rows] == [u.user_key for u in plan.users]


def test_the_table_of_a_plan_ends_with_the_unchanged() -> None:
    users = [user("ann"), user("bob")]
    plan = make_plan([*users, user("cy", 5)], index_of(make_plan(users)))
    assert plan_table(plan).drop_columns(["fingerprint"]).to_pylist() == [
        {"user_key": key, "change": change, "num_utterances": num, "num_dropped": 0, "speech_s": s, "cohort": cohort}
        for key, change, num, s, cohort in (
            ("cy", "new", 5, 10.0, 0),
            ("ann", "unchanged", 4, 8.0, None),
            ("bob", "unchanged", 4, 8.0, None),
        )
    ]


def test_long_recordings_count_as_the_segments_that_may_become_of_them() -> None:
    lecture = user("ann", num_utterances=1, duration_s=60.0)
    cut = DataConfig(max_duration_s=20.0, segment_long=True)
    (planned,) = make_plan([lecture], data=cut).users
    assert (planned.change, planned.num_utterances, planned.speech_s) == (Change.new, 12, 60.0)
    (few,) = make_plan([user("ann", num_utterances=3)], data=cut).users
    assert (few.change, few.num_utterances) == (Change.skipped, 3)
    other = replace(cut, max_duration_s=30.0)
    index = {"ann": planned.fingerprint}
    assert make_plan([lecture], index, data=cut).count(Change.unchanged) == 1
    assert make_plan([lecture], index, data=other).count(Change.changed) == 1
