import json
from pathlib import Path

import pytest

from benchmarks.adapting import adapt

pytestmark = pytest.mark.process


def test_every_way_gives_the_same_adapters(
    ray_cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--users", "3", "--minutes", "0.15", "--baseline-users", "1", "--training-users", "2", "--epochs", "2"]
    adapt.main([*sizes, "--model", "tiny", "--test-sentences", "2", "--workers", "1", "--cache", str(tmp_path)])
    line = json.loads(capsys.readouterr().out)
    assert line["benchmark"] == "adapt"
    assert (line["epochs"], line["users"], line["baseline_users"]) == (2, 3, 1)
    for field in ("users_per_hour_trial", "users_per_hour_loop", "users_per_hour_cohort", "peak_memory_mb"):
        assert line[field] > 0
    ratio = line["users_per_hour_cohort"] / line["users_per_hour_trial"]
    assert line["speedup_end_to_end"] == pytest.approx(ratio, rel=2e-3)
    encode_s, epoch_s = line["encode_s"], line["adapter_epoch_s"]
    assert line["ceiling"] == pytest.approx(2 * (encode_s + epoch_s) / (encode_s + 2 * epoch_s), rel=2e-3)
    assert line["share_of_ceiling"] == pytest.approx(line["speedup_training"] / line["ceiling"], rel=2e-3)
    # the loop and the cohort trained the same adapter
    assert line["max_wer_difference"] <= 0.5
    assert line["max_weight_difference"] < 1e-3
    assert [result["epochs"] for result in line["results"]] == [2]
