"""The order in which processes that share the tests take the files of them: dear ones first, and both end together."""

from collections.abc import Iterable

import pytest

DEAREST = ("ray", "process", "s3")
"""Markers, from the one whose tests take longest."""


class DearFilesFirst:
    """Plugin of pytest that puts files of tests which start Ray or other processes before the others."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        ranks: dict[str, int] = {}
        for item in items:
            name = str(item.path)
            ranks[name] = min(ranks.get(name, len(DEAREST)), rank(mark.name for mark in item.iter_markers()))
        items.sort(key=lambda item: ranks[str(item.path)])


def rank(markers: Iterable[str]) -> int:
    """The place of a test among `DEAREST` by its markers; the last place without any of them."""
    return min((DEAREST.index(name) for name in markers if name in DEAREST), default=len(DEAREST))
