from pathlib import Path

import pytest

from ds2ray.store import Store


@pytest.fixture(params=["path", pytest.param("s3", marks=pytest.mark.s3)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path) if request.param == "path" else request.getfixturevalue("s3_root"))
