"""Runs of jobs/prepare.py in this process, and what they write."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ds2ray import storage
from ds2ray.commands.prepare import run
from ds2ray.config import BadRows, DataConfig, PrepareConfig, PrepareJob

DROP = DataConfig(bad_rows=BadRows.drop)


def prepare(
    source: str, output: str, prepare: PrepareConfig | None = None, data: DataConfig = DROP, dry_run: bool = False
) -> None:
    job = PrepareJob(source=source, output=output, prepare=prepare or PrepareConfig(), data=data, dry_run=dry_run)
    assert run(job) == 0


def files(folder: str) -> dict[str, int]:
    """Packs by path from the output, with the time of their last change in ns."""
    root = Path(folder)
    return {str(p.relative_to(root)): p.stat().st_mtime_ns for p in root.rglob("*.*.parquet")}


def packed_users(output: str) -> dict[str, dict[str, Any]]:
    return {row["user_id"]: row for row in storage.read_table(f"{output}/users.parquet").to_pylist()}


def edit(path: str, changes: Mapping[str, str]) -> None:
    text = Path(path).read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    Path(path).write_text(text)
