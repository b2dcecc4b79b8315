"""The wheel in an environment of its own, away from the checkout: the command, its presets, and a plan made with it."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from fleet_runs import RandomBase

from ds2ray.commandline.jobs import JOBS
from ds2ray.commandline.presets import groups
from ds2ray.demo.corpus import DemoCorpus

ROOT = Path(__file__).resolve().parents[2]
BUILT_FROM = ("ds2ray", "conf", "pyproject.toml", "setup.py", "README.md")

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources with what the test environment holds."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in BUILT_FROM:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, f"--wheel-dir={folder}", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of the wheel, in a new environment that sees the dependencies of this one, but not its ds2ray."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # a folder that a .pth names is searched, but the .pth files in it, that of the editable ds2ray too, are not read
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [sys.executable, "-m", "pip", f"--python={folder / 'bin' / 'python'}", "install", "--quiet"]
    options = ["--no-deps", "--no-index", "--disable-pip-version-check"]
    done = subprocess.run([*command, *options, str(wheel)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "bin" / "ds2ray"


def run(command: Path, folder: Path, *argv: str) -> str:
    """The output of the command in a folder without any file of the checkout."""
    unset = {"PYTHONPATH", "DS2RAY_STORAGE_ROOT"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    done = subprocess.run(
        [str(command), *argv], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_nothing_is_taken_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    program = "import ds2ray.commandline.presets as p; print(p.__file__); print(p.CONF_DIR)"
    module, presets = run(installed.with_name("python"), tmp_path, "-c", program).splitlines()
    environment = installed.parents[1]
    assert Path(module).is_relative_to(environment)
    assert Path(presets).is_relative_to(environment)


def test_the_wheel_holds_every_preset_and_page_of_the_checkout(wheel: Path, tmp_path: Path) -> None:
    shutil.unpack_archive(wheel, tmp_path, "zip")
    ours = {path.relative_to(ROOT / "conf") for path in (ROOT / "conf").rglob("*.yaml")}
    assert {path.relative_to(tmp_path / "ds2ray/conf") for path in tmp_path.rglob("*.yaml")} == ours
    pages = {
        path.relative_to(ROOT) for kind in ("*.html", "*.css", "py.typed") for path in (ROOT / "ds2ray").rglob(kind)
    }
    assert len(pages) > 4
    assert [page for page in sorted(pages) if not (tmp_path / page).exists()] == []


def test_help(installed: Path, tmp_path: Path) -> None:
    page = run(installed, tmp_path, "--help")
    assert [line.split()[0].replace("-", "_") for line in page.splitlines() if line.startswith("  ")] == list(JOBS)
    page = run(installed, tmp_path, "adapt-users", "--help")
    assert "usage: ds2ray adapt-users [users.csv] [key=value …]" in page
    for group, options in groups("adapt_users").items():
        for option in options:
            assert f"  {group}={option} " in page
    assert list(tmp_path.iterdir()) == []


def test_a_plan(installed: Path, random_base: RandomBase, small_corpus: DemoCorpus, tmp_path: Path) -> None:
    argv = (small_corpus.users_csv, f"storage.root={random_base.root}", "adapter=last", "--dry-run")
    page = run(installed, tmp_path, "adapt-users", *argv)
    assert "8 new" in page
    assert list(tmp_path.iterdir()) == []
