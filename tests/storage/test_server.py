"""Two servers in one process, each with credentials of its own."""

import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from s3_server import BUCKET, S3Server

from ds2ray import storage
from ds2ray.errors import StorageError
from ds2ray.storage import Server


def test_an_address_that_is_not_given_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    assert Server.here() == Server("", "")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://any:1")
    assert Server.here() == Server("http://any:1", "")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://s3:1")
    assert Server.here(profile="john") == Server("http://s3:1", "john")
    assert Server.here("http://given:1") == Server("http://given:1", "")


def test_no_secret_travels_with_a_server(s3_server: S3Server, s3_root: str) -> None:
    pickled = pickle.dumps(Server.here())
    assert s3_server.endpoint_url.encode() in pickled
    assert s3_server.access_key.encode() not in pickled
    assert s3_server.secret_key.encode() not in pickled


def test_each_server_has_its_own_objects(s3_profiles: tuple[Server, Server]) -> None:
    before = dict(os.environ)
    uri = f"s3://{BUCKET}/two-servers/a.json"
    for number, server in enumerate(s3_profiles):
        storage.write_json(uri, number, server)
    only_there = f"s3://{BUCKET}/two-servers/b.bin"
    storage.write_bytes(only_there, b"b", s3_profiles[1])
    assert [storage.read_json(uri, server) for server in s3_profiles] == [0, 1]
    assert [storage.exists(only_there, server) for server in s3_profiles] == [False, True]
    folder = f"s3://{BUCKET}/two-servers"
    assert [len(storage.list_objects(folder, server=server)) for server in s3_profiles] == [1, 2]
    with storage.open_read(only_there, s3_profiles[1]) as file:
        assert file.read() == b"b"
    storage.delete(only_there, s3_profiles[1])
    assert not storage.exists(only_there, s3_profiles[1])
    assert dict(os.environ) == before


def test_uris_without_a_server_lie_on_the_current_one_in_all_threads(s3_profiles: tuple[Server, Server]) -> None:
    uri = f"s3://{BUCKET}/current/a.json"
    for number, server in enumerate(s3_profiles):
        with storage.using(server):
            storage.write_json(uri, number)
    with ThreadPoolExecutor(1) as pool, storage.using(s3_profiles[0]):
        assert pool.submit(storage.read_json, uri).result() == 0
        with suppress(KeyError), storage.using(s3_profiles[1]):
            assert pool.submit(storage.read_json, uri).result() == 1
            assert storage.stat_many([uri])[uri] is not None
            raise KeyError
        assert pool.submit(storage.read_json, uri).result() == 0
    assert storage.current_server() == Server()


@pytest.mark.timeout(60)
def test_credentials_of_another_server_are_refused(s3_profiles: tuple[Server, Server]) -> None:
    one, two = s3_profiles
    with pytest.raises(StorageError, match="check the credentials of profile one"):
        storage.read_bytes(f"s3://{BUCKET}/a.bin", Server(two.endpoint_url, one.profile))


@pytest.mark.timeout(60)
def test_a_profile_that_is_not_there_is_named(s3_profiles: tuple[Server, Server]) -> None:
    with pytest.raises(StorageError, match=r"cannot read: .*nobody.*correct storage\.profile"):
        storage.read_bytes(f"s3://{BUCKET}/a.bin", Server(s3_profiles[0].endpoint_url, "nobody"))


@pytest.mark.timeout(60)
def test_a_server_that_does_not_answer_is_named(s3_root: str) -> None:
    with pytest.raises(StorageError, match=r"now http://127\.0\.0\.1:9"):
        storage.read_bytes(f"{s3_root}/a.bin", Server("http://127.0.0.1:9", outage_s=0.5))


def test_a_profile_may_name_its_server(
    s3_profiles: tuple[Server, Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"s3://{BUCKET}/of-profiles/a.json"
    config = tmp_path / "aws-config"
    config.write_text("".join(f"[profile {at.profile}]\nendpoint_url = {at.endpoint_url}\n" for at in s3_profiles))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    for number, server in enumerate(s3_profiles):
        storage.write_json(uri, number, server)
    assert [storage.read_json(uri, Server.here(profile=name)) for name in ("one", "two")] == [0, 1]
