from pathlib import Path

import pytest


@pytest.fixture(params=["path", pytest.param("s3", marks=pytest.mark.s3)])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "path" else str(request.getfixturevalue("s3_root"))
