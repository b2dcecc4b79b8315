import json

import pytest

from benchmarks.bases import epoch

pytestmark = pytest.mark.process


def test_an_epoch_of_a_packed_manifest_is_planned(capsys: pytest.CaptureFixture[str]) -> None:
    epoch.main(["--utterances", "5000", "--workers", "3", "--batch-seconds", "60"])
    line = json.loads(capsys.readouterr().out)
    assert line["utterances"] == 4950  # a hundredth is for validation
    assert line["hours"] == pytest.approx(4950 * epoch.MEAN_S / 3600, rel=0.05)
    assert line["seconds"] == pytest.approx(line["read_seconds"] + line["plan_seconds"], rel=2e-3)
    assert 0 < line["padding_share"] < 0.2
    # every step has a batch of at most 60 padded seconds for each of the three ranks
    assert line["steps"] >= line["hours"] * 3600 / (3 * 60)
