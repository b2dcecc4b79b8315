import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2ray import storage
from ds2ray.config import Activation, AdaptConfig, AdapterConfig, ErrorMetric
from ds2ray.data.manifest import Utterance
from ds2ray.data.rows import Problem, ProblemKind
from ds2ray.data.users import UserData
from ds2ray.errors import InputError
from ds2ray.fleet.index import IndexRow
from ds2ray.fleet.outcomes import Status
from ds2ray.fleet.plan import (
    Change,
    Plan,
    cause,
    pack_cohorts,
    plan_run,
    plan_table,
    settings_that_matter,
    user_fingerprint,
)
from ds2ray.storage import ObjectInfo

SETTINGS = settings_that_matter(AdapterConfig(), AdaptConfig())


def utterance(number: int, user_id: str = "john", duration_s: float = 2.0, **changes: Any) -> Utterance:
    known = Utterance(f"u{number}", user_id, f"/audio/{user_id}/u{number}.wav", duration_s, f"words {number}", number)
    return replace(known, **changes)


def user(
    user_id: str, num_utterances: int = 4, duration_s: float = 2.0, problems: list[Problem] | None = None
) -> UserData:
    utterances = [utterance(number, user_id, duration_s) for number in range(num_utterances)]
    return UserData(user_id, utterances, problems or [])


def infos_of(users: list[UserData]) -> dict[str, ObjectInfo | None]:
    uris = [str(utterance.audio) for user in users for utterance in user.utterances]
    return {uri: ObjectInfo(uri, 100, f"tag of {uri}") for uri in uris}


def problem(line: int, reason: str = "there is no such file", user_id: str = "john", column: str = "audio") -> Problem:
    return Problem("/john.csv", line, ProblemKind.audio, column, "'x.wav'", reason, "mend it", user_id=user_id)


def make_plan(
    users: list[UserData], index: dict[str, IndexRow] | None = None, adapt: AdaptConfig | None = None, **more: Any
) -> Plan:
    arguments: dict[str, Any] = {
        "base_fingerprint": "b" * 64,
        "adapter": AdapterConfig(),
        "adapt": adapt or AdaptConfig(),
    } | more
    return plan_run(users, [], index or {}, infos_of(users), **arguments)


def index_of(plan: Plan) -> dict[str, IndexRow]:
    """The index after a run in which every user of the plan was adapted."""
    return {u.user_key: IndexRow(u.fingerprint, Status.adapted, "v", "run") for u in plan.users}


# Who is trained


def test_new_changed_unchanged_and_skipped() -> None:
    before = [user("a"), user("b"), user("c"), user("d", 3)]
    index = index_of(make_plan(before))
    after = [user("new"), before[0], user("b", 5), before[2], before[3]]
    plan = make_plan(after, index)
    assert [(u.user_id, u.change) for u in plan.users] == [
        ("new", Change.new),
        ("a", Change.unchanged),
        ("b", Change.changed),
        ("c", Change.unchanged),
        ("d", Change.skipped),
    ]
    assert sorted(number for cohort in plan.cohorts for number in cohort) == [0, 2]
    assert [plan.count(change) for change in Change] == [1, 1, 2, 1]


def test_nothing_is_trained_twice() -> None:
    users = [user("a"), user("b")]
    assert make_plan(users, index_of(make_plan(users))).cohorts == ()


def test_force_trains_the_unchanged() -> None:
    users = [user("a"), user("b", 2)]
    plan = make_plan(users, index_of(make_plan(users)), AdaptConfig(force=True))
    assert [u.change for u in plan.users] == [Change.changed, Change.skipped]


def test_a_failed_user_is_tried_again() -> None:
    plan = make_plan([user("a")], {"a": IndexRow("", Status.failed, "", "run")})
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
        users, [nobodys], {}, infos_of(users), base_fingerprint="b", adapter=AdapterConfig(), adapt=AdaptConfig()
    )
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


# Fingerprints


def fingerprint(utterances: list[Utterance], base: str = "base", settings: dict[str, Any] = SETTINGS) -> str:
    infos = {u.audio: ObjectInfo(u.audio, 1, f"tag{u.line}") for u in utterances if isinstance(u.audio, str)}
    return user_fingerprint(utterances, infos, base, settings)


def test_a_fingerprint_is_the_same_tomorrow() -> None:
    assert fingerprint([utterance(1), utterance(2)], settings={"a": 1}) == "b0d46607c161c1e6d0918bb0692dec38"


def test_neither_order_nor_place_matters() -> None:
    rows = [utterance(number) for number in range(4)]
    moved = [replace(row, audio=f"s3://bucket/{row.utterance_id}.wav", duration_s=None) for row in rows]
    assert fingerprint(rows[::-1]) == fingerprint(rows)
    assert fingerprint(moved) == fingerprint(rows)


def test_what_changes_a_fingerprint() -> None:
    rows = [utterance(1), utterance(2)]
    others = [
        fingerprint(rows[:1]),
        fingerprint([rows[0], replace(rows[1], transcript="other words")]),
        fingerprint([rows[0], replace(rows[1], line=3)]),  # another tag
        fingerprint(rows, base="another base"),
        fingerprint([replace(rows[0], audio=b"RIFF"), rows[1]]),
        fingerprint([replace(rows[0], audio=b"RIFX"), rows[1]]),
    ]
    assert len({fingerprint(rows), *others}) == 7


def test_rewritten_audio_changes_a_fingerprint(tmp_path: Path) -> None:
    uri = str(tmp_path / "u1.wav")
    rows = [utterance(1, audio=uri)]
    found: list[str] = []
    for data in (b"first", b"other", b"other"):
        if not found or data != storage.read_bytes(uri):
            storage.write_bytes(uri, data)
        found.append(user_fingerprint(rows, storage.stat_many([uri]), "base", SETTINGS))
    assert found[0] != found[1] == found[2]


OTHER_ADAPTER: dict[str, Any] = {
    "hidden_dims": [8],
    "activation": Activation.gelu,
    "dropout": 0.3,
    "after_layer": 1,
}
OTHER_ADAPT: dict[str, Any] = {
    "num_epochs": 3,
    "batch_size": 3,
    "learning_rate": 0.5,
    "weight_decay": 0.5,
    "max_grad_norm": 0.5,
    "patience_epochs": 3,
    "held_out_fraction": 0.5,
    "gate_metric": ErrorMetric.cer,
    "min_utterances": 3,
    "seed": 3,
}
OTHER_HOW: dict[str, Any] = {
    "encode_batch_s": 3.0,
    "max_cohort_users": 3,
    "max_cohort_s": 3.0,
    "gpus_per_trial": 0.5,
    "cpus_per_trial": 3.0,
    "max_concurrent_trials": 3,
    "max_failed_ratio": 0.5,
    "max_attempts": 2,
    "force": True,
}


def test_every_setting_is_known_here() -> None:
    assert {field.name for field in fields(AdapterConfig)} == set(OTHER_ADAPTER)
    assert {field.name for field in fields(AdaptConfig)} == set(OTHER_ADAPT) | set(OTHER_HOW)


@pytest.mark.parametrize("name", OTHER_ADAPTER)
def test_adapter_settings_matter(name: str) -> None:
    changed = AdapterConfig(**{name: OTHER_ADAPTER[name]})
    assert settings_that_matter(changed, AdaptConfig()) != SETTINGS


@pytest.mark.parametrize("name", OTHER_ADAPT)
def test_training_settings_matter(name: str) -> None:
    changed = AdaptConfig(**{name: OTHER_ADAPT[name]})
    assert settings_that_matter(AdapterConfig(), changed) != SETTINGS


@pytest.mark.parametrize("name", OTHER_HOW)
def test_settings_of_how_to_train_do_not_matter(name: str) -> None:
    changed = AdaptConfig(**{name: OTHER_HOW[name]})
    assert changed != AdaptConfig()
    assert settings_that_matter(AdapterConfig(), changed) == SETTINGS


# Cohorts


def test_cohorts_are_balanced() -> None:
    packed = pack_cohorts([1.0, 5.0, 2.0, 4.0, 3.0, 3.0], max_users=10, max_speech_s=100.0, min_cohorts=3)
    assert packed == [[1, 0], [3, 2], [4, 5]]


def test_cohorts_hold_so_many_users() -> None:
    assert pack_cohorts([1.0] * 5, max_users=2, max_speech_s=100.0, min_cohorts=1) == [[0, 3], [1, 4], [2]]


def test_a_user_with_much_speech_is_alone() -> None:
    assert pack_cohorts([1.0, 50.0, 1.0], max_users=9, max_speech_s=10.0, min_cohorts=1)[0] == [1]


def test_no_users_no_cohorts() -> None:
    assert pack_cohorts([], max_users=2, max_speech_s=1.0, min_cohorts=4) == []


SPEECH_S = st.lists(st.floats(0.0, 500.0), max_size=60)


@given(SPEECH_S, st.integers(1, 10), st.floats(0.1, 1000.0), st.integers(1, 8))
def test_every_user_is_in_one_cohort_and_no_cohort_too_big(
    speech_s: list[float], max_users: int, max_speech_s: float, min_cohorts: int
) -> None:
    packed = pack_cohorts(speech_s, max_users=max_users, max_speech_s=max_speech_s, min_cohorts=min_cohorts)
    assert sorted(user for cohort in packed for user in cohort) == list(range(len(speech_s)))
    assert all(1 <= len(cohort) <= max_users for cohort in packed)
    assert len(packed) >= min(min_cohorts, len(speech_s))
    loads = [math.fsum(speech_s[user] for user in cohort) for cohort in packed]
    assert loads == sorted(loads, reverse=True)
    for cohort, load_s in zip(packed, loads, strict=True):
        assert len(cohort) == 1 or load_s <= max_speech_s * (1 + 1e-9)
        assert [speech_s[user] for user in cohort] == sorted((speech_s[user] for user in cohort), reverse=True)


@given(SPEECH_S, st.integers(1, 8))
def test_without_limits_cohorts_differ_by_one_user_at_most(speech_s: list[float], min_cohorts: int) -> None:
    packed = pack_cohorts(speech_s, max_users=1000, max_speech_s=1e9, min_cohorts=min_cohorts)
    assert len(packed) == min(min_cohorts, len(speech_s))
    loads = [math.fsum(speech_s[user] for user in cohort) for cohort in packed]
    for cohort, load_s in zip(packed, loads, strict=True):
        assert load_s - speech_s[cohort[-1]] <= min(loads) + 1e-6


def test_users_without_speech_leave_no_cohort_empty() -> None:
    packed = pack_cohorts([0.0, 0.0, 0.0], max_users=1000, max_speech_s=1e9, min_cohorts=2)
    assert sorted(map(len, packed)) == [1, 2]


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
