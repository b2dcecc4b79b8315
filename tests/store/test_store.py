"""The root and the server of a store, which stay the same in every process that it is sent to."""

import os
import pickle
from pathlib import Path

import pytest
from s3_server import S3Server

from ds2ray import storage
from ds2ray.config import DataConfig, StorageConfig
from ds2ray.errors import ArtifactCorruptError, InterruptedRunError
from ds2ray.storage import Server
from ds2ray.store import Store, lease, list_bases, publish_adapter, read_adapter, read_pointer, server_outside
from ds2ray.store.index import close_run, open_run, read_index
from ds2ray.store.outcomes import Outcome, Status, read_outcomes, write_part


def test_a_relative_root_is_made_absolute_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickled = pickle.dumps(Store("store"))
    monkeypatch.chdir("/")
    assert pickle.loads(pickled).root_uri == str(tmp_path / "store")
    assert str(Store("s3://bucket/prefix")) == "s3://bucket/prefix"


def test_the_environments_server_is_sent_along(s3_server: S3Server, s3_root: str) -> None:
    pickled = pickle.dumps(Store(s3_root))
    assert pickle.loads(pickled).server == Server(s3_server.endpoint_url)
    assert s3_server.secret_key.encode() not in pickled


def test_the_settings_name_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://environment:1")
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    before = dict(os.environ)
    settings = StorageConfig(root="s3://bucket/a", endpoint_url="http://given:1", profile="john")
    assert Store.of(settings) == Store("s3://bucket/a", Server("http://given:1", "john"))
    assert Store.of(StorageConfig(root="s3://bucket/a")).server == Server("http://environment:1")
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (DataConfig(), Server("http://store:1", "john")),
        (DataConfig(endpoint_url="http://data:1"), Server("http://data:1")),
        (DataConfig(profile="mary"), Server("http://environment:1", "mary")),
        (DataConfig(endpoint_url="http://data:1", profile="mary"), Server("http://data:1", "mary")),
    ],
)
def test_the_server_of_what_lies_outside(data: DataConfig, expected: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://environment:1")
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    assert server_outside(data, StorageConfig(endpoint_url="http://store:1", profile="john")) == expected


def test_everything_of_a_store_lies_on_its_own_server(s3_profiles: tuple[Server, Server], s3_server: S3Server) -> None:
    elsewhere, own = s3_profiles
    store = Store(s3_server.new_root(), own)
    with storage.using(elsewhere):
        pointer = publish_adapter(
            store,
            "john",
            b"weights",
            base_fingerprint="base",
            data_fingerprint="data",
            adapter={},
            run_id="night",
            error_before=0.5,
            error_after=0.25,
        )
        assert read_pointer(store, "john") == pointer
        assert read_adapter(store, pointer) == b"weights"
        with lease.held(store, "night"), pytest.raises(InterruptedRunError):
            lease.acquire_lease(store, "other")
        open_run(store, "night")
        rows = [Outcome(user_key="john", status=Status.adapted, version=pointer.version)]
        write_part(store, "night", "000000-0000", rows)
        assert read_outcomes(store, "night") == rows
        close_run(store, "night", rows)
        assert read_index(store)["john"].version == pointer.version
        assert list_bases(store) == []
        assert storage.list_objects(store.root_uri, recursive=True) == []
        assert read_pointer(Store(store.root_uri, elsewhere), "john") is None
    assert store.exists(store.root_uri)
    with pytest.raises(ArtifactCorruptError, match="not a readable Parquet table"):
        store.read_table(store.list_objects(f"{store.root_uri}/users/john")[0].uri)
