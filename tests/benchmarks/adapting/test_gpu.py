import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
import torch

from benchmarks import synthetic
from benchmarks.adapting import gpu
from benchmarks.adapting.gpu import Bench
from benchmarks.adapting.gpu_limits import Limits, busy_us, trunk_flops
from benchmarks.adapting.ways import Task
from benchmarks.speech import Speaker, random_base
from benchmarks.synthetic import VOCABULARY, synthetic_users
from ds2ray.config import LAST_LAYER, AdaptConfig, AdapterConfig, Precision
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.model.deepspeech2.layers import RecurrentLayer
from ds2ray.model.weights import Base
from ds2ray.sound.audio import read_waveform

ROOT = Path(__file__).resolve().parents[3]
WITHOUT = """
import importlib.abc, runpy, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refuse())
import torch
torch.set_num_threads(1)
from benchmarks import synthetic
synthetic.LONGEST_S = 4.0
sys.argv = sys.argv[1:]
runpy.run_module("benchmarks.adapting.gpu", run_name="__main__")
"""
NEEDED = ("torch", "torchaudio", "safetensors", "pyarrow", "fsspec", "soundfile", "numpy")
OWN = {"benchmarks", "ds2ray"}


def with_what_they_need(names: Iterable[str]) -> set[str]:
    """These distributions and all that pip installs with them."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        with contextlib.suppress(metadata.PackageNotFoundError):
            if name not in found:
                wanted = [line for line in metadata.requires(name) or [] if "extra ==" not in line]
                waiting += [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in wanted]
            found.add(name)
    return found


def refused_modules() -> list[str]:
    """Top-level modules that are installed here, but not where there is no more than what is needed."""
    there = with_what_they_need(NEEDED)
    distributions = metadata.packages_distributions()
    return [
        module
        for module, names in distributions.items()
        if module not in OWN and not there & {name.lower().replace("_", "-") for name in names}
    ]


@pytest.mark.process
def test_it_runs_with_torch_and_little_else() -> None:
    refused = refused_modules()
    assert {"ray", "hydra", "omegaconf", "jiwer", "rich", "matplotlib", "s3fs", "pytest"} <= set(refused)
    sizes = ["--models", "tiny", "--users", "1,2", "--minutes", "0.2", "--epochs", "2", "--voices", "2"]
    sizes += ["--after-layer", "-1,0"]
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT, ",".join(refused), *sizes],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    line = json.loads(run.stdout)
    for place, result in zip((-1, 0), line["results"], strict=True):
        name = f"tiny after_layer={place}"
        assert result["model"] == name
        assert [row["users"] for row in result["cohorts"]] == [1, 2]
        for row in result["cohorts"]:
            assert all(row[f"{stage}_ms_per_user"] >= 0 for stage in ("read", "mel", "encode", "train", "gate"))
            assert row["encode_share_of_matmul_peak"] > 0
            assert row["mel_share_of_copy_peak"] > 0
            assert row["encode_batch_s"] == 60
            assert 0 < row["padding_share"] < 0.5
        assert line["users_per_hour"][name] == max(row["users_per_hour"] for row in result["cohorts"])
        expected = result["users_per_hour"] / result["users_per_hour_alone"]
        assert line["speedup"][name] == pytest.approx(expected, rel=2e-3)


def test_the_short_form_has_no_baseline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "SHORT", {**gpu.SHORT, "models": "tiny", "users": "2"})
    monkeypatch.setattr(synthetic, "LONGEST_S", 4.0)
    gpu.main(["--short", "--minutes", "0.2", "--epochs", "1", "--voices", "2", "--after-layer", "-1"])
    line = json.loads(capsys.readouterr().out)
    (result,) = line["results"]
    assert result["users_per_hour"] > 0
    assert (result["users_per_hour_alone"], result["speedup"], line["speedup"]) == (
        None,
        None,
        {"tiny after_layer=-1": None},
    )


@pytest.mark.parametrize(("place", "halves"), [(-1, [True, True]), (1, [True, False]), (0, [False, False])])
def test_the_plain_loop_is_warmed_up_and_as_precise_as_cohorts(
    monkeypatch: pytest.MonkeyPatch, place: int, halves: list[bool]
) -> None:
    base = random_base("tiny", VOCABULARY)
    adapt = AdaptConfig(precision=Precision.bfloat16, num_epochs=3)
    voices = synthetic_users(2, 0.3, "wav")
    bench = Bench("tiny", base, voices, Task("", AdapterConfig(after_layer=place), adapt), "cpu", Limits(1.0, 1.0))
    trained: list[tuple[str, int]] = []

    def train_one(plain: Base, user: Speaker, task: Task, device: str) -> None:
        half = torch.bfloat16
        assert isinstance(plain.model, DeepSpeech2)
        layers = [layer for layer in plain.model.rnn_layers if isinstance(layer, RecurrentLayer)]
        assert [next(layer.forward_rnn.parameters()).dtype == half for layer in layers] == halves
        assert plain.model.conv.convs[0].weight.dtype == half
        trained.append((user.user_id, task.adapt.num_epochs))

    monkeypatch.setattr(gpu, "train_one", train_one)
    bench.alone(2)
    assert trained == [("user-0", 1), ("user-0", 3), ("user-1", 3)]
    assert next(base.model.parameters()).dtype == torch.float32


@pytest.mark.parametrize("file_format", ["flac", "wav"])
def test_synthetic_speech_is_as_long_as_asked_for(file_format: str) -> None:
    first, second = synthetic_users(2, 0.3, file_format)
    assert 17.9 < sum(u.duration_s or 0.0 for u in first.adapt) < 19.1
    assert first.adapt[0].audio != second.adapt[0].audio
    for utterance in first.adapt:
        assert len(read_waveform(utterance.audio, 16000)) == round((utterance.duration_s or 0.0) * 16000)


def test_work_of_a_trunk_is_counted() -> None:
    base = random_base("tiny", VOCABULARY)
    whole, convolutions = trunk_flops(base, LAST_LAYER, 60.0), trunk_flops(base, 0, 60.0)
    # 50 frames a second, two directions, three gates over 160 inputs (or 320, or 16 channels of 10) and 160 states
    recurrences = 60 * 50 * 2 * 2 * 3 * 160 * ((16 * 10 + 160) + (320 + 160))
    assert whole - convolutions == pytest.approx(recurrences)
    # 16 channels: 41 × 11 over one channel at 20 places of a frame, 21 × 11 over 16 at 10
    assert convolutions == pytest.approx(60 * 50 * 2 * 16 * (41 * 11 * 20 + 16 * 21 * 11 * 10))


def test_a_share_of_the_peak_and_overlapping_work() -> None:
    assert Limits(matmul_tflops=2.0, copy_gb_per_s=10.0).share_of_matmul(1e12, 1.0) == 0.5
    assert Limits(matmul_tflops=2.0, copy_gb_per_s=10.0).share_of_copy(5e9, 2.0) == 0.25
    assert busy_us([(5.0, 6.0), (0.0, 2.0), (1.0, 3.0), (1.0, 2.0)]) == 4.0
    assert busy_us([]) == 0.0
