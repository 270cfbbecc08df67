"""How bad a line of a log is (pure). The levels are syslog's: RFC 5424, 6.2.1."""

from __future__ import annotations

import re
from typing import Literal

Level = Literal["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"]
NAMES: tuple[Level, ...] = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")
EMERGENCY, ALERT, CRITICAL, ERROR, WARNING, NOTICE, INFO, DEBUG = range(8)

_LEVELS: dict[str, int] = {
    **{name: level for level, name in enumerate(NAMES)},
    "emerg": EMERGENCY,
    "panic": EMERGENCY,
    "crit": CRITICAL,
    "fatal": CRITICAL,
    "severe": ERROR,
    "err": ERROR,
    "eror": ERROR,
    "failure": ERROR,
    "warn": WARNING,
    "log": INFO,
    "information": INFO,
    "informational": INFO,
    "statement": INFO,
    "detail": INFO,
    "hint": INFO,
    "context": INFO,
    "config": DEBUG,
    "fine": DEBUG,
    "finer": DEBUG,
    "finest": DEBUG,
    "dbg": DEBUG,
    "verbose": DEBUG,
    "trace": DEBUG,
}
_BUNYAN = {10: DEBUG, 20: DEBUG, 30: INFO, 40: WARNING, 50: ERROR, 60: CRITICAL}
"""The numbers of Bunyan and Pino, whose lines are JSON."""

_WORD = re.compile(
    rb"\b(?:level|lvl|severity)=\"?([A-Za-z]+)"
    rb"|[\[<(](emerg|alert|crit|critical|fatal|panic|error|err|warning|warn|notice|info|debug|trace|verbose)[\]>)]"
    rb"|\b(?:(EMERG|ALERT|CRIT|CRITICAL|FATAL|PANIC|SEVERE|ERROR|ERR|WARNING|WARN|NOTICE|INFO|DEBUG|TRACE|VERBOSE)\b"
    rb"|(?:^|(?<=: ))([Pp]anic|[Ff]atal|[Ee]rror|[Ww]arning|[Nn]otice|[Ii]nfo|[Dd]ebug):)",
)
_SAID = re.compile(
    rb"(?P<critical>\bpanic\b|\bfatal\b|\bsegfault\b|out of memory|\bcritical\b|\bcorrupt)"
    rb"|(?P<error>(?<!\bno )(?<!\b0 )\berrors?\b|\bfail(?:ed|ure)?\b|\bcannot\b|\bunable to\b|\bexception\b"
    rb"|\btraceback\b)"
    rb"|(?P<warning>\bwarn(?:ing)?s?\b|\bdeprecated\b|\btimed out\b|\btimeout\b|\bdenied\b|\brefused\b|\binvalid\b)",
    re.IGNORECASE,
)
_SAID_LEVELS: dict[str, int] = {"critical": CRITICAL, "error": ERROR, "warning": WARNING}
_NEAR = 120
"""Bytes from the beginning in which a level is looked for."""


def of_name(name: object) -> int | None:
    """The level that a log names, by a word or by a number of syslog's or Bunyan's; None where it is none."""
    if isinstance(name, str):
        if name.isascii() and name.isdigit():
            return of_name(int(name[:3]))
        return _LEVELS.get(name.lower())
    if isinstance(name, int) and not isinstance(name, bool):
        return name if 0 <= name < 8 else _BUNYAN.get(name)
    return None


def of_text(message: bytes) -> int:
    """The level that a message names near its beginning, else the one that its words speak of, else `info`."""
    near = message[:_NEAR]
    for match in _WORD.finditer(near):
        level = _LEVELS.get((match[1] or match[2] or match[3] or match[4]).decode("ascii", "replace").lower())
        if level is not None:
            return level
    said = _SAID.search(message)
    return _SAID_LEVELS[str(said.lastgroup)] if said else INFO
