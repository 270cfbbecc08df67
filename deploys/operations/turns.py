"""Hosts that do something one after the other, and no more once it went wrong on one of them.

Operations run on all hosts at once. `_serial` would do for a deploy by itself, but it goes on with the next host
after a failure. This holds within one process; what is to hold for waves is asked for by deploys.kit.permits.
Whoever runs pyinfra has had gevent patch the standard library, so that waiting here holds up nobody else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from weakref import WeakKeyDictionary

from pyinfra.api.host import Host
from pyinfra.api.state import State

from deploys.operations.fail import StepError


class _Turn:
    def __init__(self) -> None:
        self.lock = Lock()
        self.failed_on = ""


_turns: WeakKeyDictionary[State, dict[str, _Turn]] = WeakKeyDictionary()


@contextmanager
def turn(host: Host, what: str, *, at_once: bool = False) -> Iterator[None]:
    """Wait until no other host does `what`, and hold it until the block ends; with `at_once` wait for nobody.

    Raises StepError where the block failed on another host of the run.
    """
    mine = _turns.setdefault(host.state, {}).setdefault(what, _Turn())
    if not at_once:
        mine.lock.acquire()
    try:
        if mine.failed_on:
            raise StepError(f"{what} failed on {mine.failed_on}: it was not touched here", "left_alone")
        try:
            yield
        except BaseException:
            mine.failed_on = host.name
            raise
    finally:
        if not at_once:
            mine.lock.release()
