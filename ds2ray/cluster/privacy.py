"""What Ray is kept from telling: credentials in runtime environments, and its files to other users of a machine."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray._private.worker
from ray._private.authentication.authentication_utils import is_token_auth_enabled

log = logging.getLogger(__name__)

UMASK_VARIABLE = "DS2RAY_UMASK"
"""By which the processes of a cluster that a job starts know with which rights the job itself writes files."""

PRIVATE_UMASK = 0o077
_SECRET = re.compile(r"^AWS_|SECRET|TOKEN|PASSW|CREDENTIAL|_KEY|SALT")


@contextmanager
def without_credentials() -> Iterator[None]:
    """A context in which Tune hands no credentials to its trials.

    It would copy those of the environment into each trial's runtime environment, which Ray writes to a log. Workers
    find their own: those of a cluster on this machine inherit the environment of the job that starts it.
    """
    from ray.tune.execution import class_cache  # imports all of Tune

    before = class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.ENV_VARS_TO_PROPAGATE = {name for name in before if not _SECRET.search(name)}
    try:
        yield
    finally:
        class_cache.ENV_VARS_TO_PROPAGATE = before


@contextmanager
def private_files() -> Iterator[None]:
    """A context in which files are made for this user alone, also by the processes that are started in it."""
    before = os.umask(PRIVATE_UMASK)
    os.environ[UMASK_VARIABLE] = oct(before)
    try:
        yield
    finally:
        os.umask(before)
        os.environ.pop(UMASK_VARIABLE, None)


def close_session() -> None:
    """Take the folder of the cluster that this process has started away from others: Ray opens it to everybody."""
    node: Any = ray._private.worker._global_node
    if node is not None:
        os.chmod(node.get_session_dir_path(), 0o700)


def close_token() -> None:
    """Keep the file with Ray's token from other users of the machine, as its owner may."""
    with suppress(OSError, RuntimeError):  # no home, or another user's
        path = Path.home() / ".ray" / "auth_token"
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)


def warn_without_token(address: str) -> None:
    """Say where a cluster lets everybody in who reaches it."""
    if not is_token_auth_enabled():
        log.warning(
            "the Ray cluster at %s asks for no token: whoever reaches its ports can run code on it and read what it "
            "works on; start it with RAY_AUTH_MODE=token",
            address,
        )


def write_as_the_job() -> None:
    """Let a worker write files with the rights that the job's own files have."""
    wanted = os.environ.get(UMASK_VARIABLE)
    if wanted:
        os.umask(int(wanted, 8))
