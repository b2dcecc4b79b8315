import json
import os
from pathlib import Path

import pytest

from benchmarks import common

PAGES_BYTES = 300 * 2**20


def fill_memory(size_bytes: int) -> int:
    return len(bytearray(b"x" * size_bytes))


def fail() -> None:
    os._exit(1)


def threads() -> int:
    import torch

    return torch.get_num_threads()


def test_a_result_is_one_line_with_the_machine(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    common.emit("speed", {"users_per_hour": 1234.5678, "rows": [{"wer": 0.123456}], "users": 64})
    line = json.loads(capsys.readouterr().out)
    assert {key: line[key] for key in ("benchmark", "users_per_hour", "rows", "users")} == {
        "benchmark": "speed", "users_per_hour": 1235.0, "rows": [{"wer": 0.1235}], "users": 64,
    }  # fmt: skip
    assert line["machine"]["cpus"] == len(os.sched_getaffinity(0))
    assert list(tmp_path.iterdir()) == []


def test_a_saved_result_is_the_printed_one_and_names_no_host_and_no_path(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    common.emit("speed", {"users": 64}, save=True)
    line = json.loads(capsys.readouterr().out)
    (path,) = tmp_path.iterdir()
    assert path.name == f"speed-{common.machine_slug(line['machine'])}.json"
    assert json.loads(path.read_text()) == line
    assert os.uname().nodename not in path.read_text()
    assert str(Path.home()) not in path.read_text()


def test_a_machine_is_named_by_its_gpu_else_by_its_processor() -> None:
    assert common.machine_slug({"cpu": "AMD EPYC", "cpus": 2, "gpu": None}) == "amd-epyc-2-cpus"
    assert common.machine_slug({"cpu": "AMD EPYC", "cpus": 2, "gpu": "NVIDIA H200"}) == "nvidia-h200"


@pytest.mark.process
def test_memory_and_threads_are_those_of_a_process_of_its_own() -> None:
    before_mb = common.peak_memory_mb()
    measured = common.measured_apart(fill_memory, PAGES_BYTES)
    assert measured.value == PAGES_BYTES
    assert measured.peak_memory_mb > PAGES_BYTES / 1e6
    assert common.peak_memory_mb() < before_mb + PAGES_BYTES / 1e6
    assert common.measured_apart(threads).value == 1


@pytest.mark.process
def test_a_process_that_dies_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="fail ended without a result"):
        common.measured_apart(fail)
