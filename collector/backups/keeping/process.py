"""Starts the process that works on a repository, and has its answers. It never outlives whoever started it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from collector.backups.child import environment
from collector.backups.keeping.messages import Answer, Changed, Failed, Order
from kit.terminal import bounded
from kit.units import format_duration

_LONGEST = 500
"""Characters of what a process said that ended badly."""
_answer = msgspec.json.Decoder(Answer).decode


class Answered(NamedTuple):
    """What came of an order."""

    answer: Answer
    changed: Changed | None
    """None where the process was ended before it could say so."""


async def ask(order: Order, *, timeout: float, holding: int) -> Answered:
    """Have it done, in `timeout` seconds. `holding` is a file that stays open as long as any process of it lives.

    A process that is ended in the middle, as one that takes too long or too much, is an answer too: Failed.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "collector.backups.keeping.child",
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        pass_fds=(holding,),
        start_new_session=True,
        env=environment(),
    )
    try:
        async with asyncio.timeout(timeout):
            output, said = await _talk(process, order)
    except TimeoutError:
        return Answered(Failed(message=f"it took longer than {format_duration(timeout)} and was stopped"), None)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    answers = list(_answers(output))
    changed = next((answer for answer in answers if isinstance(answer, Changed)), None)
    last = next((answer for answer in reversed(answers) if not isinstance(answer, Changed)), None)
    if last is None:
        told = bounded(said.decode(errors="replace").strip().rpartition("\n")[2], _LONGEST)
        last = Failed(message=f"the process ended with code {process.returncode}" + (f": {told}" if told else ""))
    return Answered(last, changed)


def _answers(output: bytes) -> Iterator[Answer]:
    """Those that came as a whole: the last one of a process that was killed may be cut."""
    for line in output.splitlines(keepends=True):
        if line.endswith(b"\n"):
            yield _answer(line)


async def _talk(process: Process, order: Order) -> tuple[bytes, bytes]:
    """Its standard output and error. Its input stays open until it ends: at the end of that it would end itself."""
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        await process.stdin.drain()
    output, said = await asyncio.gather(process.stdout.read(), process.stderr.read())
    process.stdin.close()
    return output, said
