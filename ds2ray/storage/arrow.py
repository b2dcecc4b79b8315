"""Storage as a pyarrow filesystem that sends only requests which every S3-compatible server accepts."""

import os

import pyarrow.fs
from pyarrow.fs import FSSpecHandler

from ds2ray.storage.connections import connect
from ds2ray.uris import is_local, local_path


class ObjectByObject(FSSpecHandler):
    """A filesystem that deletes folders object by object: some servers refuse s3fs's bulk request, which has no MD5."""

    def delete_dir(self, path: str) -> None:
        self.delete_dir_contents(path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = True) -> None:
        for name in self.fs.find(path.rstrip("/") + "/"):
            self.fs.rm_file(name)

    def delete_root_dir_contents(self) -> None:
        raise PermissionError("deleting everything in a store is not offered")


def filesystem(uri: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """The filesystem and the path in it, for libraries that take pyarrow's (Ray Train's checkpoints)."""
    if is_local(uri):
        return pyarrow.fs.LocalFileSystem(), os.path.abspath(local_path(uri))
    connection, path = connect(uri)
    return pyarrow.fs.PyFileSystem(ObjectByObject(connection)), path
