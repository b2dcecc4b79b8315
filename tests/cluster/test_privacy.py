"""What Ray is kept from telling other users of a machine."""

import os
from pathlib import Path

import pytest
from ray._private import ray_constants, utils

from ds2ray.cluster import privacy
from ds2ray.cluster.privacy import close_token, private_cluster, private_folder, write_as_the_job


def test_ray_s_files_lie_in_a_folder_that_is_closed_to_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    folder = Path(private_folder(str(tmp_path / "ray")))
    assert folder.name == "ray"
    assert folder.parent.parent == tmp_path
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    assert private_folder(str(tmp_path / "ray")) == str(folder)
    assert private_folder(str(folder)) == str(folder)
    folder.parent.chmod(0o777)  # as somebody else might have made it
    other = Path(private_folder(str(tmp_path / "ray"))).parent
    assert other != folder.parent
    assert other.stat().st_mode & 0o777 == 0o700


def test_only_what_starts_with_the_cluster_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DS2RAY_UMASK", raising=False)
    before, clusters = os.umask(0o022), ray_constants.ENABLE_RAY_CLUSTER
    try:
        with private_cluster():
            (tmp_path / "log").touch()
            assert not ray_constants.ENABLE_RAY_CLUSTER
            write_as_the_job()
            (tmp_path / "adapter").touch()
        (tmp_path / "after").touch()
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"log": 0o600, "adapter": 0o644, "after": 0o644}
    assert ray_constants.ENABLE_RAY_CLUSTER is clusters
    assert "DS2RAY_UMASK" not in os.environ


def test_the_file_with_the_token_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    close_token()
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("secret")
    token.chmod(0o644)
    close_token()
    assert token.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("asks", [True, False])
def test_a_cluster_without_a_token_is_warned_of(
    asks: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(privacy, "is_token_auth_enabled", lambda: asks)
    privacy.warn_without_token("10.0.0.1:6379")
    assert ["asks for no token" in record.message for record in caplog.records] == [True] * (not asks)


def test_a_local_cluster_goes_without_what_nobody_uses_and_leaves_other_clusters_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(privacy.PRESTART_VARIABLE, "1")
    dependency_error = utils.get_dashboard_dependency_error
    with private_cluster():
        assert os.environ[privacy.PRESTART_VARIABLE] == "0"
        assert utils.get_dashboard_dependency_error() is not None
    assert os.environ[privacy.PRESTART_VARIABLE] == "1"
    assert utils.get_dashboard_dependency_error is dependency_error
