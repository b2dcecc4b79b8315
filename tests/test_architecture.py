"""The import rules of the house, the length of files and what a job may cost to start, held on the syntax trees."""

import ast
from collections import Counter
from pathlib import Path

import pytest
from imported import ROOT, circles, imports, module_name, our_files

LAYERS = (
    {"ds2ray.config", "ds2ray.errors", "ds2ray.reference", "ds2ray.progress", "ds2ray.display", "ds2ray.naming"},
    {
        "ds2ray.uris",
        "ds2ray.storage",
        "ds2ray.text",
        "ds2ray.metrics",
        "ds2ray.chance",
        "ds2ray.following",
        "ds2ray.padding",
        "ds2ray.pages",
        "ds2ray.wording",
    },
    # packs among them: sound is read out of shards as well as out of files
    {"ds2ray.sound", "ds2ray.shapes", "ds2ray.tables", "ds2ray.corpora", "ds2ray.store", "ds2ray.packs"},
    {"ds2ray.decoding", "ds2ray.model", "ds2ray.batching", "ds2ray.demo", "ds2ray.upkeep"},
    {
        *("ds2ray.recognition", "ds2ray.training", "ds2ray.fleet", "ds2ray.evaluation", "ds2ray.nights"),
        *("ds2ray.compat", "ds2ray.outputs"),
    },
    {"ds2ray.cluster"},
    {"ds2ray.commands"},
    {"ds2ray.commandline", "ds2ray.kubernetes"},
    {"jobs"},
)
"""Lowest first: a module imports its own layer and those below."""
COMMANDS_LAYER = LAYERS.index({"ds2ray.commands"})

ONLY_IN = {
    "ray": ("ds2ray/cluster/",),
    "hydra": ("ds2ray/commandline/",),
    "omegaconf": ("ds2ray/commandline/",),
    "fsspec": ("ds2ray/storage/",),
    "s3fs": ("ds2ray/storage/",),
    "torchaudio": ("ds2ray/sound/", "ds2ray/decoding/", "ds2ray/model/conformer/"),
    "soundfile": ("ds2ray/sound/",),
    "av": ("ds2ray/sound/formats/ffmpeg.py",),
    "num2words": ("ds2ray/wording/library.py",),
    "mlflow": ("ds2ray/training/tracking/",),
    "wandb": ("ds2ray/training/tracking/",),
    "requests": ("ds2ray/kubernetes/api.py",),
}

NO_TORCH = (
    "ds2ray/__init__.py",
    "ds2ray/chance.py",
    "ds2ray/commandline/",
    "ds2ray/config/",
    "ds2ray/corpora/",
    "ds2ray/errors.py",
    "ds2ray/evaluation/",
    "ds2ray/fleet/",
    "ds2ray/following.py",
    "ds2ray/kubernetes/",
    "ds2ray/metrics.py",
    "ds2ray/nights/",
    "ds2ray/packs/",
    "ds2ray/progress.py",
    "ds2ray/reference.py",
    "ds2ray/shapes/",
    "ds2ray/storage/",
    "ds2ray/store/",
    "ds2ray/tables/",
    "ds2ray/text.py",
    "ds2ray/upkeep/",
    "ds2ray/uris.py",
    "ds2ray/wording/",
)
HEAVY = {"torch", "torchaudio", "ray", "pyarrow", "pandas", "matplotlib", "s3fs", "fsspec"}

MAX_LINES = 300
MAX_JOB_LINES = 20
MAX_FILES = 14
"""In one room."""
OF_MODEL_AND_STORAGE = {"ds2ray/model/files.py", "ds2ray/model/stored.py"}
HEARS = ("ds2ray/model/acoustic.py", "ds2ray.sound.features")
"""How sound becomes what a model reads is the architecture's own matter: all of sound that the model knows."""
STARTS_JOBS = ("jobs/", "ds2ray/commandline/")


def layer_of(module: str) -> int | None:
    """The index in LAYERS of a dotted module name, or None where it is not one of ours."""
    for index, layer in enumerate(LAYERS):
        if any(module == name or module.startswith(f"{name}.") for name in layer):
            return index
    return None


def violations(path: str, source: str) -> list[str]:
    """What a file of ds2ray/ or jobs/ breaks; `path` is relative to the root, with slashes."""
    found: list[str] = []
    module = module_name(path)
    own_layer = layer_of(module)
    if own_layer is None and module != "ds2ray":
        found.append(f"{path}: belongs to no layer")
    for item in imports(ast.parse(source)):
        where, top = f"{path}:{item.line}", item.module.partition(".")[0]
        if item.module.startswith("."):
            found.append(f"{where}: relative import")
        layer = layer_of(item.module)
        if top == "ds2ray" and layer is None:
            found.append(f"{where}: {item.module} is imported from the module that holds it")
        if layer is not None and own_layer is not None and layer > own_layer:
            found.append(f"{where}: imports {item.module} of a higher layer")
        if top in ONLY_IN and not path.startswith(ONLY_IN[top]):
            found.append(f"{where}: {top} belongs to {' and '.join(ONLY_IN[top])} only")
        if top == "torch" and path.startswith(NO_TORCH):
            found.append(f"{where}: no torch here")
        if (
            path.startswith("ds2ray/model/")
            and path not in OF_MODEL_AND_STORAGE
            and not (path == HEARS[0] and item.module.startswith(HEARS[1]))
            and item.module.startswith(("ds2ray.tables", "ds2ray.sound", "ds2ray.storage", "ds2ray.store"))
        ):
            found.append(f"{where}: the model knows neither data nor storage")
        if (
            path.startswith(STARTS_JOBS)
            and item.at_module_level
            and (top in HEAVY or (layer is not None and 0 < layer <= COMMANDS_LAYER))
        ):
            found.append(f"{where}: a job imports its work inside its function, so that --help answers at once")
    num_lines = len(source.splitlines())
    limit = MAX_JOB_LINES if path.startswith("jobs/") else MAX_LINES
    if num_lines > limit:
        found.append(f"{path}: {num_lines} lines, and {limit} are allowed")
    return found


def test_no_modules_import_each_other_round_about() -> None:
    assert circles({path: (ROOT / path).read_text(encoding="utf-8") for path in our_files()}) == []


@pytest.mark.parametrize("length", [2, 3, 5])
def test_a_planted_circle_is_found(length: int) -> None:
    names = [f"ds2ray.fleet.m{number}" for number in range(length)]
    sources = {
        f"ds2ray/fleet/m{number}.py": f"def f():\n    from {names[(number + 1) % length]} import x\n"
        for number in range(length)
    }
    beside = {"ds2ray/fleet/beside.py": f"import {names[0]}\n", "ds2ray/fleet/alone.py": "import ast\n"}
    assert circles({**sources, **beside}) == [names]


def test_a_module_that_imports_its_own_package_is_a_circle() -> None:
    sources = {
        "ds2ray/store/__init__.py": "from ds2ray.store.bases import read_base\n",
        "ds2ray/store/bases.py": "from ds2ray.store import read_adapter\n",
    }
    assert circles(sources) == [["ds2ray.store", "ds2ray.store.bases"]]


@pytest.mark.parametrize("path", [path for path in our_files() if path.startswith("ds2ray/cluster/")])
def test_the_room_of_ray_holds_only_what_touches_it(path: str) -> None:
    found = imports(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    assert path.endswith("__init__.py") or any(item.module.partition(".")[0] == "ray" for item in found)


def test_rooms_are_small() -> None:
    benchmarks = [path.relative_to(ROOT).as_posix() for path in (ROOT / "benchmarks").rglob("*.py")]
    rooms = Counter(Path(path).parent.as_posix() for path in [*our_files(), *benchmarks])
    assert {room: count for room, count in rooms.items() if count > MAX_FILES} == {}


@pytest.mark.parametrize("path", our_files())
def test_file_keeps_the_rules(path: str) -> None:
    assert violations(path, (ROOT / path).read_text(encoding="utf-8")) == []


def test_every_rule_file_exists() -> None:
    named = {path for paths in ONLY_IN.values() for path in paths} | set(NO_TORCH) | OF_MODEL_AND_STORAGE
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    ("path", "source", "message"),
    [
        ("ds2ray/fleet/plan.py", "import ray\n", "ray belongs to"),
        ("ds2ray/fleet/plan.py", "from ray.tune import Tuner\n", "ray belongs to"),
        ("ds2ray/fleet/plan.py", "def f():\n    import torch\n", "no torch here"),
        ("ds2ray/text.py", "from ds2ray import store\n", "higher layer"),
        ("ds2ray/tables/manifest.py", "from ds2ray.model.stored import open_base\n", "higher layer"),
        ("ds2ray/cluster/fleet.py", "from ds2ray.commands.adapt_users import run\n", "higher layer"),
        ("ds2ray/commands/train.py", "import ray\n", "ray belongs to"),
        ("ds2ray/store/index.py", "import torch\n", "no torch here"),
        ("ds2ray/tables/rows.py", "import soundfile\n", "soundfile belongs to"),
        ("ds2ray/sound/audio.py", "def f():\n    import av\n", "av belongs to"),
        ("ds2ray/training/base/loop.py", "import ds2ray.cluster.base_training\n", "higher layer"),
        ("ds2ray/tables/manifest.py", "import fsspec\n", "fsspec belongs to"),
        ("ds2ray/batching/batches.py", "def f():\n    from torchaudio import functional\n", "torchaudio belongs to"),
        ("ds2ray/cluster/base_training.py", "from omegaconf import DictConfig\n", "omegaconf belongs to"),
        ("ds2ray/model/deepspeech2/layers.py", "from ds2ray import storage\n", "neither data nor storage"),
        (
            "ds2ray/model/deepspeech2/layers.py",
            "from ds2ray.sound.features import LogMel\n",
            "neither data nor storage",
        ),
        ("ds2ray/model/acoustic.py", "from ds2ray.sound.audio import probe\n", "neither data nor storage"),
        ("ds2ray/model/deepspeech2/layers.py", "from . import adapter\n", "relative import"),
        ("ds2ray/training/adapters/fit.py", "from ds2ray import Transcriber\n", "module that holds it"),
        ("jobs/train.py", "import torch\n", "inside its function"),
        ("jobs/train.py", "from ds2ray.commands.train import run\n", "inside its function"),
        ("ds2ray/commandline/jobs.py", "from ds2ray.commands.train import run\n", "inside its function"),
        ("ds2ray/commandline/start.py", "def f():\n    import torch\n", "no torch here"),
        ("jobs/train.py", "import hydra\n", "hydra belongs to"),
        ("jobs/train.py", "x = 1\n" * 21, "21 lines"),
        ("ds2ray/text.py", "x = 1\n" * 311, "311 lines"),
        ("ds2ray/misc.py", "x = 1\n", "no layer"),
    ],
)
def test_a_planted_violation_is_found(path: str, source: str, message: str) -> None:
    found = violations(path, source)
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("jobs/train.py", "def main():\n    from ds2ray.commands.train import run\n    return run\n"),
        ("ds2ray/__init__.py", "if TYPE_CHECKING:\n    from ds2ray.model.deepspeech2 import DeepSpeech2\n"),
        ("ds2ray/model/files.py", "from ds2ray import storage\nimport torch\n"),
        ("ds2ray/cluster/fleet.py", "import ray\nfrom ds2ray.training.adapters import cohort\n"),
    ],
)
def test_what_is_allowed_passes(path: str, source: str) -> None:
    assert violations(path, source) == []
