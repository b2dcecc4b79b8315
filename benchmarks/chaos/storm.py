"""Requests by the thousand through a proxy that breaks a quarter of them: what is read is what was written."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

from faulty_proxy import Fault, FaultyProxy

from benchmarks.chaos.findings import Findings
from ds2ray import storage
from ds2ray.errors import Ds2RayError

THREADS = 8

RATES = {
    Fault.error: 0.05,
    Fault.slow_down: 0.04,
    Fault.reset: 0.04,
    Fault.lost_answer: 0.03,
    Fault.truncated: 0.04,
    Fault.flipped: 0.04,
    Fault.slow_body: 0.02,
    Fault.stall: 0.003,
    Fault.expired: 0.003,
}
"""Shares of requests with each fault."""


def storm(root: str, proxy: FaultyProxy, wanted_faults: int, deadline_s: float, seed: int, findings: Findings) -> int:
    """Write, read, list and delete objects in threads until the proxy has broken enough requests; returns how many
    contents were compared."""

    def work(number: int) -> int:
        draws, kept, compared = random.Random(f"{seed}-{number}"), dict[str, bytes](), 0
        folder = f"{root}/{number}"
        while proxy.injected.total() < wanted_faults and time.monotonic() < deadline_s:
            uri = f"{folder}/{draws.randrange(20)}.bin"
            try:
                match draws.choices(("write", "delete", "list", "read"), (3, 1, 1, 5))[0]:
                    case "write":
                        kept[uri] = draws.randbytes(draws.randrange(1, 30_000))
                        storage.write_bytes(uri, kept[uri])
                    case "delete":
                        storage.delete(uri)
                        kept.pop(uri, None)
                    case "list":
                        listed = {info.uri: info.size_bytes for info in storage.list_objects(folder)}
                        differ = listed != {name: len(data) for name, data in kept.items()}
                        findings.found("silent_corruptions", f"a listing of {folder}", differ)
                    case _:
                        findings.found("silent_corruptions", uri, not _is(uri, kept.get(uri), draws.random() < 0.5))
                        compared += 1
            except Ds2RayError as error:
                findings.found("requests_given_up", str(error))
                kept.pop(uri, None)
                storage.delete(uri)
        return compared

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(work, range(THREADS)))


def _is(uri: str, expected: bytes | None, whole: bool) -> bool:
    """Whether an object has this content; None: it is not there."""
    try:
        if whole:
            return storage.read_bytes(uri) == expected
        with storage.open_read(uri) as file:
            return file.read() == expected
    except FileNotFoundError:
        return expected is None
