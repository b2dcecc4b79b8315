"""A search for planted secrets in everything that a run has left behind: its store, Ray's folders, logs, reports.

Files are read whole; those that are packed (gzip, Parquet) are unpacked, too, and names count as content.
"""

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

GZIP, PARQUET = b"\x1f\x8b", b"PAR1"


def leaks(folders: Iterable[str | Path], planted: Mapping[str, str]) -> list[str]:
    """Where planted texts are found in the files below these folders, a line `<path>: <name of the secret>` each.

    Args:
        planted: texts that nothing else holds, by what they are: a user id, a transcript, a credential.
    """
    wanted = {name: _forms(text) for name, text in planted.items()}
    found = []
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            content = [str(path.relative_to(folder)).encode(errors="surrogateescape"), *_contents(path)]
            found += [f"{path}: {name}" for name, forms in wanted.items() if _holds(content, forms)]
    return found


def _forms(text: str) -> set[bytes]:
    """A text as it may stand in a file: plain, percent-encoded, in JSON, in wide characters."""
    return {
        text.encode(),
        quote(text, safe="").encode(),
        json.dumps(text)[1:-1].encode(),
        text.encode("utf-16-le"),
    }


def _holds(contents: Iterable[bytes], forms: set[bytes]) -> bool:
    return any(form in content for content in contents for form in forms)


def _contents(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what they are when unpacked; nothing of a folder, a socket or what is gone."""
    if path.is_symlink() or not path.is_file():
        return
    try:
        data = path.read_bytes()
    except OSError:
        return
    yield data
    if data.startswith(GZIP):
        try:
            yield gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            return
    if data.startswith(PARQUET):
        try:
            yield repr(pq.read_table(io.BytesIO(data)).to_pydict()).encode()
        except (pa.ArrowException, OSError):
            return
