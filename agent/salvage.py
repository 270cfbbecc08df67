"""Takes what waits for home out of a database that was set aside, into the one that took its place.

Reports go over as they are, under the epoch and number that they were made with: should home have taken one of them
in fact, it knows it for a repeat. What cannot be read is counted, or known to be unknown.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec

from agent.backups.records import TOLD
from agent.home.spool import Spool
from agent.state import State
from wire import codec
from wire.errors import WireError
from wire.report import Gap, Report

_GAP = "reason, since, until, readings, events, job_results, reports"


def salvage(aside: Path, state: State, *, rows: bool, now: float) -> str:
    """Move what can be read of `aside` into `state`, and say in a few words what became of it.

    `rows`: also what no report holds yet. Not from a database that went back in time: a report that is at home may
    hold it. Raises what `State.transaction` raises; then nothing was moved. `now` is seconds since the epoch.
    """
    found: dict[str, list[tuple[Any, ...]]] = {}
    complete = rows
    for table, columns in (
        ("spool", "sequence, time, readings, events, job_results, body"),
        ("gaps", _GAP),
        ("outbox", "id, kind, row"),
    ):
        found[table], whole = _read(aside, table, columns, condition="NOT reported" if table == "gaps" else "TRUE")
        complete = complete and whole
    told = _told(aside)
    with state.transaction(durable=True):
        for key, value in told.items():
            state.put(key, value)
        spool = Spool(state)
        reports = 0
        for _, time, readings, events, job_results, body in found["spool"]:
            report = _decode(body)
            if report is not None:
                spool.adopt(report, body)
                reports += 1
            elif not _count(state, ("corrupt", time, time, readings, events, job_results, 1)):
                complete = False
        for row in found["gaps"]:
            complete = _count(state, row) and complete
        if rows:
            for _, kind, row in found["outbox"]:
                # What it holds, the reporter finds out, and counts what it cannot read.
                with suppress(sqlite3.Error):
                    state.connection.execute("INSERT INTO outbox (kind, row) VALUES (?, ?)", (kind, row))
        if not complete:
            state.add_gap(Gap(reason="corrupt", since=now, until=now))
    text = f"{reports} report{'' if reports == 1 else 's'} that waited in it could be saved"
    return text if complete else f"{text}, how much could not is unknown"


def _read(path: Path, table: str, columns: str, *, condition: str) -> tuple[list[tuple[Any, ...]], bool]:
    """The rows that can be read, from both ends up to the damage, and whether that is all."""
    found: dict[int, tuple[Any, ...]] = {}
    for order in ("", " DESC"):
        # The names are this file's own.
        query = f"SELECT rowid, {columns} FROM {table} WHERE {condition} ORDER BY rowid{order}"  # noqa: S608
        try:
            for number, *row in _rows(path, query):
                found.setdefault(number, tuple(row))
            return [found[number] for number in sorted(found)], True
        except (sqlite3.Error, UnicodeDecodeError):  # the latter from the driver, for a message with damaged names
            continue
    return [found[number] for number in sorted(found)], False


def _told(path: Path) -> dict[str, str]:
    """Which runs of backups home was told of: they are on record elsewhere, and would be told again."""
    with suppress(sqlite3.Error, UnicodeDecodeError):
        rows = _rows(path, f"SELECT key, value FROM meta WHERE key GLOB '{TOLD}*'")  # noqa: S608 - our own text
        return {str(key): str(value) for key, value in rows}
    return {}


def _rows(path: Path, query: str) -> Iterator[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        yield from connection.execute(query)


def _decode(body: object) -> Report | None:
    if not isinstance(body, bytes):
        return None
    try:
        return codec.decode(body)
    except WireError:
        return None


def _count(state: State, row: tuple[Any, ...]) -> bool:
    names = [name.strip() for name in _GAP.split(",")]
    try:
        state.add_gap(msgspec.convert(dict(zip(names, row, strict=True)), Gap))
    except msgspec.ValidationError:
        return False
    return True
