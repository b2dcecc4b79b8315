import pytest

from ds2ray.errors import CommonCauseError, DeviceLostError, StorageError
from ds2ray.fleet.common_cause import FirstUsers, causes
from ds2ray.store.outcomes import Outcome, Status

DISK_FULL = "OSError: [Errno 28] No space left on device: '/tmp/{user}/a.wav'"


def failed(*users: str) -> list[Outcome]:
    return [
        Outcome(user_key=user, status=Status.failed, reason=DISK_FULL.format(user=user), utterances_used=5)
        for user in users
    ]


def test_what_is_the_users_own_is_no_part_of_a_cause() -> None:
    rows = [*failed("ann", "bob", "cem-7"), Outcome(user_key="dua", status=Status.adapted, utterances_used=5)]
    rows.append(Outcome(user_key="eve", status=Status.failed, reason="its manifest cannot be read"))
    assert causes(rows) == {"OSError: [Errno …] No space left on device: …": 3}


def test_the_first_users_end_the_run_by_their_common_cause() -> None:
    first = FirstUsers(3, [2, 2])
    first.finished(0, {"failed": 2, "skipped_no_data": 1}, causes(failed("ann", "bob")))
    first.require_another_outcome()
    first.finished(1, {"failed": 1}, causes(failed("cem")))
    with pytest.raises(CommonCauseError, match=r"the first 3 users all failed for one cause.*No space left") as caught:
        first.require_another_outcome()
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "other",
    [({"adapted": 1}, {}), ({"kept_previous": 1}, {}), ({"failed": 1}, {"another cause": 1})],
    ids=["one who is adapted", "one who keeps what they had", "one who failed for another cause"],
)
@pytest.mark.parametrize("when", [0, 1])
def test_another_outcome_among_them_lets_it_go_on(other: tuple[dict[str, int], dict[str, int]], when: int) -> None:
    alike, first = FirstUsers(3, [100]), FirstUsers(3, [100])
    for number in range(50):
        alike.finished(0, {"failed": 1}, {"a cause": 1})
        first.finished(0, *(other if number == when else ({"failed": 1}, {"a cause": 1})))
        first.require_another_outcome()
    with pytest.raises(CommonCauseError, match="the first 50 users"):
        alike.require_another_outcome()


@pytest.mark.parametrize("error", [StorageError("s3://a: access denied"), DeviceLostError("CUDA error"), None])
def test_a_cohort_that_is_given_up_counts_with_all_its_users(error: StorageError | DeviceLostError | None) -> None:
    first = FirstUsers(4, [3, 3])
    first.given_up(0, "it cannot start: no such base", error)
    first.require_another_outcome()
    first.given_up(1, "it cannot start: no such base", error)
    with pytest.raises(type(error or CommonCauseError()), match=f"{error or 'no such base'}; mend it"):
        first.require_another_outcome()


def test_it_can_be_turned_off() -> None:
    first = FirstUsers(0, [100])
    first.finished(0, {"failed": 100}, {"a cause": 100})
    first.require_another_outcome()
    assert first.num_wanted == 0


def test_users_whose_own_data_is_bad_end_nothing() -> None:
    first = FirstUsers(3, [100])
    rows = [Outcome(user_key=str(n), status=Status.failed, reason="its manifest cannot be read") for n in range(50)]
    first.finished(0, {"failed": 50}, causes(rows))
    first.require_another_outcome()
    assert causes(rows) == {}
