"""Addresses: a local path (`./store`, `/data`, `~/store`, `file:///my%20data`) or `scheme://place/path`.

An excerpt of a recording is addressed by `<URI>#t=<start>,<end>`, in seconds, as W3C Media Fragments URI 1.0 has it.
"""

import math
import os
import posixpath
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote

from ds2ray.errors import InputError

_LOCAL = ("file", "local")
_FILE = "file://"  # after which names are percent-encoded (RFC 8089)
_THIS_MACHINE = "localhost"
_SAFE = "/!$&'()*+,;=:@~"  # may stand in the path of a URI as they are
ARCHIVES = ("zip", "tar", "libarchive")
"""Schemes of members of archives, which are addressed by chains alone."""
_WRAPPER = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*").fullmatch
_SECONDS = r"\d+(?:\.\d+)?"
_EXCERPT = re.compile(rf"(.+)#t=({_SECONDS}),({_SECONDS})?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A part of a recording, in seconds from its beginning."""

    start_s: float
    end_s: float = math.inf  # inf: the end of the recording

    @property
    def duration_s(self) -> float:
        return round(self.end_s - self.start_s, 6)

    def __str__(self) -> str:
        """`12.5,15.75`, or `12.5,` up to the end."""
        return f"{_plain(self.start_s)},{_plain(self.end_s) if math.isfinite(self.end_s) else ''}"


def excerpt_uri(uri: str, excerpt: Excerpt) -> str:
    """The address of a part of a recording, or of an excerpt, within which the times then count."""
    recording, outer = recording_of(uri), excerpt_of(uri) or Excerpt(0.0)
    start_s = outer.start_s + excerpt.start_s
    return f"{recording}#t={Excerpt(start_s, min(outer.end_s, outer.start_s + excerpt.end_s))}"


def excerpt_of(uri: str) -> Excerpt | None:
    """The part of a recording that this address names; None where it names all of it."""
    match = _EXCERPT.fullmatch(uri)
    return Excerpt(float(match[2]), float(match[3] or math.inf)) if match else None


def recording_of(uri: str) -> str:
    """The address of the whole recording: that of the file."""
    match = _EXCERPT.fullmatch(uri)
    return match[1] if match else uri


def protocol(uri: str) -> str:
    """The scheme of a URI; `file` for a plain path."""
    scheme, separator, _ = uri.partition("://")
    return scheme if separator else "file"


def links_of(uri: str) -> list[str]:
    """The links of a chained address, as fsspec has them: `zip://a.wav::s3://b/c.zip` is a member of an archive, and
    `simplecache::s3://b/a.wav` is read through a cache. The last one says where it lies. One link for any other.
    """
    head, chained, rest = uri.partition("::")
    if not chained or not (_WRAPPER(head) or (protocol(head) in ARCHIVES and "://" in head)):
        return [uri]
    return [head, *links_of(rest)]


def is_local(uri: str) -> bool:
    """Whether the URI names a file or folder of this machine."""
    return protocol(uri) in _LOCAL


def local_path(uri: str) -> str:
    """The path of a local URI; `~` is expanded. Raises InputError for others."""
    if not is_local(uri):
        raise InputError(f"{uri} is not a local path; a local path is needed here")
    path = uri.partition("://")[2] if "://" in uri else uri
    if uri.startswith(_FILE):
        path = unquote(path.removeprefix(_THIS_MACHINE), errors="surrogateescape")
    try:
        return os.path.expanduser(path)
    except ValueError:  # a NUL byte in the name of a user
        return path


def join(root_uri: str, *parts: str) -> str:
    """`root_uri/part/part`, whatever slashes they begin or end with. Parts are names, as a folder shows them."""
    root = root_uri if root_uri.endswith("://") or root_uri == "/" else root_uri.rstrip("/") + "/"
    return root + "/".join(_encoded(part.strip("/"), root_uri) for part in parts)


def parent(uri: str) -> str:
    """The folder that holds this object."""
    scheme, separator, path = uri.rpartition("://")
    folder, slash, _ = path.rstrip("/").rpartition("/")
    if separator:
        return scheme + separator + folder
    return folder or slash or "."


def absolute(uri: str) -> str:
    """The URI as processes with another working directory can use it: what is local becomes an absolute path."""
    return os.path.abspath(local_path(uri)) if is_local(uri) else uri


def resolve(uri: str, relative_to_uri: str) -> str:
    """An absolute URI; a relative one starts from the folder that holds `relative_to_uri`."""
    if "://" in uri or uri.startswith(("/", "~")):
        return absolute(uri)
    root = parent(relative_to_uri)
    scheme, separator, folder = (root if "://" in root else absolute(root)).rpartition("://")
    path = _encoded(uri, relative_to_uri)
    return scheme + separator + posixpath.normpath(posixpath.join(folder, path))


def other_forms(uri: str) -> Iterator[str]:
    """The same address with its letters composed or decomposed (é as one character or as two), where that differs.

    What one system writes as NFC another stores as NFD; the folder and the name may differ in it.
    """
    if uri.isascii():
        return
    folder, slash, name = uri.rpartition("/")
    folders = dict.fromkeys((folder, *(unicodedata.normalize(form, folder) for form in ("NFC", "NFD"))))
    names = dict.fromkeys((name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))))
    yield from (form for form in (f"{f}{slash}{n}" for f in folders for n in names) if form != uri)


def _encoded(name: str, root_uri: str) -> str:
    """A name as it stands in addresses below a root: percent-encoded after `file://`."""
    return quote(name, safe=_SAFE, errors="surrogateescape") if root_uri.startswith(_FILE) else name


def _plain(seconds: float) -> str:
    """Microseconds at most, and no more digits than are wanted."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".")
