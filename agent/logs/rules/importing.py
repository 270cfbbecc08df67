"""Logrotate's sections as tables `[[logs]]` (pure): text that can be put into the configuration.

What a table cannot say stands above it as comments, so that whoever reads it knows what will be different.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from textwrap import dedent
from typing import Any, NamedTuple

from agent.config.logs import DATED
from agent.logs.rotate.rule import (
    DAILY,
    EVERY_7_DAYS,
    HOURLY,
    MONTHLY,
    SIZE,
    WEEKLY,
    YEARLY,
    Ownership,
    Rule,
    Script,
    Section,
)
from kit.options.words import literal
from kit.terminal import clean
from kit.units import Size

_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_CODECS = {"gzip": ".gz", "xz": ".xz", "zstd": ".zst"}
_LEVELS = {"gzip": range(1, 10), "xz": range(10), "zstd": range(1, 20)}
_FOR_EVER = 100_000
_LAYOUT = {ord("\n"): None, ord("\t"): None}
_ARGUMENTS = re.compile(r"\$[1-9@*#]|\$\{[1-9@*#]")


class Accounts(NamedTuple):
    """The names of users and groups by their numbers; the number itself where it has none."""

    user: Callable[[int], str]
    group: Callable[[int], str]


class Table(NamedTuple):
    """A table in the making."""

    name: str
    paths: tuple[str, ...]
    options: dict[str, Any]
    notes: tuple[str, ...]
    place: str


def import_sections(sections: Sequence[Section], accounts: Accounts) -> str:
    """The text for all of them, ending in a newline. Sections of one file that differ in their paths alone are one
    table."""
    tables: list[Table] = []
    for section in sections:
        options, notes = _options(section.rule, accounts)
        paths = tuple(_words(section.pattern))
        file = section.place.rpartition(":")[0]
        for number, table in enumerate(tables):
            same = (table.options, table.notes) == (options, notes)
            if same and table.place.partition(" ")[0].rpartition(":")[0] == file:
                place = f"{table.place} and {section.place.rpartition(':')[2]}"
                tables[number] = table._replace(paths=(*table.paths, *paths), place=place)
                break
        else:
            name = _name(file, [table.name for table in tables])
            tables.append(Table(name, paths, options, notes, section.place))
    return "\n".join(map(_text, tables))


def _text(table: Table) -> str:
    notes = [f"# From {clean(table.place)}.", *(f"# {clean(note)}" for note in table.notes)]
    head = {"name": table.name, "paths": list(table.paths)}
    lines = [f"{name} = {_value(value)}" for name, value in {**head, **table.options}.items()]
    return "\n".join([*notes, "[[logs]]", *lines]) + "\n"


def _value(value: object) -> str:
    """As TOML; a script keeps its lines."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {_value(item)}' for name, item in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str) and "\n" in value and "'''" not in value and value.translate(_LAYOUT).isprintable():
        return f"'''\n{value}'''"
    return literal(value)


def _options(rule: Rule, accounts: Accounts) -> tuple[dict[str, Any], tuple[str, ...]]:
    notes: list[str] = []
    options = {
        **_when(rule, notes),
        **_kept(rule, notes),
        **_compression(rule, notes),
        **_names(rule, notes),
        **_files(rule, accounts, notes),
        **_scripts(rule, notes),
    }
    for name in ("shred", "mail", "allowhardlink"):
        if getattr(rule, name):
            notes.append(f"{name} is left out: there is no such option here.")
    return options, tuple(notes)


def _when(rule: Rule, notes: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if rule.criterion == HOURLY:
        options["every"] = "1h"
    elif rule.criterion == DAILY:
        options["daily"] = "00:00"
    elif rule.criterion == WEEKLY and rule.weekday == EVERY_7_DAYS:
        options["age"] = "7d"
    elif rule.criterion == WEEKLY:
        options["weekly"] = f"{_WEEKDAYS[rule.weekday]} 00:00"
    elif rule.criterion == MONTHLY:
        options["monthly"] = "1 00:00"
    elif rule.criterion == YEARLY:
        options["yearly"] = "january 1 00:00"
    if rule.criterion == SIZE:
        options["size"] = str(Size(max(rule.size, 1)))
    if rule.maxsize:
        size = min(rule.maxsize, rule.size) if rule.criterion == SIZE else rule.maxsize
        options["size"] = str(Size(max(size, 1)))
    if rule.criterion != SIZE and rule.minsize:
        options["min_size"] = str(Size(rule.minsize))
    elif rule.ifempty and (rule.criterion != SIZE or not rule.size):
        options["min_size"] = "0B"
    if rule.criterion != SIZE and rule.minage:
        notes.append(f"minage {rule.minage} is left out: there is no such option here.")
    return options


def _kept(rule: Rule, notes: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if rule.rotate >= 0:
        options["count"] = min(rule.rotate, _FOR_EVER)
    elif not rule.maxage:
        options["count"] = _FOR_EVER
        notes.append("rotate -1 kept all old ones for ever.")
    if rule.maxage:
        options["max_age"] = f"{rule.maxage}d"
    return options


def _compression(rule: Rule, notes: list[str]) -> dict[str, Any]:
    if not rule.compress:
        return {"compression": "none"}
    command = rule.codec or rule.compresscmd.rpartition("/")[2]
    codec = command if command in _CODECS else "zstd"
    if codec != command:
        notes.append(f"{rule.compresscmd} compressed them; here zstd does.")
    elif rule.compressext != _CODECS[codec]:
        notes.append(f"compressext {rule.compressext} is left out: compressed ones end in {_CODECS[codec]}.")
    options: dict[str, Any] = {"compression": codec}
    for word in rule.compressoptions or () if codec == command else ():
        level = int(word[1:]) if re.fullmatch(r"-[0-9]{1,2}", word) else -1
        if level in _LEVELS[codec]:
            options["level"] = level
        else:
            notes.append(f"the compressoption {word} is left out.")
    if rule.delaycompress:
        options["delay"] = True
    return options


def _names(rule: Rule, notes: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if rule.dateext:
        form = rule.dateformat or ("-%Y%m%d%H" if rule.criterion == HOURLY else "-%Y%m%d")
        if "%" in form and "/" not in form:
            options["date_format"] = form
        else:
            notes.append(f"dateformat {form} is left out; old ones are called {DATED}.")
        for name in ("dateyesterday", "datehourago"):
            if getattr(rule, name):
                notes.append(f"{name} is left out: names hold the moment of rotation.")
    else:
        options["names"] = "number"
        if rule.start != 1:
            notes.append(f"start {rule.start} is left out: the newest old one is .1.")
    for name in ("extension", "addextension"):
        if value := getattr(rule, name):
            notes.append(f"{name} {value} is left out: numbers and dates stand at the end of names.")
    if rule.olddir is not None:
        options["folder"] = rule.olddir
    return options


def _files(rule: Rule, accounts: Accounts, notes: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if rule.copytruncate:
        options["copytruncate"] = True
    elif rule.copy:
        notes.append("copy is left out: a log is moved away or, with copytruncate, emptied.")
    elif rule.renamecopy:
        notes.append("renamecopy is left out: the folder of old ones has to be in the log's file system.")
    if not rule.copytruncate:
        if rule.create is None:
            options["create"] = False
        else:
            options.update(_ownership(rule.create, accounts))
    if rule.su is not None:
        options["su"] = f"{accounts.user(rule.su[0])}:{accounts.group(rule.su[1])}"
    return options


def _ownership(wanted: Ownership, accounts: Accounts) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if wanted.uid is not None:
        options["owner"] = accounts.user(wanted.uid)
    if wanted.gid is not None:
        options["group"] = accounts.group(wanted.gid)
    if wanted.mode is not None:
        options["mode"] = f"{wanted.mode & 0o777:04o}"
    return options


def _scripts(rule: Rule, notes: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    before = _joined(rule, ("firstaction", "prerotate"), notes)
    then = _joined(rule, ("postrotate", "lastaction"), notes)
    if before:
        options["before"] = before
    if then:
        options["then"] = {"command": then}
    if rule.preremove is not None:
        notes.append("preremove is left out: there is no such option here.")
    return options


def _joined(rule: Rule, names: tuple[str, str], notes: list[str]) -> list[str]:
    """One shell for what two scripts did."""
    found: dict[str, Script] = {name: script for name in names if (script := getattr(rule, name)) is not None}
    texts = [dedent(script.text).strip("\n").rstrip() for script in found.values() if script.text.strip()]
    if not texts:
        return []
    per_log = [name for name in found if name in ("prerotate", "postrotate") and not rule.sharedscripts]
    for name in per_log:
        notes.append(f"{name} ran for each log; here it runs once for all that are rotated.")
    for name, script in found.items():
        if _ARGUMENTS.search(script.text):
            notes.append(f"{name} looks at its arguments: here it gets none.")
    if len(texts) > 1:
        notes.append(f"{names[0]} and {names[1]} are one script here.")
    return ["/bin/sh", "-c", "\n".join(texts) + "\n"]


def _words(pattern: str) -> list[str]:
    try:
        return shlex.split(pattern)
    except ValueError:
        return [pattern]


def _name(file: str, taken: Sequence[str]) -> str:
    stem = re.sub(r"[^A-Za-z0-9_.@-]", "-", file.rpartition("/")[2]).lstrip("_.@-")[:56] or "logs"
    number, name = 1, stem
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    return name
