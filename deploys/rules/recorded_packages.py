"""Which packages a host is to have again, of those that it last reported. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from wire.limits import PACKAGE


class Recorded(msgspec.Struct, frozen=True):
    """One that was installed."""

    name: str
    version: str
    manual: bool = False
    """Whether somebody asked for it; the others came because these need them."""


class Choice(msgspec.Struct, frozen=True):
    """What to install."""

    words: tuple[str, ...]
    """As apt-get takes them: NAME=VERSION, or NAME where that version is not to be had any more."""
    other: tuple[str, ...]
    """Those that come in another version."""
    missing: tuple[str, ...]
    """Those that are not to be had."""


def read(answer: bytes) -> list[Recorded]:
    """Of home's answer, or a file of it: `packages`, which may also be all that there is.

    It has `manager`, and `installed` with rows [NAME, VERSION, ARCHITECTURE, MANUAL] or objects.

    Raises ValueError for what is none, and for packages that are not apt's.
    """
    try:
        found = msgspec.json.decode(answer)
        found = found.get("packages", found)
        if found.get("manager") != "apt":
            raise ValueError(f"packages of {found.get('manager')} cannot be installed again; expected apt's")
        rows = [_row(row) for row in found["installed"]]
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError, IndexError):
        raise ValueError("this is no record of packages; expected what home's API answers") from None
    for row in rows:
        if PACKAGE.fullmatch(row.name) is None:
            raise ValueError(f"the record of packages has {row.name[:100]!r}, which is no package's name")
    return rows


def _row(row: Any) -> Recorded:
    if isinstance(row, Mapping):
        return Recorded(str(row["name"]), str(row["version"]), bool(row.get("manual", False)))
    return Recorded(str(row[0]), str(row[1]), bool(row[3]) if len(row) > 3 else False)


def choose(recorded: Iterable[Recorded], installed: Iterable[str], offered: Mapping[str, set[str]]) -> Choice:
    """Those that somebody asked for, and that are not there; all where the record does not say which these are."""
    rows = sorted(recorded, key=lambda row: row.name)
    wanted = [row for row in rows if row.manual] or rows
    there = set(installed)
    words, other, missing = [], [], []
    for row in wanted:
        if row.name in there:
            continue
        if row.name not in offered:
            missing.append(row.name)
        elif row.version in offered[row.name]:
            words.append(f"{row.name}={row.version}")
        else:
            words.append(row.name)
            other.append(row.name)
    return Choice(tuple(words), tuple(other), tuple(missing))


def offers(lines: Iterable[str]) -> dict[str, set[str]]:
    """Of `apt-cache madison`: `NAME | VERSION | SOURCE`."""
    found: dict[str, set[str]] = {}
    for line in lines:
        parts = [part.strip() for part in line.split("|")]
        if len(parts) == 3:
            found.setdefault(parts[0], set()).add(parts[1])
    return found
