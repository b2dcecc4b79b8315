from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ds2ray.fleet.attempts import Patience, name_user, named_user
from ds2ray.store import Store
from ds2ray.store.outcomes import Status


def work(users: int, killers: set[int], max_attempts: int) -> tuple[set[int], list[int], bool]:
    """A cohort as its trial works on it: users done, users found out, and whether it came to its end."""
    done: set[int] = set()
    found: list[int] = []
    patience, num_failures = Patience(max_attempts), 0
    if not killers:
        return set(range(users)), found, True
    named = None
    while True:
        num_failures += 1
        if num_failures > patience.max_failures:
            return done, found, False
        if named is not None:
            found.append(named)
            patience.finished(Status.failed, num_failures)
        for user in range(users):
            if user in done or user in found:
                continue
            named = user
            if user in killers:
                break
            done.add(user)
            patience.finished(Status.adapted, num_failures)
        else:
            return done, found, True


class TestPatience:
    @given(st.integers(1, 100).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), max_size=4))))
    def test_a_few_killers_are_found_and_cost_nobody_else(self, drawn: tuple[int, set[int]]) -> None:
        users, killers = drawn
        done, found, finished = work(users, killers, max_attempts=3)
        assert finished
        assert done == set(range(users)) - killers
        assert found == sorted(killers)

    def test_where_every_user_ends_its_worker_the_cohort_is_given_up_soon(self) -> None:
        assert work(64, set(range(64)), max_attempts=3) == (set(), [0, 1, 2, 3], False)
        assert work(64, set(range(64)), max_attempts=1) == (set(), [], False)

    def test_many_killers_are_found_as_long_as_others_are_done_between_them(self) -> None:
        killers = set(range(0, 40, 4))
        assert work(40, killers, max_attempts=3) == (set(range(40)) - killers, sorted(killers), True)

    def test_a_lost_node_takes_no_attempt(self) -> None:
        patience = Patience(2)
        patience.lost_node()
        assert patience.max_failures == 2

    def test_users_that_fail_while_no_worker_does_give_nothing_back(self) -> None:
        patience = Patience(2)
        patience.finished(Status.failed, 0)
        assert patience.max_failures == 1


class TestNamedUser:
    def test_it_is_that_of_the_attempt_before(self, tmp_path: Path) -> None:
        store = Store(str(tmp_path))
        assert named_user(store, "run", 3, 1) == ""
        name_user(store, "run", 3, 2, "ü1")
        assert named_user(store, "run", 3, 2) == "ü1"
        assert named_user(store, "run", 3, 1) == named_user(store, "run", 3, 3) == named_user(store, "run", 4, 2) == ""
        assert [path.name for path in (tmp_path / "runs" / "run" / "attempts").iterdir()] == ["000003.json"]

    def test_a_damaged_one_is_set_aside_and_names_nobody(self, tmp_path: Path) -> None:
        store = Store(str(tmp_path))
        name_user(store, "run", 3, 2, "u1")
        path = tmp_path / "runs" / "run" / "attempts" / "000003.json"
        path.write_text("[]")
        assert named_user(store, "run", 3, 2) == ""
        assert not path.exists()
        (aside,) = (tmp_path / "aside" / "runs" / "run" / "attempts").iterdir()
        assert aside.read_text() == "[]"
        name_user(store, "run", 3, 3, "u2")
        assert named_user(store, "run", 3, 3) == "u2"

    def test_another_cohort_s_names_nobody(self, tmp_path: Path) -> None:
        name_user(Store(str(tmp_path)), "run", 3, 2, "u1")
        folder = tmp_path / "runs" / "run" / "attempts"
        (folder / "000003.json").rename(folder / "000004.json")
        assert named_user(Store(str(tmp_path)), "run", 4, 2) == ""
        assert list(folder.iterdir()) == []

    def test_one_of_an_early_release_is_read(self, tmp_path: Path) -> None:
        store = Store(str(tmp_path))
        store.write_json(f"{tmp_path}/runs/run/attempts/000003.json", {"attempt": 2, "user_key": "u1"})
        assert named_user(store, "run", 3, 2) == "u1"
