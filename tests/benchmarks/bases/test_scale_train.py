import json
from pathlib import Path

import pytest

from benchmarks.bases import scale_train

# Ray's trainer builds a context of Ray Data, which warns of its own defaults
pytestmark = [pytest.mark.process, pytest.mark.filterwarnings("ignore:::ray.data.context")]


def test_one_and_two_workers_train_the_same_base(
    ray_cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--sentences", "8", "--epochs", "1", "--batch-size", "4", "--model", "tiny"]
    scale_train.main([*sizes, "--cache", str(tmp_path)])
    line = json.loads(capsys.readouterr().out)
    one, two = line["speech_per_time_workers"]
    assert line["utterances"] == 8
    assert line["speedup"] == pytest.approx(two / one, rel=2e-3)
    assert line["share_of_limit"] == pytest.approx(line["speedup"] / line["hardware_limit"], rel=2e-3)
    assert line["loader_over_step"] == pytest.approx(
        line["loader_speech_per_time"] / line["speech_per_time_alone"], rel=2e-3
    )
