"""How a verb works on a store: with the lease where it changes anything, and several requests at a time."""

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from ds2ray.progress import paced
from ds2ray.store import Store, lease

Item = TypeVar("Item")
Result = TypeVar("Result")

AT_ONCE = 16
"""Requests that a verb sends at the same time."""

_AHEAD = 4  # results that may wait for each of them
_RENEW_S = 20.0


@contextmanager
def leased(store: Store, name: str, dry_run: bool = False) -> Iterator[tuple[Store, Callable[[], None]]]:
    """A context that holds the store's lease, unless nothing is written; yields the store, on which nothing is written
    any more once the lease is lost, and what is to be called for every item, so that the lease is renewed in time.

    Raises:
        InterruptedRunError: a run, or another verb, is at work on the store, for longer than the store's
            `wait_for_lease_s`.
    """
    if dry_run:
        yield store, lambda: None
        return
    with lease.held(store, name) as hold:
        stay = paced(lambda line: hold(), _RENEW_S)
        yield hold.store, lambda: stay("")


def new_name(verb: str) -> str:
    """The name of one execution of a verb, as `rollback-20261126-080000-1a2b3c`."""
    return f"{verb}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


def at_once(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
    """Each item with the function's result for it, in their order, several computed at a time; items are taken only as
    fast as results are, so that there may be any number of them. The first error ends it."""
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(function, item)))
                if len(waiting) >= AT_ONCE * _AHEAD:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
