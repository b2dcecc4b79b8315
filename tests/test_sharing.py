"""The order in which processes take the files of tests."""

import pytest
from sharing import DEAREST, rank


@pytest.mark.parametrize(
    ("markers", "place"), [([], 3), (["parametrize"], 3), (["s3"], 2), (["s3", "process"], 1), (["process", "ray"], 0)]
)
def test_the_dearest_marker_counts(markers: list[str], place: int) -> None:
    assert rank(markers) == place <= len(DEAREST)
