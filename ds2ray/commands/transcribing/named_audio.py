"""The audio that a command names: files, lists of files, and what comes through a pipe."""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from ds2ray import storage
from ds2ray.errors import ConfigError, InputError
from ds2ray.sound.audio import is_audio
from ds2ray.sound.formats.opening import why_unreadable

STDIN = "-"
"""How stdin is named."""

_SHOWN = 5
_PLS = "[playlist]"
_PLS_FILE = re.compile(r"File\d+=(.*)", re.IGNORECASE)


@dataclass(frozen=True)
class NamedAudio:
    """A file to recognise, and the name that it has in results: text that every table can hold."""

    uri: str
    name: str


@contextmanager
def named_audio(paths: Sequence[str], list_uri: str) -> Iterator[list[NamedAudio]]:
    """The files that are named one by one and in a list, in this order.

    What comes through stdin, `-`, or another pipe, `<(program)`, lies in a file for as long as the context lasts.

    Raises:
        ConfigError: stdin is named twice, or is a terminal.
        InputError: the list cannot be read, or not one of the files; single ones are told with the others' results.
    """
    if [*paths, list_uri].count(STDIN) > 1:
        raise ConfigError(f"{STDIN} stands for stdin, which can be read once only")
    named = [*paths, *(read_list(list_uri) if list_uri else [])]
    with tempfile.TemporaryDirectory(prefix="ds2ray-pipes-") as folder:
        found = [
            NamedAudio(_kept(path, os.path.join(folder, str(number))), path) if _is_pipe(path) else _named(path)
            for number, path in enumerate(named)
        ]
        refuse_all_unreadable(found)
        yield found


def read_list(uri: str) -> list[str]:
    """The files that a list names, one a line: a playlist (.m3u, .m3u8, .pls) or any text, also of `find -print0`.

    Lines that begin with `#` are remarks. Relative paths start from the list, or else, where there is no such file,
    from the working directory; those of a list that comes through stdin (`-`) from the working directory.

    Raises:
        InputError: there is no such list, or nothing in it.
    """
    data = _read_list(uri)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", "replace").encode()
    # names of files are bytes, of whatever encoding
    lines = os.fsdecode(data.removeprefix(b"\xef\xbb\xbf")).split("\0" if b"\0" in data else "\n")
    entries = [line.rstrip("\r\n") for line in lines]
    if entries and entries[0].strip().lower() == _PLS:
        entries = [match[1] for entry in entries if (match := _PLS_FILE.fullmatch(entry.strip()))]
    found = [_placed(entry, uri) for entry in entries if entry.strip() and not entry.startswith("#")]
    if not found:
        raise InputError(f"{_of(uri)}: names no audio; write one path a line")
    return found


def refuse_all_unreadable(named: Sequence[NamedAudio]) -> None:
    """Raise InputError where not one of the files can be opened, before anything else is done."""
    uris = [each.uri.partition("#")[0] for each in named]  # audio in a shard has a reference: shard#group/row
    known = storage.stat_many(uri for uri in uris if not storage.is_local(uri))
    reasons = []
    for each, uri in zip(named, uris, strict=True):
        missing = "" if known.get(uri) else "there is no such file"
        reason = why_unreadable(uri) if storage.is_local(uri) else missing
        if not reason:
            return
        reasons.append(f"{each.name}: {reason}")
    if not reasons:
        return
    if len(reasons) == 1:
        raise InputError(reasons[0])
    more = f" and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    raise InputError("\n  ".join([f"none of the {len(reasons)} files can be read:", *reasons[:_SHOWN]]) + more)


def printable(path: str) -> str:
    r"""A path as text that every table can hold: in a name that is not UTF-8, bytes beyond ASCII stand as `\xb0`."""
    return "/".join(map(_escaped, path.split("/")))


def _escaped(name: str) -> str:
    try:
        return name.encode().decode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("ascii", "backslashreplace")


def _is_pipe(path: str) -> bool:
    return path in (STDIN, "/dev/stdin") or path.startswith(("/dev/fd/", "/proc/self/fd/"))


def _kept(path: str, kept: str) -> str:
    """Copy what comes through a pipe into a file, whose path is returned."""
    with open(kept, "wb") as file:
        if path == STDIN:
            shutil.copyfileobj(_stdin(f"audio comes through a pipe: cat hello.wav | … {STDIN}"), file)
            return kept
        try:
            with open(path, "rb") as pipe:
                shutil.copyfileobj(pipe, file)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error
    return kept


def _named(path: str) -> NamedAudio:
    uri = storage.absolute(path)
    return NamedAudio(uri, printable(uri))


def _placed(entry: str, list_uri: str) -> str:
    if list_uri == STDIN:
        return storage.absolute(entry)
    beside = storage.resolve(entry, list_uri)
    here = storage.absolute(entry)
    if storage.is_local(beside) and not os.path.lexists(storage.local_path(beside)) and os.path.lexists(here):
        return here
    return beside


def _read_list(uri: str) -> bytes:
    if uri == STDIN:
        return _stdin(f"the list comes through a pipe: find . -name '*.wav' | … --from-file {STDIN}").read()
    if is_audio(uri):
        raise InputError(f"{uri}: is audio, not a list of files; name it without --from-file")
    reason = why_unreadable(uri) if storage.is_local(uri) else ""
    if reason:
        raise InputError(f"{uri}: {reason}")
    try:
        return storage.read_bytes(uri)
    except FileNotFoundError:
        raise InputError(f"{uri}: there is no such file") from None


def _of(uri: str) -> str:
    return "stdin" if uri == STDIN else uri


def _stdin(use: str) -> BinaryIO:
    """The bytes of stdin. Raises ConfigError where it is a terminal, for which `use` says what to do."""
    if sys.stdin.isatty():
        raise ConfigError(f"{STDIN}: stdin is a terminal; {use}")
    return sys.stdin.buffer
