"""The common parts of all benchmarks: the JSON line, the machine's description, and work in processes of its own.

A benchmark prints one JSON line on stdout, tells its progress on stderr, and with `--save` keeps its line in
`benchmarks/results/`. It is started as a module, `python -m benchmarks.bases.train`, so that the processes that it
starts can import its functions.
"""

import json
import multiprocessing
import os
import platform
import re
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

RESULTS = Path(__file__).resolve().parent / "results"
CACHE = "build/benchmarks"
"""The folder, below the working directory, of corpora and bases that later runs of a benchmark use again."""

P = ParamSpec("P")
T = TypeVar("T")


def say(text: str) -> None:
    """Print a line of progress on stderr."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def emit(name: str, fields: Mapping[str, object], save: bool = False) -> None:
    """Print the result as one JSON line, and with `save` write it to `benchmarks/results/<name>-<machine>.json`."""
    described = machine()
    line = json.dumps({"benchmark": name, **_rounded(dict(fields)), "machine": described}, ensure_ascii=False)
    print(line, flush=True)
    if save:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{name}-{machine_slug(described)}.json"
        path.write_text(json.dumps(json.loads(line), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        say(f"saved {path.parent.name}/{path.name}")


def machine() -> dict[str, object]:
    """The machine that this process runs on, without its name: processor, cores, memory, GPU, versions."""
    import torch

    has_gpu = torch.cuda.is_available()
    return {
        "cpu": _cpu_model(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "gpu": torch.cuda.get_device_name() if has_gpu else None,
        "gpus": torch.cuda.device_count() if has_gpu else 0,
        "python": platform.python_version(),
        "torch": _version("torch"),
        "ray": _version("ray"),
    }


def machine_slug(described: Mapping[str, object]) -> str:
    """A machine's description as part of a file name: its GPU, or its processor with the number of CPUs."""
    text = str(described["gpu"] or f"{described['cpu']} {described['cpus']} cpus")
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def peak_memory_mb() -> float:
    """The peak of this process's resident memory so far, in 10^6 bytes."""
    return _peak_memory_bytes() / 1e6


def own_memory_mb() -> float:
    """The memory of this process alone (anonymous, resident) now, in 10^6 bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("RssAnon"))


@dataclass(frozen=True)
class Measured(Generic[T]):
    """The result of a function in a process of its own, with its peak memory, and the seconds of the function alone."""

    value: T
    seconds: float
    peak_memory_mb: float


def measured_apart(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Measured[T]:
    """Call a module's function in a fresh process with one thread for computing, and measure it there.

    Args:
        function: of a module, and with a result, that pickle can take.

    Raises:
        RuntimeError: the process ended without a result; the reason is on stderr.
    """
    return start_apart(function, *args, **kwargs)()


def start_apart(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Callable[[], Measured[T]]:
    """A function that waits for the result of `measured_apart`, whose process is already running."""
    context = fresh_processes()
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_send_measured, args=(sending, function, args, kwargs))
    process.start()
    sending.close()

    def result() -> Measured[T]:
        try:
            measured: Measured[T] = receiving.recv()
        except EOFError:
            raise RuntimeError(f"{function.__name__} ended without a result; its error is above") from None
        finally:
            process.join()
        return measured

    return result


def fresh_processes() -> ForkServerContext:
    """Starts processes with one thread for computing, for measurements apart from this one: forks of a process that has
    loaded torch and Ray, so that a start takes no seconds. They have the environment of the first start."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "ray"])
    threads = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        forkserver.ensure_running()
    finally:
        if threads is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = threads
    return context


def _send_measured(
    sending: Connection, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    started_s = time.perf_counter()
    value = function(*args, **kwargs)
    seconds = time.perf_counter() - started_s
    sending.send(Measured(value, seconds, peak_memory_mb()))


def _peak_memory_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _rounded(value: Any) -> Any:
    """The values with floats rounded to four significant digits, as the rest is noise."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
