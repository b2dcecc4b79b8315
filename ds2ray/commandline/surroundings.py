"""The surroundings of a job: a home, a user's name, a working directory, space on the disk."""

import errno
import getpass
import os
from pathlib import Path

from ds2ray.errors import ConfigError, StorageError

NO_HOME = "/nonexistent"

EXHAUSTED = {
    errno.ENOSPC: "free some space, or name a folder of another disk by TMPDIR",
    errno.EDQUOT: "free some space, or name a folder of another disk by TMPDIR",
    errno.EROFS: "name a folder that may be written to by TMPDIR",
    errno.EMFILE: "raise the limit of open files: ulimit -n 8192",
    errno.ENFILE: "this machine has too many open files: end programs that are not needed",
}
"""Errors of this machine that no setting of a job causes, and their remedies."""


def look_around() -> None:
    """Give the process a home and a user's name where its user is not in the system's list, as in many containers.

    Raises:
        ConfigError: there is no working directory.
    """
    try:
        Path.home()
    except RuntimeError:  # without one Ray cannot even be imported
        os.environ["HOME"] = NO_HOME
    try:
        getpass.getuser()
    except (KeyError, OSError):  # torch names a folder after its user
        os.environ["USER"] = str(os.getuid())
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise ConfigError("the working directory has been deleted: cd to one that is there") from error


def exhausted(error: OSError) -> StorageError | None:
    """A StorageError for a full disk or another resource that this machine has run out of; None for other errors."""
    if error.errno not in EXHAUSTED:
        return None
    where = f"{error.filename}: " if error.filename else ""
    remedy = EXHAUSTED[error.errno]
    return StorageError(f"{where}{error.strerror}; {remedy}, and run it again: nothing that is finished is lost")
