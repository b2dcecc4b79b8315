"""Every command, snippet and table of README.md and docs/ runs; settings, links, targets and rooms in them exist."""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from documented import (
    PLACEHOLDER,
    run_block,
    run_command,
    run_script,
    write_bucket,
    write_documented,
)
from fleet_runs import RandomBase
from pages import PAGES, ROOT, Block, anchors, blocks, commands, inline_code, inline_settings, links, make_targets
from runbook import is_of_runbook
from s3_server import S3Server

from ds2ray.commands.demo import SILENCE_S
from ds2ray.config import (
    AdaptJob,
    CalibrateJob,
    DemoJob,
    EvaluateJob,
    LanguageModelJob,
    PrepareJob,
    ReportJob,
    StoreJob,
    SubmitJob,
    SweepJob,
    TrainJob,
    TranscribeJob,
    WordsJob,
)
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.demo.gains import Comparison, DemoRow, gains_table, result_line
from ds2ray.metrics import Score
from ds2ray.reference import sections, settings

SCHEMAS = {
    "adapt_users": AdaptJob,  # first, as only here adapter.* is of use without more
    "train": TrainJob,
    "sweep_adapters": SweepJob,
    "prepare": PrepareJob,
    "transcribe": TranscribeJob,
    "evaluate": EvaluateJob,
    "language_model": LanguageModelJob,
    "words": WordsJob,
    "store": StoreJob,
    "report": ReportJob,
    "calibrate": CalibrateJob,
    "submit": SubmitJob,
    "demo": DemoJob,
}
ADAPTING_IN_FULL = re.compile(r"^(?!.*(s3://|--dry-run)).*(adapt_users|sweep_adapters)", re.MULTILINE)


def shown(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def run_text(page: Path) -> str:
    """All that is run of a page here."""
    return "".join(b.text for b in blocks(page) if b.language in ("bash", "python") and not is_of_runbook(b))


ON_S3 = [page for page in PAGES if "s3://" in run_text(page)]
ON_RAY = [page for page in PAGES if ADAPTING_IN_FULL.search(run_text(page))]
ALONE = [page for page in PAGES if page not in ON_S3 and page not in ON_RAY]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """No settings from the machine's own environment, and none left behind in it."""
    before, level = dict(os.environ), logging.getLogger("ds2ray").level
    for name in ("DS2RAY_STORAGE_ROOT", "DS2RAY_USER_KEY_SALT", "RAY_ADDRESS", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    yield monkeypatch
    logging.getLogger("ds2ray").setLevel(level)
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def place(tmp_path: Path, small_corpus: DemoCorpus, random_base: RandomBase, environment: pytest.MonkeyPatch) -> Path:
    """The working directory, with everything that the pages name."""
    write_documented(tmp_path, small_corpus, random_base)
    environment.chdir(tmp_path)
    return tmp_path


def check_page_runs(page: Path, place: Path, patch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    found = blocks(page)
    for block in found:
        if not is_of_runbook(block):
            run_block(block, place, names, patch)
    assert 2 * len(found) == page.read_text(encoding="utf-8").count("```"), "a block that nobody has found"


@pytest.mark.parametrize("page", ALONE, ids=shown)
def test_everything_in_a_page_runs(page: Path, place: Path, environment: pytest.MonkeyPatch) -> None:
    check_page_runs(page, place, environment)


@pytest.mark.parametrize("page", ON_RAY, ids=shown)
def test_everything_in_a_page_runs_on_ray(
    page: Path, place: Path, environment: pytest.MonkeyPatch, ray_cluster: str
) -> None:
    check_page_runs(page, place, environment)


@pytest.mark.parametrize("page", ON_S3, ids=shown)
def test_everything_in_a_page_runs_on_s3(
    page: Path,
    place: Path,
    environment: pytest.MonkeyPatch,
    s3_root: str,
    s3_server: S3Server,
    small_corpus: DemoCorpus,
    random_base: RandomBase,
) -> None:
    write_bucket(s3_server, small_corpus, random_base)
    check_page_runs(page, place, environment)


def test_no_page_needs_ray_and_s3_together() -> None:
    assert not set(ON_RAY) & set(ON_S3)


@pytest.mark.parametrize(
    "command", ["rm -rf store", "kubectl apply -k k8s", "python train.py", "export PATH=…", "make coffee"]
)
def test_a_command_that_no_rule_knows_is_refused(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (words,) = commands(command)
    with pytest.raises(AssertionError):
        run_command(words, monkeypatch)


@pytest.mark.parametrize("language", ["sh", "console", "yaml"])
def test_a_block_that_no_rule_knows_is_refused(language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="nobody knows"):
        run_block(Block(PAGES[0], 1, language, "make demo\n"), tmp_path, {}, monkeypatch)


def test_a_command_that_fails_is_noticed(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="exit code 2"):
        run_script("jobs/train.py", ["train.manifets=train.csv"], environment)


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_settings_in_the_text_are_accepted(
    page: Path, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for overrides in inline_settings(page):
        keys = {override.partition("=")[0] for override in overrides}
        jobs = [job for job in SCHEMAS if keys <= _keys(job)]
        assert jobs, f"{page.name}: no job has all of {sorted(keys)}"
        given = [override for override in overrides if PLACEHOLDER not in override and "|" not in override]
        run_script(f"jobs/{jobs[0]}.py", [*given, "--cfg"], environment)
        presets = [override for override in overrides if "|" in override]
        for preset in presets:
            group, _, options = preset.partition("=")
            for option in options.split("|"):
                run_script(f"jobs/{jobs[0]}.py", [f"{group}={option}", "--cfg"], environment)
    capsys.readouterr()


def _keys(job: str) -> set[str]:
    """What may stand before the `=` of an override: settings, and sections that have presets."""
    schema = SCHEMAS[job]
    return {*settings(schema), *(section.name for section in sections(schema))}


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not heading or heading in anchors(target), f"{page.name}: {link}"


def test_every_page_is_linked_to_from_the_readme() -> None:
    linked = {(ROOT / link).resolve() for link in links(PAGES[0])}
    assert [page.name for page in PAGES[1:] if page not in linked] == []


def test_targets_of_make_exist() -> None:
    targets = make_targets()
    named = {code.split()[1] for page in PAGES for code in inline_code(page) if code.startswith("make ")}
    assert named <= targets
    benchmarks = {target for target in targets if target.startswith("bench-")}
    assert {name for name in named if name.startswith("bench-")} == benchmarks


def test_the_tree_has_a_line_for_every_room() -> None:
    (tree,) = (block.text for block in blocks(ROOT / "docs" / "tree.md"))
    listed = set(re.findall(r"^  (\S+?)/?  ", tree, re.MULTILINE))
    package = ROOT / "ds2ray"
    files = {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    rooms = {path.parent.relative_to(package).as_posix() for path in package.rglob("__init__.py")} - {"."}
    outer = {room for room in rooms if any(other.startswith(f"{room}/") and other in listed for other in rooms)}
    inner = {room for room in rooms if room.rpartition("/")[0] in listed}
    assert files <= listed
    assert rooms - outer - inner <= listed
    assert [name for name in listed if not (package / name).exists()] == []


def test_the_readme_shows_what_the_demo_prints() -> None:
    shown_there = next(block.text for block in blocks(PAGES[0]) if "WER" in block.text)
    nothing = Comparison((Score(),), (Score(),))
    row = DemoRow("winston", 90.0, nothing, nothing, nothing, 7.3)
    table = gains_table([row], SILENCE_S)
    assert str(table.title) in shown_there
    headings = re.findall(r"[┃] ([^┃]+?) +(?=┃)", shown_there.splitlines()[2])
    assert [heading.strip() for heading in headings] == [column.header for column in table.columns]
    printed = re.sub(r"[\d.]+", "0", shown_there.splitlines()[-1])
    assert printed == re.sub(r"[\d.]+", "0", result_line([row], 165.0))
