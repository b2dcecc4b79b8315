from dataclasses import replace
from pathlib import Path

import pytest
from plans import index_of, make_plan, user

from ds2ray.config import AdaptConfig, AdapterConfig, Retry
from ds2ray.errors import ConfigError, InputError
from ds2ray.fleet.choosing.limit import changed_ratio, require_few_changed
from ds2ray.fleet.choosing.users import chosen_users, named_users
from ds2ray.fleet.fingerprints import settings_that_matter
from ds2ray.store import Store
from ds2ray.store.outcomes import Outcome, Status, write_part
from ds2ray.tables.users import Fleet
from ds2ray.tables.users_table import no_users

LISTED = ["ann", "anna", "bob", "a*", "@home"]


@pytest.mark.parametrize(
    ("only", "found"),
    [("ann", {"ann"}), ("an*", {"ann", "anna"}), ("?ob", {"bob"}), ("a*", {"a*"}), ("[ab]?[nb]", {"ann", "bob"})],
)
def test_an_id_or_a_pattern(only: str, found: set[str]) -> None:
    assert named_users(only, LISTED) == (found, [])
    assert named_users("@home", LISTED) == ({"@home"}, [])


def test_a_list(tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("bob\nzoe\nann\n")
    assert named_users(f"@{tmp_path}/some.txt", LISTED) == ({"ann", "bob"}, ["zoe"])
    (tmp_path / "some.csv").write_text("user_id,why\nanna,x\n")
    assert named_users(f"@{tmp_path}/some.csv", LISTED) == ({"anna"}, [])


def test_nobody_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"adapt.only=anne: the table has no such user \(did you mean ann"):
        named_users("anne", LISTED)
    with pytest.raises(InputError, match="no such user"):
        named_users("x*", LISTED)
    with pytest.raises(InputError, match="there is no such file"):
        named_users(f"@{tmp_path}/none.txt", LISTED)


def fleet() -> Fleet:
    return Fleet([user("ann"), user("bob"), user("eve")], no_users("users.csv"), [])


def test_who_failed_in_the_last_run_is_tried_again(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    retry = AdaptConfig(retry=Retry.failed)
    with pytest.raises(InputError, match="has no run"):
        chosen_users(fleet(), retry, store)
    statuses = {"ann": Status.failed, "bob": Status.kept_previous, "eve": Status.adapted}
    write_part(store, "night", "settled", [Outcome(user_key=key, status=status) for key, status in statuses.items()])
    of_failed, adapt, notes = chosen_users(fleet(), retry, store)
    assert [manifest.user_id for manifest in of_failed.users] == ["ann"]
    assert adapt.force
    assert notes == ["adapt.retry=failed: 1 users, by run night"]
    of_kept, _, _ = chosen_users(fleet(), replace(retry, retry=Retry.kept, only="b*"), store)
    assert [manifest.user_id for manifest in of_kept.users] == ["bob"]
    everybody, adapt, notes = chosen_users(fleet(), AdaptConfig(), store)
    assert (len(everybody.users), adapt.force, notes) == (3, False, [])


def test_who_is_chosen_changes_no_adapter() -> None:
    chosen = AdaptConfig(only="ann", retry=Retry.kept, max_changed_ratio=0.5)
    assert settings_that_matter(AdapterConfig(), chosen) == settings_that_matter(AdapterConfig(), AdaptConfig())


def test_a_night_that_would_change_too_many_stops() -> None:
    before = [user("a"), user("b"), user("c"), user("d")]
    plan = make_plan([user("a", 9), user("b", 9), *before[2:], user("new")], index_of(make_plan(before)))
    assert changed_ratio(plan) == 0.5
    asked: list[str] = []

    def answer(yes: bool, question: str) -> bool:
        asked.append(question)
        return yes

    require_few_changed(plan, AdaptConfig(max_changed_ratio=0.5), lambda question: answer(False, question))
    require_few_changed(plan, AdaptConfig(max_changed_ratio=0.4), lambda question: answer(True, question))
    assert len(asked) == 1
    with pytest.raises(ConfigError, match=r"2 known users, 50 %, would be trained again, .* adapt.max_changed_ratio=1"):
        require_few_changed(plan, AdaptConfig(max_changed_ratio=0.4), lambda question: answer(False, question))
    require_few_changed(plan, AdaptConfig(max_changed_ratio=0.0, only="a"), lambda question: answer(False, question))
    require_few_changed(make_plan(before), AdaptConfig(max_changed_ratio=0.0), lambda question: answer(False, question))
