"""Reading systemd's journal by journalctl, from a cursor on.

Fields and the JSON format: systemd.journal-fields(7) and https://systemd.io/JOURNAL_EXPORT_FORMATS/
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import msgspec

from agent.jobs.limits import Limits
from agent.jobs.process import CannotStartError, start, why_not_started
from kit.errors import HostwardError

BLOCK = 65536
ERROR_LIMIT = 4096


class JournalError(HostwardError):
    """The journal cannot be read; the message says why."""


class Entry(msgspec.Struct):
    """Of an entry, what is asked for."""

    cursor: str = msgspec.field(name="__CURSOR")
    time: str = msgspec.field(name="__REALTIME_TIMESTAMP")
    """Microseconds since the epoch."""
    message: Any = msgspec.field(name="MESSAGE", default=None)
    """Text; an array of bytes where it is no UTF-8; an array of either where the field is there several times."""


@dataclass
class Reading:
    """What one look found."""

    cursor: str
    """The place to go on from; empty for the beginning."""
    messages: list[str] = field(default_factory=list)
    too_long: int = 0
    """Entries whose message journalctl does not print, since it has 4 KiB or more: who writes to the journal could
    else make its reader take any amount of memory."""
    is_behind: bool = False
    """Whether there is more than was asked for."""
    latest: float | None = None
    """Seconds since the epoch of the last entry read."""


def newest(source: Sequence[str], is_over: Callable[[], bool]) -> str:
    """The cursor of the last entry of all, empty where there is none. Raises JournalError."""
    try:
        with closing(printed([*command(source), "--lines=1"], is_over)) as found:
            return next((_entry(row).cursor for row in found), "")
    except TimeoutError:
        raise JournalError("journalctl does not answer in time") from None


def read(
    source: Sequence[str], filters: Sequence[str], cursor: str, most: int, is_over: Callable[[], bool]
) -> Reading:
    """The entries after `cursor`, or from the beginning where that is empty: about `most` bytes of them, and none
    after `is_over` says so.

    `source` are journalctl's options for where the journal is, `filters` those for which entries. Where the entry of
    the cursor is not there any more, the next later one is read on from. Raises JournalError.
    """
    found = Reading(cursor)
    after = [f"--after-cursor={cursor}"] if cursor else []
    try:
        with closing(printed([*command(source), *after, *filters], is_over)) as lines:
            for row in lines:
                if most <= 0:
                    found.is_behind = True
                    break
                most -= len(row)
                entry = _entry(row)
                found.cursor, found.latest = entry.cursor, int(entry.time) / 1e6
                found.too_long += entry.message is None
                found.messages += texts(entry.message)
    except TimeoutError:
        found.is_behind = True
    return found


def rows(filters: Sequence[str]) -> Generator[bytes, None, None]:
    """All entries that `filters` (journalctl's options) mean, as JSON with what says when, who, how bad and what.
    Raises JournalError."""
    shown = "--output-fields=MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_COMM,_SYSTEMD_UNIT"
    yield from printed(["journalctl", "--quiet", "--no-pager", "--output=json", shown, *filters], lambda: False)


def texts(message: object) -> list[str]:
    """The messages of an entry's MESSAGE field."""
    if isinstance(message, str):
        return [message]
    if not isinstance(message, list):
        return []
    if all(isinstance(byte, int) and 0 <= byte < 256 for byte in message):
        return [bytes(message).decode("utf-8", "replace")]
    return [text for part in message for text in texts(part)]


def command(source: Sequence[str], *fields: str) -> list[str]:
    """What prints a journal, an entry a line, as JSON with its message, its cursor, its times and these fields."""
    wanted = ",".join(["MESSAGE", *fields])
    return ["journalctl", "--quiet", "--no-pager", "--output=json", f"--output-fields={wanted}", *source]


def _entry(row: bytes) -> Entry:
    try:
        return msgspec.json.decode(row, type=Entry)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise JournalError(f"journalctl printed what is no entry: {error}") from None


def printed(argv: Sequence[str], is_over: Callable[[], bool]) -> Generator[bytes, None, None]:
    """The lines that journalctl prints, as it prints them; it is ended where they are not asked for any more. Raises
    TimeoutError once `is_over` says so, JournalError."""
    try:
        child = start(argv, limits=Limits(time=0))
    except CannotStartError as error:
        raise JournalError(str(error)) from error
    error_text = bytearray()
    rest = b""
    finished = False
    try:
        poll = select.poll()
        open_pipes = {child.output, child.error}
        for pipe in open_pipes:
            poll.register(pipe, select.POLLIN)
        while open_pipes:
            if is_over():
                raise TimeoutError
            for pipe, _ in poll.poll(100):
                data = _read(pipe)
                if data == b"":
                    poll.unregister(pipe)
                    open_pipes.discard(pipe)
                elif data is None:
                    continue
                elif pipe == child.error:
                    error_text += data[: ERROR_LIMIT - len(error_text)]
                else:
                    *lines, rest = (rest + data).split(b"\n")
                    yield from lines
        finished = True
    finally:
        if not finished:
            child.signal_group(signal.SIGKILL)
        code = child.reap().code
    if finished and code != 0:
        said = bytes(error_text).decode(errors="replace").strip().splitlines()
        raise JournalError(why_not_started(code, error_text) or f"journalctl failed: {said[-1] if said else code}")


def _read(pipe: int) -> bytes | None:
    """What is there, empty at the end, None where nothing is there yet."""
    try:
        return os.read(pipe, BLOCK)
    except BlockingIOError:
        return None
