"""Outcomes of a run: of users who were trained, whom no trial reached, and who were skipped."""

import pytest

from ds2ray.fleet import settling
from ds2ray.fleet.plan import Change, Plan, UserPlan
from ds2ray.fleet.settling import CohortStarts, settle, unsettled
from ds2ray.store.outcomes import Outcome, Status
from ds2ray.store.recovery.marks import PlannedUser
from ds2ray.tables.users_table import no_users


def user(key: str, change: Change = Change.new, num_utterances: int = 10, **changes: object) -> UserPlan:
    known: dict[str, object] = {
        "user_id": key,
        "user_key": key,
        "utterances": (),
        "num_utterances": num_utterances,
        "speech_s": 1.0,
        "num_dropped": 0,
        "reasons": {},
        "fingerprint": f"speech of {key}",
        "change": change,
    }
    return UserPlan(**{**known, **changes})  # type: ignore[arg-type]


def plan(*users: UserPlan, cohorts: tuple[tuple[int, ...], ...] = ()) -> Plan:
    return Plan(users=users, unchanged=no_users("users.csv").rows, cohorts=cohorts, problems=())


def adapted(key: str) -> Outcome:
    return Outcome(user_key=key, status=Status.adapted, version="1234", fingerprint=f"speech of {key}")


def settled(made: Plan, *trained: Outcome, finished: bool = True, **starts: CohortStarts) -> dict[str, Outcome]:
    by_number = {int(name.removeprefix("cohort_")): start for name, start in starts.items()}
    rows = settle(made, trained, by_number, finished=finished, min_utterances=4)
    assert len({row.user_key for row in rows}) == len(rows)
    return {row.user_key: row for row in rows}


def test_users_are_settled_in_the_order_of_the_plan() -> None:
    made = plan(user("ann"), user("bob"), cohorts=((1, 0),))
    rows = settle(made, [adapted("bob"), adapted("ann")], {}, finished=True, min_utterances=4)
    assert rows == [adapted("ann"), adapted("bob")]


def test_attempts_are_those_of_the_users_cohort() -> None:
    made = plan(user("ann"), user("bob"), cohorts=((0,), (1,)))
    rows = settled(made, adapted("ann"), adapted("bob"), cohort_1=CohortStarts(attempts=3))
    assert (rows["ann"].attempts, rows["bob"].attempts) == (1, 3)


def test_a_user_with_little_speech_is_skipped_and_told_why() -> None:
    few = user("ann", Change.skipped, 2, num_dropped=3, reasons={"audio is empty": 2, "text is missing": 1})
    row = settled(plan(few, user("bob", Change.skipped, 0)))["ann"]
    assert (row.status, row.attempts, row.utterances_dropped) == (Status.skipped_no_data, 0, 3)
    assert row.reason == "2 usable utterances, at least 4 are needed (2 × audio is empty; 1 × text is missing)"
    assert row.fingerprint == "speech of ann"


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (
            CohortStarts(1),
            "its cohort was started once, in vain: its worker died, perhaps for lack of memory "
            "(adapt.max_concurrent_trials=1 needs the least); see Ray's logs",
        ),
        (CohortStarts(3, "no memory"), "its cohort was started 3 times, in vain: no memory; see Ray's logs"),
    ],
)
def test_a_user_without_an_outcome_has_failed_when_the_run_is_finished(start: CohortStarts, said: str) -> None:
    made = plan(user("ann", num_dropped=1), user("bob"), cohorts=((0, 1),))
    rows = settled(made, adapted("bob"), cohort_0=start)
    assert rows["bob"].status is Status.adapted
    assert (rows["ann"].status, rows["ann"].reason, rows["ann"].attempts) == (Status.failed, said, start.attempts)
    assert rows["ann"].utterances_dropped == 1


def test_a_run_that_was_stopped_says_nothing_of_users_it_did_not_come_to() -> None:
    made = plan(user("ann"), user("bob"), user("cem", Change.skipped, 1), cohorts=((0, 1),))
    rows = settled(made, adapted("bob"), finished=False)
    assert {key: row.status for key, row in rows.items()} == {"bob": Status.adapted, "cem": Status.skipped_no_data}


@pytest.mark.parametrize(
    ("num_usable", "num_dropped", "reasons", "unusable"),
    [
        (0, 5, {"audio cannot be decoded as audio": 5}, True),
        (3, 1, {"audio is empty": 1}, True),
        (2, 1, {"audio is empty": 1}, False),  # there would be too few of them anyway
        (0, 1, {"manifest there is no such file": 1}, True),
        (0, 0, {}, False),
    ],
)
def test_too_little_speech_is_told_from_speech_that_cannot_be_used(
    num_usable: int, num_dropped: int, reasons: dict[str, int], unusable: bool
) -> None:
    few = user("ann", Change.skipped, num_usable, num_dropped=num_dropped, reasons=reasons)
    assert settled(plan(few))["ann"].unusable == unusable


def test_pointers_are_read_of_users_without_an_outcome_whom_a_trial_had() -> None:
    made = plan(*map(user, ("ann", "bob", "cat", "dan")), user("eve", Change.skipped), cohorts=((2, 1), (0, 3)))
    left = unsettled(made, [adapted("bob")], finished=True)
    assert list(left) == ["cat", "ann", "dan"]
    assert left["cat"] == PlannedUser(num_utterances=10)


def test_a_run_that_was_stopped_reads_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "MAX_LOOKED_AT", 2)
    made = plan(*map(user, ("ann", "bob", "cat", "dan")), cohorts=((2, 1), (0, 3)))
    assert list(unsettled(made, [adapted("bob")], finished=False)) == ["cat", "ann"]
