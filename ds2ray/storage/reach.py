"""The addresses that tables may name: by scheme, and where roots are given by the folder that they lie in.

Whoever writes a manifest is not always who runs the job. Nothing is opened or asked here.
"""

import functools
import os
import posixpath
from collections.abc import Iterable
from urllib.parse import urlsplit

from ds2ray.config import DataConfig
from ds2ray.uris import ARCHIVES, is_local, links_of, local_path, protocol, recording_of

ALLOW = "correct it, or have data.allowed_schemes and data.allowed_roots allow it"
"""What to do about an address that a table may not name."""

_LOCAL, _WEB = "file", ("http", "https")
_SHOWN = 40  # characters of a scheme


def why_refused(uri: str, named_by: str, data: DataConfig, *, in_any_root: bool = False) -> str:
    """Why a table may not name this address; empty where it may.

    The scheme has to be one of `data.allowed_schemes` or that of the table itself, on the web the table's host, too; of
    a chained address the scheme of every link has to be among them, and what the last link names has to lie in a root.
    With `data.allowed_roots` the address has to lie in the root that holds the table, or in any of them where none
    does; links of local folders are followed first.

    Args:
        uri: absolute; of audio also of an excerpt.
        named_by: the URI of the table.
        in_any_root: whether it may be another root than the table's: so it is with manifests in a table of users.
    """
    if "\0" in uri:
        return "holds a NUL byte"
    links = [uri] if is_local(uri) else links_of(uri)
    for link in links:
        scheme = _scheme_of(link, last=link is links[-1])
        if scheme in data.allowed_schemes or (len(links) == 1 and _beside(uri, scheme, named_by)):
            continue
        if not scheme:
            return "has no scheme before ://"
        if len(links) > 1 and scheme not in ARCHIVES:
            return f"is a chained address, which needs {scheme[:_SHOWN]} in data.allowed_schemes"
        return f"has the scheme {scheme[:_SHOWN]}, which data.allowed_schemes does not name"
    if not data.allowed_roots:
        return ""
    roots = tuple(data.allowed_roots)
    home = "" if in_any_root else root_of(named_by, roots)
    place = root_of(links[-1], (home,) if home else roots)
    if place:
        return ""
    return "lies outside the root of its manifest" if home else "lies outside of data.allowed_roots"


def allowed(audio: Iterable[str | bytes], named_by: str, data: DataConfig) -> list[str]:
    """The files of audio that a table names and may name, each once, in order: those that storage may be asked for."""
    named = {recording_of(each) for each in audio if isinstance(each, str)}
    return sorted(uri for uri in named if not why_refused(uri, named_by, data))


def root_of(uri: str, roots: tuple[str, ...]) -> str:
    """The deepest of these folders that an address lies in, links followed; empty where it is none."""
    address = _placed(recording_of(uri))
    found = [root for root in roots if _is_within(address, _placed(root.rstrip("/") or "/"))]
    return max(found, key=len, default="")


def _scheme_of(link: str, last: bool) -> str:
    if "://" not in link and not last:
        return link
    return _LOCAL if is_local(link) else protocol(link)


def _beside(uri: str, scheme: str, named_by: str) -> bool:
    """Whether an address lies where the table that names it does, so that it reaches nothing new."""
    theirs = _LOCAL if is_local(named_by) else protocol(named_by)
    if scheme != theirs or scheme in ARCHIVES:
        return False
    return scheme not in _WEB or urlsplit(uri).netloc == urlsplit(named_by).netloc


def _placed(uri: str) -> str:
    """The address without links and `..`, to be compared with others."""
    if not is_local(uri):
        scheme, _, path = uri.partition("://")
        return f"{scheme}://{posixpath.normpath(path)}"
    folder, name = os.path.split(os.path.abspath(local_path(uri)))
    path = os.path.join(_real(folder), name)
    return os.path.realpath(path) if os.path.islink(path) else path


@functools.lru_cache(4096)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def _is_within(address: str, root: str) -> bool:
    return address == root or address.startswith(root.rstrip("/") + "/")
