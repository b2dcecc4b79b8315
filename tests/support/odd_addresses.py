"""Addresses that no audio has, as tables may name them, each with the reason that its row is to have."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

MISSING, NO_FILE = "there is no such file", "is no file but a pipe, socket or device"

Odd = dict[str, tuple[str, str]]
"""Address and reason, by a name for each."""


def odd_folder(folder: Path) -> Path:
    """Put pipes, folders and links in the place of files."""
    for suffix in ("wav", "csv"):
        os.mkfifo(folder / f"pipe.{suffix}")
        os.symlink(f"loop.{suffix}", folder / f"loop.{suffix}")
        (folder / f"folder.{suffix}").mkdir()
    (folder / "text.csv").touch()
    os.symlink("/etc/hostname", folder / "link.wav")
    return folder


def odd_audio(folder: Path) -> Odd:
    """Addresses below, around and far from an `odd_folder`; nothing has to run for them."""
    return {
        "scheme": ("foo://a/b.wav", "has the scheme foo, which data.allowed_schemes does not name"),
        "archive": (f"zip://a.wav::{folder}/a.zip", "has the scheme zip, which data.allowed_schemes does not name"),
        "chain": ("simplecache::s3://b/a.wav", "is a chained address, which needs simplecache in data.allowed_schemes"),
        "upper": ("S3://bucket/a.wav", "has the scheme S3, which data.allowed_schemes does not name"),
        "http": ("http://127.0.0.1:9/a.wav", "has the scheme http, which data.allowed_schemes does not name"),
        "nothing": ("://", "has no scheme before"),
        "memory": ("memory://a/b.wav", MISSING),
        "name": (f"{folder}/{'x' * 300}.wav", "has a name that is too long"),
        "path": (f"{folder}/{'x/' * 3000}.wav", "has a name that is too long"),
        "nul": (f"{folder}/a\0b.wav", "holds a NUL byte"),
        "home": ("~\0/b.wav", "holds a NUL byte"),
        "pipe": (f"{folder}/pipe.wav", NO_FILE),
        "device": ("/dev/zero", NO_FILE),
        "directory": (f"{folder}/folder.wav", MISSING),
        "root": ("/", MISSING),
        "loop": (f"{folder}/loop.wav", "is a link that leads round in a circle"),
        "beneath": (f"{folder}/text.csv/a.wav", MISSING),
        "letters": (f"{folder}/\udc80\ud800.wav", MISSING),
        "shard": (f"{folder}/no.parquet#0/1", MISSING),
        "excerpt": (f"{folder}/no.wav#t=1,2", MISSING),
        "outside": (f"{'../' * 20}etc/hostname", "cannot be decoded as audio"),
        "link": (f"{folder}/link.wav", "cannot be decoded as audio"),
    }


def write_rows(path: Path, rows: Iterable[dict[str, object]]) -> str:
    """Write JSON lines, in which any text can stand; returns their URI."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)
