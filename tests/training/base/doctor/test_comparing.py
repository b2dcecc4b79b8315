"""Own transcripts compared with those of others."""

import numpy as np
import pytest

from ds2ray.training.base.doctor.comparing import signed_rank_score


def test_signed_ranks_are_those_of_wilcoxon() -> None:
    # all of n differences above 0: W = n(n+1)/2, n = 8: (36 - 18) / sqrt(51)
    assert signed_rank_score([1.0, 2, 3, 4, 5, 6, 7, 8]) == pytest.approx(18 / np.sqrt(51))
    assert signed_rank_score([1.0, -1.1, 2, -2.1, 3, -3.1]) == pytest.approx(-3 / (2 * np.sqrt(22.75)))
    assert signed_rank_score([-1.0, -2.0, -3.0]) < 0
