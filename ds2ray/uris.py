"""Addresses: a local path (`./store`, `/data`, `~/store`, `file:///data`) or `scheme://place/path`."""

import os
import posixpath

from ds2ray.errors import InputError

_LOCAL = ("file", "local")


def protocol(uri: str) -> str:
    """The scheme of a URI; `file` for a plain path."""
    scheme, separator, _ = uri.partition("://")
    return scheme if separator else "file"


def is_local(uri: str) -> bool:
    """Whether the URI names a file or folder of this machine."""
    return protocol(uri) in _LOCAL


def local_path(uri: str) -> str:
    """The path of a local URI; `~` is expanded. Raises InputError for others."""
    if not is_local(uri):
        raise InputError(f"{uri} is not a local path; a local path is needed here")
    return os.path.expanduser(uri.partition("://")[2] if "://" in uri else uri)


def join(root_uri: str, *parts: str) -> str:
    """`root_uri/part/part`, whatever slashes they begin or end with."""
    root = root_uri if root_uri.endswith("://") or root_uri == "/" else root_uri.rstrip("/") + "/"
    return root + "/".join(part.strip("/") for part in parts)


def parent(uri: str) -> str:
    """The folder that holds this object."""
    scheme, separator, path = uri.rpartition("://")
    folder, slash, _ = path.rstrip("/").rpartition("/")
    if separator:
        return scheme + separator + folder
    return folder or slash or "."


def absolute(uri: str) -> str:
    """The URI as processes with another working directory can use it: a local path is made absolute."""
    return os.path.abspath(local_path(uri)) if is_local(uri) and "://" not in uri else uri


def resolve(uri: str, relative_to_uri: str) -> str:
    """An absolute URI; a relative one starts from the folder that holds `relative_to_uri`."""
    if "://" in uri or uri.startswith(("/", "~")):
        return absolute(uri)
    scheme, separator, folder = absolute(parent(relative_to_uri)).rpartition("://")
    return scheme + separator + posixpath.normpath(posixpath.join(folder, uri))
