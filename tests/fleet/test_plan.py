import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2ray import storage
from ds2ray.config import AdaptConfig, AdapterConfig, DataConfig
from ds2ray.errors import InputError
from ds2ray.fleet.cohorts import Room, cohort_size
from ds2ray.fleet.fingerprints import pipeline_state
from ds2ray.fleet.plan import Change, Plan, plan_run, plan_table
from ds2ray.storage import ObjectInfo
from ds2ray.tables.manifest import Manifest, Utterance
from ds2ray.tables.problems import Problem, ProblemKind, cause
from ds2ray.tables.users import Fleet
from ds2ray.tables.users_table import UserTable, no_users


def utterance(number: int, user_id: str = "john", duration_s: float = 2.0, **changes: Any) -> Utterance:
    known = Utterance(f"u{number}", user_id, f"/audio/{user_id}/u{number}.wav", duration_s, f"words {number}", number)
    return replace(known, **changes)


def user(
    user_id: str, num_utterances: int = 4, duration_s: float = 2.0, problems: list[Problem] | None = None
) -> Manifest:
    utterances = [utterance(number, user_id, duration_s) for number in range(num_utterances)]
    return Manifest("", utterances, problems or [], user_id=user_id)


def infos_of(users: list[Manifest]) -> dict[str, ObjectInfo | None]:
    uris = [str(utterance.audio) for user in users for utterance in user.utterances]
    return {uri: ObjectInfo(uri, 100, f"tag of {uri}") for uri in uris}


def problem(line: int, reason: str = "there is no such file", user_id: str = "john", column: str = "audio") -> Problem:
    return Problem("/john.csv", line, ProblemKind.audio, column, "'x.wav'", reason, "mend it", user_id=user_id)


def sealed_table(versions: dict[str, str], num_utterances: int = 4, speech_s: float = 8.0) -> UserTable:
    """Rows that say nothing of users but a version."""
    empty = no_users("/fleet/users.parquet")
    rows = [
        {
            "user_id": user_id,
            "manifest": f"packed/{user_id}.parquet",
            "version": version,
            "speech_s": speech_s,
            "num_utterances": num_utterances,
            "line": line,
        }
        for line, (user_id, version) in enumerate(versions.items(), start=1)
    ]
    return replace(empty, rows=pa.Table.from_pylist(rows, empty.rows.schema))


def make_plan(
    users: Sequence[Manifest] = (),
    index: dict[str, str] | None = None,
    adapt: AdaptConfig | None = None,
    table: UserTable | None = None,
    min_cohorts: int = 1,
    **more: Any,
) -> Plan:
    """A plan of users whose manifests were read and of sealed ones, with an index `user key → fingerprint`."""
    arguments: dict[str, Any] = {
        "base_fingerprint": "b" * 64,
        "adapter": AdapterConfig(),
        "adapt": adapt or AdaptConfig(),
        "data": DataConfig(),
        "size": cohort_size(adapt or AdaptConfig(), Room(trials=min_cohorts)),
    } | more
    known = index or {}
    columns = [pa.array(column, pa.string()) for column in (known.keys(), known.values())]
    fleet = Fleet(list(users), table or no_users("users.csv"), [])
    return plan_run(fleet, pa.table(columns, names=["user_key", "fingerprint"]), infos_of(list(users)), **arguments)


def index_of(plan: Plan) -> dict[str, str]:
    """The index after a run in which every user of the plan was adapted."""
    columns = plan_table(plan)
    return dict(zip(columns["user_key"].to_pylist(), columns["fingerprint"].to_pylist(), strict=True))


def changes(plan: Plan) -> dict[str, str]:
    columns = plan_table(plan)
    return dict(zip(columns["user_key"].to_pylist(), columns["change"].to_pylist(), strict=True))


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


# Sealed users


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


# Who is tried again


def index_with(pipeline: str, tried_s: float | None, version: str = "") -> "pa.Table":
    """The index after a run that left john without usable speech, or with an adapter."""
    fingerprint = plan_table(make_plan([user("john")]))["fingerprint"].to_pylist()
    columns = {"user_key": ["john"], "fingerprint": fingerprint, "version": [version], "pipeline": [pipeline]}
    return pa.table({**columns, "tried_s": pa.array([tried_s], pa.float64())})


@pytest.mark.parametrize(
    ("retry_h", "pipeline", "now_s", "again"),
    [
        (0.0, pipeline_state(DataConfig()), 0.0, True),  # whatever the clock says
        (24.0, pipeline_state(DataConfig()), 1000.0 + 23 * 3600, False),
        (24.0, pipeline_state(DataConfig()), 1000.0 + 24 * 3600, True),
        (math.inf, pipeline_state(DataConfig()), 1e12, False),
        (math.inf, pipeline_state(DataConfig(max_duration_s=20.0)), 0.0, True),
        (math.inf, "0", 0.0, True),
    ],
)
def test_unusable_speech_is_tried_again_when_it_is_due(
    retry_h: float, pipeline: str, now_s: float, again: bool
) -> None:
    adapt, index = AdaptConfig(retry_unusable_after_h=retry_h), index_with(pipeline, 1000.0)
    plan = planned_with(index, adapt, now_s)
    assert [u.change for u in plan.users] == [Change.changed] * again
    assert plan.unchanged["unusable"].to_pylist() == [True] * (not again)


@pytest.mark.parametrize(("version", "have"), [("", 0), ("0123456789abcdef", 1)])
def test_unchanged_with_and_without_an_adapter_are_told_apart(version: str, have: int) -> None:
    plan = planned_with(index_with("", None, version), AdaptConfig(), 0.0)
    assert (plan.count(Change.unchanged), plan.count_unchanged(with_adapter=True)) == (1, have)
    assert plan.count_unchanged(with_adapter=False) == 1 - have
    assert plan.unchanged["version"].to_pylist() == [version]


def planned_with(index: "pa.Table", adapt: AdaptConfig, now_s: float) -> Plan:
    users = [user("john")]
    return plan_run(
        Fleet(users, no_users("users.csv"), []),
        index,
        infos_of(users),
        base_fingerprint="b" * 64,
        adapter=AdapterConfig(),
        adapt=adapt,
        data=DataConfig(),
        size=cohort_size(adapt, Room(trials=1)),
        now_s=now_s,
    )
