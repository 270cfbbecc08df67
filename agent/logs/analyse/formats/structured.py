"""Lines that are JSON: journald's export (`journalctl -o json`), and what programs write (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.logs.analyse import severity
from agent.logs.analyse.formats.entry import Entry
from agent.logs.analyse.times import Clock, of_number

_TIMES = ("time", "timestamp", "@timestamp", "ts", "t", "asctime", "datetime", "date", "eventTime")
_LEVELS = ("level", "severity", "lvl", "levelname", "log.level", "loglevel", "logLevel", "priority")
_MESSAGES = ("message", "msg", "event", "text", "MESSAGE", "log", "body")
_PROGRAMS = ("program", "service", "logger", "name", "app", "component", "logger_name")
_decode = msgspec.json.Decoder().decode


def entry(line: bytes, clock: Clock) -> Entry | None:
    """One line; None where it is no JSON object."""
    if line[:1] != b"{":
        return None
    try:
        row = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if "__REALTIME_TIMESTAMP" in row:
        return _journal(row)
    nested = row.get("log")
    if isinstance(nested, dict) and "level" in nested:  # Elastic's schema may be nested.
        row.setdefault("level", nested["level"])
    program = _first(row, _PROGRAMS)
    message = _first(row, _MESSAGES)
    return Entry(
        _time(_first(row, _TIMES), clock),
        severity.of_name(_first(row, _LEVELS)),
        _bytes(program) if isinstance(program, str) else b"",
        line if message is None else _bytes(message),
    )


def _journal(row: Mapping[str, Any]) -> Entry:
    """systemd.journal-fields(7)."""
    stamp = row["__REALTIME_TIMESTAMP"]
    known = isinstance(stamp, str) and stamp.isascii() and stamp.isdigit() and len(stamp) < 20
    message = row.get("MESSAGE")
    if isinstance(message, list):
        whole = all(isinstance(byte, int) and 0 <= byte < 256 for byte in message)
        text = bytes(message) if whole else _bytes(message[0] if message else "")
    else:
        # journalctl shows no text of 4 KiB and more.
        text = b"<long message>" if message is None else _bytes(message)
    program = row.get("SYSLOG_IDENTIFIER") or row.get("_COMM") or row.get("_SYSTEMD_UNIT") or ""
    return Entry(int(stamp) / 1e6 if known else None, severity.of_name(row.get("PRIORITY")), _bytes(program), text)


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        value = row.get(name)
        if value is not None and value != "":
            return value
    return None


def _time(value: object, clock: Clock) -> float | None:
    if isinstance(value, str):
        return clock.iso(value.encode("utf-8", "replace"))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return of_number(value)
    return None


def _bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    return msgspec.json.encode(value)
