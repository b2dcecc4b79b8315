"""The benchmark of the stacked step at toy size."""

import json

import pytest

from benchmarks.adapting import bank


def test_every_way_is_timed_for_every_stack(capsys: pytest.CaptureFixture[str]) -> None:
    bank.main(["--stacks", "1,2", "--frames", "20", "--width", "32", "--hidden", "16", "--repeats", "1"])
    line = json.loads(capsys.readouterr().out)
    assert line["benchmark"] == "bank"
    for table, ways in (
        ("product_ms_per_user", {"loop", "padded_baddbmm", "grouped_mm_bfloat16", "any_kind"}),
        ("update_ms_per_user", {"each_fused", "together"}),
        ("epoch_ms_per_user", {"plain", "stack", "stack_bfloat16"}),
    ):
        assert set(line[table]) == {"1", "2"}
        for times in line[table].values():
            assert set(times) == ways
            assert all(milliseconds > 0 for milliseconds in times.values())
