"""What takes long is begun first: no worker is still at it when the others have nothing left to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from itertools import chain
from typing import TypeVar

import pytest

LONG = 120.0
"""Seconds: a test that may take more than others has a limit of its own."""

T = TypeVar("T")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Also when they are in random order, which the rest keeps."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    items[:] = arranged(items, workers, lambda item: item.path.parent if _is_long(item) else None)


def arranged(items: Sequence[T], workers: int, group: Callable[[T], Hashable]) -> list[T]:
    """The items in another order: those of a group one after the other, and first in the share of a worker.

    `group` gives None for what is short. A share is what `--dist worksteal` gives a worker at first: one after the
    other has as many items as are left for each. Tests of one folder use the same servers and hosts, so that one
    worker begins with them.
    """
    groups: dict[Hashable, list[T]] = {}
    for item in items:
        groups.setdefault(group(item), []).append(item)
    short = groups.pop(None, [])
    shares: list[list[T]] = [[] for _ in range(workers)]
    for each in sorted(groups.values(), key=len, reverse=True):
        min(shares, key=len).extend(each)
    left = len(items)
    for number, share in enumerate(shares):
        size = left // (workers - number)
        taken = max(size - len(share), 0)
        share.extend(short[:taken])
        del short[:taken]
        left -= size
    return list(chain(*shares))


def _is_long(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("timeout")
    return marker is not None and float(marker.args[0]) > LONG
