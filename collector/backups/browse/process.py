"""Starts the processes that look into repositories, and reads what they say."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

from collector.backups.browse.messages import Answer, Content, Failed, Fetch, Order, Task
from collector.backups.child import environment
from collector.backups.keeping.messages import Access, Limits
from kit.errors import HostwardError
from kit.terminal import bounded

MODULE = "collector.backups.browse.child"
AT_ONCE = 3
"""Processes at one time: each may take LIMITS.memory."""
LIMITS = Limits(nice=5, memory=1 << 30)
PATIENCE = 120.0
"""Seconds until the answer must be there, and between two pieces of a content."""
LONGEST_LINE = 16 << 20
PIECE = 256 << 10

_decode = msgspec.json.Decoder(Answer).decode
log = logging.getLogger(__name__)


class BusyError(HostwardError):
    """As many look already as may."""


class BrowseError(HostwardError):
    """It cannot be shown; the message says why."""


class Looking:
    """A process with its answer."""

    def __init__(self, answer: Answer, process: asyncio.subprocess.Process) -> None:
        self.answer = answer
        self.process = process

    async def pieces(self) -> AsyncIterator[bytes]:
        """What follows a Content. Raises BrowseError where it does not come to its end."""
        assert isinstance(self.answer, Content)
        assert self.process.stdout is not None
        given = 0
        try:
            while piece := await asyncio.wait_for(self.process.stdout.read(PIECE), PATIENCE):
                given += len(piece)
                yield piece
            code = await asyncio.wait_for(self.process.wait(), PATIENCE)
        except TimeoutError:
            raise BrowseError(f"nothing came for {PATIENCE:.0f} s") from None
        if code or self.answer.size not in (None, given):
            assert self.process.stderr is not None
            said = (await self.process.stderr.read(4096)).decode("utf-8", "replace")
            raise BrowseError(f"what was asked for is not whole: {bounded(said, 500)}")


class Browser:
    """Looks into repositories for people. Used on the event loop alone."""

    def __init__(self) -> None:
        self._running = 0

    @asynccontextmanager
    async def look(self, access: Access, task: Task, *, limits: Limits = LIMITS) -> AsyncIterator[Looking]:
        """The answer, which is not Failed. At the end of the block its process ends, wherever it is.

        Raises BusyError, or BrowseError where it cannot be had.
        """
        if self._running >= AT_ONCE:
            raise BusyError("others look into backups just now; try again in a moment")
        self._running += 1
        try:
            process = await self._start(isinstance(task, Fetch))
            try:
                yield Looking(await _answer(process, Order(access=access, limits=limits, task=task)), process)
            finally:
                await _end(process)
        finally:
            self._running -= 1

    async def _start(self, fetches: bool) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            MODULE,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # What is read ahead of whoever downloads takes up to twice that.
            limit=PIECE if fetches else LONGEST_LINE,
            env=environment(),
        )


async def _answer(process: asyncio.subprocess.Process, order: Order) -> Answer:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with suppress(ConnectionError):
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            await process.stdin.drain()
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
        answer: Answer = _decode(line)
    except TimeoutError:
        raise BrowseError(f"the repository could not be read within {PATIENCE:.0f} s") from None
    except (msgspec.DecodeError, ValueError):
        # Killed for want of memory, which ends some libraries by a fault, or of another's doing: the log has what it
        # said last.
        with suppress(ProcessLookupError):
            process.kill()
        assert process.stderr is not None
        said = (await process.stderr.read()).decode("utf-8", "replace")
        log.error("a process that looked into a repository ended without an answer: %s", bounded(said[-2000:], 2000))
        why = "the repository could not be read, perhaps for want of memory; the collector's log says more"
        raise BrowseError(why) from None
    if isinstance(answer, Failed):
        raise BrowseError(answer.message)
    return answer


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()
