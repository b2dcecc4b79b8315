"""Making packs at the same time, within memory."""

import threading

import pytest

from ds2ray.errors import InputError
from ds2ray.packs.layout import Member, Pack
from ds2ray.packs.making import Made, make_packs
from ds2ray.tables.manifest import Utterance


class TestMakePacks:
    @pytest.mark.parametrize(("memory_bytes", "most"), [(1, 1), (800, 2), (10_000, 4)])
    def test_as_many_at_once_as_memory_and_threads_allow(self, memory_bytes: int, most: int) -> None:
        lock, running, seen = threading.Lock(), 0, 0
        all_there = threading.Barrier(most)

        def make(pack: Pack) -> Made:
            nonlocal running, seen
            with lock:
                running += 1
                seen = max(seen, running)
            all_there.wait()
            with lock:
                running -= 1
            return Made(pack, None)

        packs = [pack_of(str(number), 100) for number in range(8)]
        made = [m for m in make_packs(packs, make, threads=4, memory_bytes=memory_bytes, tick_s=60) if m is not None]
        assert sorted(m.pack.name for m in made) == sorted(pack.name for pack in packs)
        assert seen == most

    def test_the_largest_goes_first_and_ticks_come_while_one_waits(self) -> None:
        order, released = [], threading.Event()

        def make(pack: Pack) -> Made:
            order.append(pack.name)
            released.wait()
            return Made(pack, None)

        packs = [pack_of("small", 1), pack_of("large", 9), pack_of("middle", 5)]
        made = []
        for one in make_packs(packs, make, threads=1, memory_bytes=100, tick_s=0.01):
            made.append(one)
            released.set()
        assert order == ["large", "middle", "small"]
        assert made[0] is None
        assert len([m for m in made if m]) == 3

    def test_an_error_ends_it(self) -> None:
        begun = []

        def make(pack: Pack) -> Made:
            begun.append(pack.name)
            raise InputError("no")

        with pytest.raises(InputError, match="no"):
            list(make_packs([pack_of(str(n), 1) for n in range(9)], make, threads=1, memory_bytes=100, tick_s=60))
        assert len(begun) <= 2


def pack_of(name: str, size_bytes: int) -> Pack:
    utterance = Utterance(name, "john", bytes(size_bytes), None, "yes", 1)
    return Pack(name, "john", (Member(utterance, "", size_bytes, ""),), "source")
