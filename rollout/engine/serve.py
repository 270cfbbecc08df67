"""Each order is carried out by a process of its own, forked from this one, which has all libraries loaded and has
done nothing with them: to load them takes longer than to look at a host that is as it should be.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from collections.abc import Callable, Iterator

import msgspec
from gevent import monkey
from gevent.os import fork_gevent

from rollout.protocol import Answer, Order, Refused, Told

MISUSED = 2
CHUNK = 1 << 16

_wait = monkey.get_original("os", "waitpid")  # gevent's one asks its loop, which this process must not have


def serve(
    reading: int, writing: int, before: Callable[[Order], None], work: Callable[[Order, int, int], None]
) -> int:
    """Have orders carried out by `work`, until no more come or one is not told to its end. Returns the exit code.

    What `before` loads is there for all orders that follow.
    """
    decoder = msgspec.json.Decoder(Order | Answer)
    gc.collect()
    gc.freeze()  # What is loaded stays: to look for garbage in it would only copy its pages.
    for line in _lines(reading):
        try:
            order = decoder.decode(line)
        except msgspec.MsgspecError as error:
            print(f"rollout.engine: no order: {error}", file=sys.stderr)
            return MISUSED
        if isinstance(order, Answer):
            continue  # It came too late for the process that had asked.
        before(order)
        try:
            child = fork_gevent()
        except OSError as error:
            _say(writing, Refused(message=f"the process of the wave cannot be started: {error.strerror}"))
            _say(writing, Told())
            continue
        if child == 0:
            _carry_out(work, order, reading, writing)
        code = os.waitstatus_to_exitcode(_wait(child, 0)[1])
        for descriptor in (reading, writing):
            os.set_blocking(descriptor, True)  # gevent has them otherwise, and they are shared
        if code < 0:
            os.kill(os.getpid(), -code)
        if code:
            return code
        _say(writing, Told())
    return 0


def _carry_out(work: Callable[[Order, int, int], None], order: Order, reading: int, writing: int) -> None:
    """Does not return: nothing that is registered for this process's end is the child's to do."""
    code = 1
    try:
        work(order, reading, writing)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _say(writing: int, message: Refused | Told) -> None:
    try:
        os.write(writing, msgspec.json.encode(message) + b"\n")
    except BrokenPipeError:
        sys.exit(0)  # nobody listens any more


def _lines(reading: int) -> Iterator[bytes]:
    waiting = b""
    while chunk := os.read(reading, CHUNK):
        *lines, waiting = (waiting + chunk).split(b"\n")
        yield from lines
