"""Programs that write to a database while it is saved."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def writing(write: Callable[[int], object]) -> Iterator[None]:
    """Call `write` with 0, 1, 2… until the end of this; it has been called a few times at the begin."""
    stop, begun = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def loop() -> None:
        number = 0
        try:
            while not stop.is_set():
                write(number)
                number += 1
                if number == 5:
                    begun.set()
                stop.wait(0.005)
        except BaseException as error:
            failures.append(error)
            begun.set()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        assert begun.wait(60)
        yield
    finally:
        stop.set()
        thread.join()
    assert not failures, failures
