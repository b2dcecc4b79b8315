"""The scripts of examples/, run one after another in a folder that has the files they name."""

import os
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
from documented import make_defaults_small, write_documented
from fleet_runs import RandomBase
from pages import ROOT

from ds2ray.demo.corpus import DemoCorpus
from ds2ray.store import Store, list_bases

IN_ORDER = (
    *("train_base", "adapt_one", "adapt_many", "recognise", "language_model", "own_words"),
    *("evaluate", "read_store"),
)
"""Each reads what those before it have written."""


@pytest.fixture
def ran(
    tmp_path: Path,
    small_corpus: DemoCorpus,
    random_base: RandomBase,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[[str], list[str]]:
    """Runs an example, and gives the lines that it printed."""
    write_documented(tmp_path, small_corpus, random_base)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    make_defaults_small(monkeypatch)

    def run(name: str) -> list[str]:
        runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run


def test_the_examples_one_after_another(ran: Callable[[str], list[str]], ray_cluster: str, tmp_path: Path) -> None:
    assert sorted(IN_ORDER) == sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
    printed = {name: ran(name) for name in IN_ORDER}
    assert (tmp_path / "outputs" / "model.pt").exists()
    assert (tmp_path / "adapters" / "john_adapter.pt").exists()
    statuses = dict(line.split()[:2] for line in printed["adapt_many"][-2:])
    assert set(statuses) == {"john", "mary"}
    assert set(statuses.values()) <= {"adapted", "kept_previous"}
    assert "(adapter " in printed["recognise"][0]
    assert [line.partition(":")[0] for line in printed["recognise"][-4:]] == ["john", "john", "mary", "mary"]
    errors = [line.partition(" WER ")[0] for line in printed["language_model"] if " WER " in line]
    assert errors == ["greedy:", "lm:"]
    alternatives = [line for line in printed["language_model"] if line.startswith("  ") and "%  " in line]
    assert 1 <= len(alternatives) <= 3
    assert printed["own_words"][0].startswith("john: 2 own words, version ")
    assert printed["own_words"][1].startswith("beam: ")
    assert "greedy decoding follows no words" in printed["own_words"][2]
    assert printed["own_words"][3] == "2 objects deleted"
    assert (tmp_path / "evaluation" / "evaluation.html").exists()
    assert [line.split()[0] for line in printed["evaluate"][-2:]] == ["john", "mary"]
    store = Store(str(tmp_path / "store"))
    assert printed["read_store"][0].startswith(f"bases: {', '.join(list_bases(store))}; the newest is ")
    assert [line.partition(":")[0] for line in printed["read_store"][1:]] == ["john", "mary"]
