"""The address of a job's Ray cluster, tested before Ray connects: Ray waits minutes for a cluster that is gone."""

import logging
import os
import re
import secrets
import shlex
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
from ray._common.utils import get_default_ray_temp_dir
from ray._private.services import find_bootstrap_address

from ds2ray.cluster.privacy import private_folder
from ds2ray.errors import ConfigError, Ds2RayError, InterruptedRunError

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
LOOPBACK_TIMEOUT_S = 3.0
LOCAL = "local"
AUTO = "auto"

SHORT_TEMP_DIR = "/tmp/ray"
LONGEST_SOCKET = "/session_2000-01-01_00-00-00_000000_4194304/sockets/plasma_store.1"
"""The longest name of a socket that Ray makes below its folder for temporary files."""


MAX_SOCKET_BYTES = 107
"""Bytes of a socket's path at most, by Linux."""

_VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+)")


def cluster_address(setting: str) -> str:
    """`host:port` of a head node that answers, `auto` for one of this machine, or `local` for a new cluster.

    Args:
        setting: cluster.address; empty: RAY_ADDRESS, else the cluster that was started last on this machine.

    Raises:
        ConfigError: the setting or RAY_ADDRESS is no address, or no head node answers there.
    """
    name, address = "cluster.address", setting
    variable = os.environ.get("RAY_ADDRESS", "").strip()
    if setting == "" or (setting == AUTO and variable):  # as Ray has it
        name, address = "RAY_ADDRESS", variable
    if address == LOCAL:
        return LOCAL
    if address not in ("", AUTO):
        reason = _not_an_address(address) or _unanswered(address)
        if reason:
            raise no_cluster(address, f"{name}: {reason}")
        return address
    # `ray start` leaves the address in a file, where it outlives a cluster that was killed
    started_here = find_bootstrap_address(None)
    if not started_here:
        return address or LOCAL
    reason = _unanswered(started_here)
    if not reason:
        return AUTO  # not the address: Ray uses the cluster's token only where it has found the cluster itself
    where = f"{started_here}, where one was started on this machine, does not answer: {reason}"
    if address == AUTO:
        raise no_cluster(address, where)
    log.warning("a Ray cluster of this job's own is started: %s", where)
    return LOCAL


def no_cluster(address: str, reason: str) -> ConfigError:
    """The error for an address where no head node of Ray answers."""
    return ConfigError(
        f"no Ray cluster at {address!r} ({reason}); correct cluster.address or RAY_ADDRESS, start a cluster "
        "with `ray start --head`, or set cluster.address=local for one of this job's own"
    )


def refused(address: str, error: BaseException) -> ConfigError:
    """An error that Ray raised on connecting to a cluster, as an error of ours with a remedy."""
    versions = _VERSIONS.findall(str(error))
    if len(versions) == 2:
        (theirs, their_python), (ours, our_python) = versions
        where = "of this machine" if address == AUTO else f"at {address}"
        return ConfigError(
            f"the Ray cluster {where} runs Ray {theirs} with Python {their_python}, this job Ray {ours} with "
            f"Python {our_python}, and they have to be the same: set cluster.address=local for a cluster of this "
            "job's own, or name another one by cluster.address or RAY_ADDRESS"
        )
    token = "" if address == AUTO else "; one that asks for a token is reached with RAY_AUTH_MODE=token"
    return no_cluster(address, one_line(error) + token)


def not_started(error: BaseException) -> Ds2RayError:
    """An error that Ray raised on starting a cluster on this machine, as an error of ours with a remedy.

    It is an interruption where Ray only ran out of time: its processes were killed, or the machine has too much to do.
    """
    folder = Path(_temp_dir() or get_default_ray_temp_dir())
    there = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    free_mb = shutil.disk_usage(there).free / 1e6
    kind: type[Ds2RayError] = InterruptedRunError if "timed out" in str(error) else ConfigError
    return kind(
        f"Ray cannot start on this machine ({type(error).__name__}: {one_line(error)}); its folder for sockets and "
        f"logs is {folder}, with {free_mb:,.0f} MB free: RAY_TMPDIR names another place for it"
    )


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(" .")


def local_settings() -> dict[str, Any]:
    """The arguments of `ray.init` for a new cluster on this machine."""
    settings: dict[str, Any] = {
        "include_dashboard": False,
        # not the machine's address in its network, which changes while a laptop sleeps or moves
        "_node_ip_address": "127.0.0.1",
        "_temp_dir": _temp_dir(),
    }
    python = shlex.quote(sys.executable)
    if python != sys.executable:
        # Ray starts workers by a line of bash, which would split the path at its spaces
        settings["runtime_env"] = {"py_executable": python}
    return settings


def refuse_another_server(address: str, timeout_s: float = CONNECT_TIMEOUT_S) -> None:
    """Raise a ConfigError where another server than a head node answers, such as Ray's dashboard: Ray waits minutes."""
    if os.environ.get("RAY_USE_TLS", "0") != "0":
        return
    with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout_s)
        except grpc.FutureTimeoutError as error:
            reason = (
                f"the server there did not answer as a head node within {timeout_s:.0f} s; a head node's port is 6379 "
                "unless set otherwise"
            )
            raise no_cluster(address, reason) from error


def refuse_without_loopback() -> None:
    """Raise a ConfigError where this machine cannot reach itself: Ray looks for its own processes there for minutes."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), LOOPBACK_TIMEOUT_S).close()
    except OSError as error:
        raise ConfigError(
            f"Ray cannot start on this machine: there is no way to 127.0.0.1, by which its processes talk ({error}); "
            "`ip link set lo up` brings the loopback network back, where no firewall closes it"
        ) from error


def keep_token_in_environment() -> None:
    """Give Ray's processes their common token by the environment where there is no home folder to keep it in."""
    try:
        home = Path.home()
    except RuntimeError:  # neither HOME nor an entry of this user
        home = Path("/nowhere")
    folder = home / ".ray"
    if not os.access(folder if folder.is_dir() else home, os.W_OK):
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def closed_temp_dir(temp_dir: str | None) -> str:
    """Folder of Ray's sockets and logs that no other user of the machine may look into; it is made if need be.

    Args:
        temp_dir: as `local_settings` has it; None: Ray's own.
    """
    wanted = os.path.abspath(temp_dir or get_default_ray_temp_dir())
    for folder in (private_folder(wanted), private_folder(SHORT_TEMP_DIR)):
        if _has_room_for_sockets(folder):
            return folder
    return wanted


def _temp_dir() -> str | None:
    """Folder of Ray's sockets and logs: None for Ray's own, or a short one where its sockets' paths are too long."""
    temp_dir = get_default_ray_temp_dir()
    return None if _has_room_for_sockets(temp_dir) else SHORT_TEMP_DIR


def _has_room_for_sockets(folder: str) -> bool:
    return len(os.fsencode(os.path.abspath(folder))) + len(LONGEST_SOCKET) <= MAX_SOCKET_BYTES


def _not_an_address(address: str) -> str:
    """The reason why a text cannot be the address of a head node; empty if it can."""
    if address.startswith("ray://"):
        return (
            "jobs do not run by Ray Client; start this one on a machine of the cluster, with the host:port of its "
            "head node, or by `ray job submit`"
        )
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        return "not the host:port of a head node"
    return ""


def _unanswered(address: str) -> str:
    """The reason why there is no connection to host:port; empty if there is one."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        return str(error)
    return ""
