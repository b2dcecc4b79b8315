import json
from pathlib import Path

import pytest

from benchmarks.fleets import scale

pytestmark = pytest.mark.process


def test_one_and_two_workers_and_raylets_train_the_same_fleet(
    ray_cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--users", "2", "--limit-users", "1", "--minutes", "0.15", "--epochs", "1", "--model", "tiny"]
    scale.main([*sizes, "--cache", str(tmp_path), "--cluster-address", ray_cluster])
    line = json.loads(capsys.readouterr().out)
    for what in ("workers", "raylets"):
        one_s, two_s = line[f"seconds_{what}"]
        assert line[f"speedup_{what}"] == pytest.approx(one_s / two_s, rel=2e-3)
        share = line[f"speedup_{what}"] / line["hardware_limit"]
        assert line["share_of_limit"][what] == pytest.approx(share, rel=2e-3)
