"""What Ray is kept from telling: credentials in runtime environments, and its files to other users of a machine."""

import logging
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import ray._private.ray_constants
import ray._private.utils
from ray._private.authentication.authentication_utils import is_token_auth_enabled

log = logging.getLogger(__name__)

UMASK_VARIABLE = "DS2RAY_UMASK"
"""By which the processes of a cluster that a job starts know with which rights the job itself writes files."""

PRESTART_VARIABLE = "RAY_prestart_worker_first_driver"
"""Ray's setting for workers that are started as soon as the first driver connects, one for each CPU."""

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
def private_cluster() -> Iterator[None]:
    """A context in which a cluster is started for this user of this machine alone, without what only others would use.

    Its processes make files that nobody else may read, and listen on the loopback network. Its agent is that of a Ray
    installed without its dashboard, and no worker is started before it is known what it is for: Tune's and Train's
    workers have runtime environments, for which those that Ray starts beforehand do not do.
    """
    constants = ray._private.ray_constants
    before, clusters = os.umask(PRIVATE_UMASK), constants.ENABLE_RAY_CLUSTER
    # as Ray does it on laptops, without which it replaces 127.0.0.1 by the machine's address in its network
    constants.ENABLE_RAY_CLUSTER = False
    utils = ray._private.utils
    dependency_error = utils.get_dashboard_dependency_error
    utils.get_dashboard_dependency_error = lambda: ImportError("local clusters go without the dashboard")
    variables = {UMASK_VARIABLE: oct(before), constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0", PRESTART_VARIABLE: "0"}
    variables_before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        os.umask(before)
        constants.ENABLE_RAY_CLUSTER = clusters
        utils.get_dashboard_dependency_error = dependency_error
        for name, value in variables_before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def private_folder(temp_dir: str) -> str:
    """The folder for Ray's files, or one beside it that is closed to others: Ray opens its own to everybody."""
    parent = os.path.dirname(temp_dir)
    if _is_private(parent):
        return temp_dir
    closed = os.path.join(parent, f"r{os.geteuid()}")  # short: sockets lie in it
    with suppress(FileExistsError):
        os.makedirs(parent, exist_ok=True)
        os.mkdir(closed, 0o700)
    if not _is_private(closed):  # somebody else has made it
        closed = tempfile.mkdtemp(prefix="r", dir=parent)
    return os.path.join(closed, os.path.basename(temp_dir))


def _is_private(folder: str) -> bool:
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


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
