"""What the driver and the workers of base training, on any nodes, tell each other: news one way, the wish to stop the
other."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray.exceptions import RayError

from ds2ray.cluster.session import beside_driver
from ds2ray.training.base.stopping import GRACE_S

ASK_EVERY_S = 0.5


@ray.remote(num_cpus=0)
class Exchange:
    """One actor for both: each is a process that takes seconds to start."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[Any] = asyncio.Queue()
        self.stopped = self.asked = False

    async def put(self, news: Any) -> None:
        await self.news.put(news)

    async def get(self) -> Any:
        """The next of the news, when it is there."""
        return await self.news.get()

    async def stop(self) -> bool:
        """Tell the workers to stop; returns whether one has ever asked."""
        self.stopped = True
        return self.asked

    async def is_stopped(self) -> bool:
        self.asked = True
        return self.stopped


@contextmanager
def exchanging(show: Callable[[Any], None]) -> Iterator[Any]:
    """An exchange beside the driver; what the workers put into it is shown in a thread of this process."""
    exchange = Exchange.options(scheduling_strategy=beside_driver()).remote()  # type: ignore[attr-defined]

    def show_all() -> None:
        with suppress(RayError):  # the main thread, which waits for the workers, raises the same error
            while (news := ray.get(exchange.get.remote())) is not None:
                show(news)

    thread = threading.Thread(target=show_all, daemon=True)
    thread.start()
    try:
        yield exchange
    finally:
        with suppress(RayError):  # must not hide the error that ended the training
            ray.get(exchange.put.remote(None))
        thread.join()
        ray.kill(exchange)


def told_to_stop(exchange: Any) -> bool:
    """Tell the workers to stop; returns whether a worker has ever asked for it."""
    try:
        return bool(ray.get(exchange.stop.remote(), timeout=GRACE_S))
    except RayError:
        return False


@contextmanager
def asking(exchange: Any) -> Iterator[Callable[[], bool]]:
    """A context in a worker; yields a quick answer to whether the driver wants it to stop, asked for in a thread."""
    stopped, over = threading.Event(), threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                if ray.get(exchange.is_stopped.remote()):
                    stopped.set()
                    return
            except RayError:
                return  # the driver is gone, and Ray ends its workers
            over.wait(ASK_EVERY_S)

    asker = threading.Thread(target=ask, daemon=True)
    asker.start()
    try:
        yield stopped.is_set
    finally:
        over.set()
        asker.join()
