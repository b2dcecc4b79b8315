"""jobs/words.py: set, show, roll back and erase a user's own words; and those of a users table."""

import shutil
from pathlib import Path

import pytest
from fleet_runs import run_job_here

from ds2ray.commands.words import publish_table_words
from ds2ray.config import DataConfig
from ds2ray.store import Store, located_base, publish_words, read_words, read_words_record

STORED = Path(__file__).resolve().parents[1] / "fixtures" / "stored"


@pytest.fixture
def root(tmp_path: Path) -> str:
    shutil.copytree(STORED / "store", tmp_path / "store")
    return f"storage.root={tmp_path / 'store'}"


def words(tmp_path: Path, key: str) -> list[str]:
    store = Store(str(tmp_path / "store"))
    record = read_words_record(store, key)
    return [word.text for word in read_words(store, record)] if record else ["none"]


def test_words_are_set_shown_taken_back_and_erased(root: str, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("bad dad\t2\ncafé\n")
    done = run_job_here("words", str(tmp_path / "words.txt"), "user=kim", root)
    assert (done.code, words(tmp_path, "kim")) == (0, ["bad dad", "café"])
    first = done.out.split("version ")[1].split(";")[0]
    assert "user kim: 1 own words are never heard, as the base cannot write them: 'café'" in done.out
    assert run_job_here("words", "words=[abba]", "user=kim", root).code == 0
    shown = run_job_here("words", "user=kim", root).out
    assert "user kim: 1 own words" in shown
    assert "abba\t1" in shown
    assert f"earlier: version {first}, 2 words" in shown
    assert run_job_here("words", "user=kim", f"version={first}", root).code == 0
    assert words(tmp_path, "kim") == ["bad dad", "café"]
    assert "3 objects" in run_job_here("words", "user=kim", "erase=true", root).out
    assert words(tmp_path, "kim") == ["none"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "user is missing"),
        (["user=kim", "words=[a]", "erase=true"], "give either words"),
        (["user=kim", "none.txt"], "there is no such file"),
        (["user=kim", "words=['a:x']"], "is no number"),
    ],
)
def test_what_is_wrong_is_told(root: str, arguments: list[str], message: str) -> None:
    done = run_job_here("words", *arguments, root)
    assert done.code == 2
    assert message in done.err


def test_a_table_publishes_what_has_changed_in_it(
    root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(str(tmp_path / "store"))
    _, record = located_base(store, "")
    table = tmp_path / "users.csv"

    def publish(rows: str, dry_run: bool = False) -> str:
        table.write_text(f"user_id,manifest,words\n{rows}")
        publish_table_words(str(table), DataConfig(), store, record, dry_run)
        return capsys.readouterr().out

    assert "own words of 2 users would be published" in publish("a,a.csv,ab\nb,b.csv,ba;é\n", dry_run=True)
    assert words(tmp_path, "a") == ["none"]
    told = publish("a,a.csv,ab\nb,b.csv,ba;é\nc,c.csv,x:y\n")
    assert "own words of 2 users published" in told
    assert "user b: 1 own words are never heard, as the base cannot write them: 'é'" in told
    assert "user=c" in told
    assert publish("a,a.csv,ab\nb,b.csv,ba;é\n") == ""
    publish_words(store, "a", [])  # set by hand: the table does not undo it until it changes
    assert publish("a,a.csv,ab\nb,b.csv,\n") == ""
    assert (words(tmp_path, "a"), words(tmp_path, "b")) == ([], ["ba", "é"])
    assert "own words of 2 users published" in publish("a,a.csv,ab;ba\nb,b.csv,-\n")
    assert (words(tmp_path, "a"), words(tmp_path, "b")) == (["ab", "ba"], [])
