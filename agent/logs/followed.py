"""How far the `log` checks have read, of the agent's state: what a child of agent.logs.followers runs."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from typing import Any
from urllib.parse import quote

import msgspec

from agent.logs.place import Places


class _Memory(msgspec.Struct):
    """Of agent.checks.runner.Memory, what is asked for here."""

    kind: str
    previous: Any = None


class _Previous(msgspec.Struct):
    """Of agent.checks.log.LogMemory."""

    places: Places | None = None


def tell(state: str, writer: int) -> None:
    """Write a list of `[check, patterns, time of the last look, [[device, inode, offset], …]]` as JSON.

    Nothing is made beside the database, which another process may be writing; the one that forked this one must not
    have it open, which SQLite does not stand. Raises sqlite3.Error, OSError.
    """
    path = f"{state}/agent.db"
    # Where there is no -wal nobody has it open, and then all of it is in the main file (agent.checks.sqlite_session).
    is_open = os.path.lexists(f"{path}-wal") and os.path.lexists(f"{path}-shm")
    how = "mode=ro&readonly_shm=1" if is_open else "immutable=1"
    with closing(sqlite3.connect(f"file:{quote(path)}?{how}", uri=True, timeout=5)) as connection:
        rows = connection.execute("SELECT name, memory FROM checks").fetchall()
    found = []
    for name, data in rows:
        if data and (places := _places(data)) is not None:
            known = [[p.device, p.inode, p.offset] for folder in places.folders for p in folder.places]
            found.append([name, [os.fsdecode(pattern) for pattern in places.patterns], places.looked, known])
    with open(writer, "w", encoding="ascii") as stream:
        json.dump(found, stream)


def _places(data: bytes) -> Places | None:
    try:
        memory = msgspec.msgpack.decode(data, type=_Memory)
        if memory.kind != "log":
            return None
        return msgspec.convert(memory.previous, _Previous).places
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
