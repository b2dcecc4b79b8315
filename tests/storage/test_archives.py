"""Archives of a few bytes that unpack to far more."""

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from ds2ray import storage
from ds2ray.errors import InputError
from ds2ray.storage import archives

MEMBER, LISTED, UNPACKED = 1000, 5000, 20_000


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", MEMBER)
    monkeypatch.setattr(archives, "MAX_LISTED_BYTES", LISTED)
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", UNPACKED)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info


def tarred(*members: tarfile.TarInfo) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    return data.getvalue()


def zipped(**members: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds archives with `good` members of `MEMBER` bytes and `bomb`s of more."""
    both = zipped(good=bytes(MEMBER), bomb=bytes(MEMBER + 1))
    plain = tarred(header("good", MEMBER), header("bomb", MEMBER + 1), header("l", 0, tarfile.SYMTYPE, "bomb"))
    endless = tarred(*(header(str(n), MEMBER) for n in range(2 * UNPACKED // MEMBER)))
    claims = header("x", 10 * LISTED, tarfile.XHDTYPE).tobuf() + bytes(20 * LISTED)
    list_bytes = 2 * LISTED
    end_of_zip = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, list_bytes, 0, 0)
    contents = {
        "both.zip": both,
        "in.zip": zipped(inner=both, large=zipped(bomb=bytes(range(256)) * 8) + bytes(MEMBER)),
        "plain.tar": plain,
        "plain.tar.gz": gzip.compress(plain),
        "endless.tar.gz": gzip.compress(endless),
        "endless.tar": endless,
        "claims.tar.gz": gzip.compress(claims),
        "claims.tar": claims,
        "listed.zip": bytes(list_bytes) + end_of_zip,
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


@pytest.mark.parametrize(
    ("chain", "reason"),
    [
        ("zip://bomb::both.zip", "zip://bomb would unpack to"),
        ("zip:////bomb::both.zip", "would unpack to"),
        ("simplecache::zip://bomb::both.zip", "zip://bomb would unpack to"),
        ("zip://bomb::zip://inner::in.zip", "zip://bomb would unpack to"),
        ("zip://bomb::zip://large::in.zip", "zip://large would unpack to"),
        ("zip://a::listed.zip", "list of contents has more than"),
        ("tar://bomb::plain.tar", "tar://bomb would unpack to"),
        ("tar://l::plain.tar", "tar://l would unpack to"),
        ("tar://bomb::plain.tar.gz", "tar://bomb would unpack to"),
        ("tar://0::endless.tar.gz", "archive would unpack to more than"),
        ("tar://good::claims.tar", "list of contents has more than"),
        ("tar://good::claims.tar.gz", "list of contents has more than"),
    ],
)
def test_what_unpacks_to_too_much_is_the_address_s_fault(folder: Path, chain: str, reason: str) -> None:
    links, _, name = chain.rpartition("::")
    uri = f"{links}::{folder}/{name}"
    for read in (storage.read_bytes, storage.open_read, storage.exists):
        with pytest.raises(InputError, match=reason):
            read(uri)
    (info,) = storage.stat_many([uri], each_alone=True).values()
    assert info is not None
    assert info.unreachable


@pytest.mark.parametrize(
    "chain",
    ["zip://good::both.zip", "zip://good::zip://inner::in.zip", "tar://good::plain.tar", "tar://good::plain.tar.gz"],
)
def test_what_is_large_in_the_same_archive_does_no_harm_to_others(folder: Path, chain: str) -> None:
    links, _, name = chain.rpartition("::")
    assert storage.read_bytes(f"{links}::{folder}/{name}") == bytes(MEMBER)


def test_a_tar_that_is_not_compressed_is_as_large_as_it_is(folder: Path) -> None:
    assert storage.read_bytes(f"tar://39::{folder}/endless.tar") == bytes(MEMBER)


def test_a_fault_of_the_program_is_not_the_archives(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "fine.zip").write_bytes(zipped(good=b"fine"))
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", "no number")
    with pytest.raises(TypeError):
        storage.read_bytes(f"zip://good::file://{folder}/fine.zip")


def test_a_filesystem_that_needs_more_than_an_address_is_told() -> None:
    for address, reason in (
        ("reference://x", "an address says too little"),
        ("zip://a::reference://x", "its archive cannot be read"),
    ):
        with pytest.raises(InputError, match=reason):
            storage.read_bytes(address)
