"""A rule `[[logs]]` as the engine has it, and the files that it means."""

from __future__ import annotations

import glob
import os
import stat
import sys
from bisect import bisect_left
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

from agent.config.logs import LogOptions, Then
from agent.logs.names import COMPRESSED, base
from agent.logs.rotate.moment import Moment
from agent.logs.rotate.names import DateFormat, Names, matching
from agent.logs.rotate.rule import DAILY, Ownership, Rule, Script
from agent.logs.rules import accounts
from agent.logs.rules.judge import Verdict
from agent.logs.rules.retention import Old

EXTENSIONS: Final = {"zstd": ".zst", "gzip": ".gz", "xz": ".xz", "none": ""}
NOTIFY: Final = "agent.cli.logs.notify"
_FORBIDDEN = "*?["


def rule_of(options: LogOptions, *, compress_now: bool = False) -> Rule:
    """What the engine is to do for a rule. `compress_now` is for a disk that has no room for a delay.

    What is removed is not its business: agent.logs.rules.sweep does it, with what must be done before.
    Raises UnknownAccountError.
    """
    rule = Rule()
    rule.criterion = DAILY
    rule.missingok = True
    rule.rotate = -1
    rule.copytruncate = rule.keep_tail = options.copytruncate
    if options.create and not options.copytruncate:
        mode = None if options.mode is None else int(options.mode, 8)
        owner = None if options.owner is None else accounts.user(options.owner)
        group = None if options.group is None else accounts.group(options.group)
        rule.create = Ownership(mode, owner, group)
    if options.su is not None:
        rotating_user, _, rotating_group = options.su.partition(":")
        rule.su = (accounts.user(rotating_user), accounts.group(rotating_group))
    rule.dateext = options.names == "date"
    rule.dateformat = options.date_format if rule.dateext else None
    rule.olddir = options.folder
    rule.createolddir = Ownership() if options.folder else None
    if options.compression != "none":
        rule.compress = True
        rule.codec = options.compression
        rule.compressext = EXTENSIONS[options.compression]
        rule.level = options.level
        rule.threads = options.threads
        rule.delaycompress = options.delay and not compress_now
    rule.sharedscripts = True
    if options.before:
        rule.firstaction = Script(commands=(options.before,))
    if options.then is not None and (commands := commands_of(options.then)):
        rule.postrotate = Script(commands=commands)
    return rule


def commands_of(then: Then) -> tuple[tuple[str, ...], ...]:
    """The programs that do what is to be done afterwards."""
    commands: list[tuple[str, ...]] = []
    ours = (sys.executable, "-P", "-m", NOTIFY)
    if then.reload is not None:
        commands.append((*ours, "reload", then.reload))
    if then.signal is not None and then.unit is not None:
        commands.append((*ours, "signal-unit", then.signal, then.unit))
    if then.signal is not None and then.pid_file is not None:
        commands.append((*ours, "signal-process", then.signal, then.pid_file))
    if then.command:
        commands.append(then.command)
    return tuple(commands)


def then_in_words(then: Then) -> list[str]:
    """What is done afterwards: `reload nginx.service`."""
    said = []
    if then.reload is not None:
        said.append(f"reload {then.reload}")
    if then.signal is not None:
        said.append(f"send SIG{then.signal} to {then.unit or f'the process in {then.pid_file}'}")
    if then.command:
        said.append(f"run {' '.join(then.command)}")
    return said


def logs_of(options: LogOptions) -> list[str]:
    """The paths that a rule means, in order, each once: files that are there, and names without patterns.

    What a rotation left beside a log is none, even where the pattern means it too, nor is a link.
    """
    found: dict[str, None] = {}
    for pattern in options.paths:
        if any(letter in pattern for letter in _FORBIDDEN):
            paths = sorted(glob.glob(pattern))  # noqa: PTH207  # a path is text here, in order, and many at once
            found.update(dict.fromkeys(path for path in paths if _is_log(path)))
        else:
            found[pattern] = None
    return [path for path in found if not _is_excluded(path, options.exclude)]


def owners_of(rules: Iterable[LogOptions]) -> dict[str, str]:
    """Which rule has a log: the first that means it."""
    owners: dict[str, str] = {}
    for options in rules:
        if options.enabled:
            for log in logs_of(options):
                owners.setdefault(log, options.name)
    return owners


def all_old(options: LogOptions, rule: Rule, logs: Iterable[str]) -> dict[str, list[Old]]:
    """The old ones of each log, the newest first. Each folder is read once, since many logs may lie in it.

    Raises OSError.
    """
    listed: dict[str, list[str]] = {}
    found = {}
    for log in logs:
        names = Names(rule, log)
        if names.folder not in listed:
            try:
                listed[names.folder] = sorted(os.listdir(names.folder or "/"))  # noqa: PTH208  # names are enough
            except FileNotFoundError:
                listed[names.folder] = []
        found[log] = _old(options, names, listed[names.folder])
    return found


def old_of(options: LogOptions, rule: Rule, log: str) -> list[Old]:
    """The old ones of one log, the newest first. Raises OSError."""
    return all_old(options, rule, [log])[log]


def _old(options: LogOptions, names: Names, entries: list[str]) -> list[Old]:
    old = []
    for name in _numbered(names, entries) if options.names == "number" else _dated(names, options, entries):
        path = f"{names.folder}/{name}"
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            continue
        if stat.S_ISREG(status.st_mode):
            old.append(Old(path, status.st_size, status.st_mtime))
    # Sorting keeps the order of names where times are the same.
    return sorted(old, key=lambda one: -one.modified)


def unless_taken(verdict: Verdict, rule: Rule, log: str, now: Moment) -> Verdict:
    """The verdict; where the log is due, but an old one has the name that it would get now, that it is not."""
    if not verdict.due or rule.dateformat is None:
        return verdict
    names = Names(rule, log)
    path = f"{names.folder}/{names.dated(DateFormat(rule.dateformat).applied(now))}"
    taken = next((path + behind for behind in EXTENSIONS.values() if os.path.lexists(path + behind)), None)
    if taken is None:
        return verdict
    return Verdict(False, f"there is {taken} already, which has the name of this moment")


def _numbered(names: Names, entries: list[str]) -> list[str]:
    found = []
    head = f"{names.stem}."
    for index in range(bisect_left(entries, head), len(entries)):
        name = entries[index]
        if not name.startswith(head):
            break
        for behind in EXTENSIONS.values():
            if (number := names.number_of(name, behind)) is not None:
                found.append((number, name))
    return [name for _, name in sorted(found)]


def _dated(names: Names, options: LogOptions, entries: list[str]) -> list[str]:
    pattern = DateFormat(options.date_format).pattern
    found = [name for behind in EXTENSIONS.values() for name in matching(entries, names.dated(pattern) + behind)]
    return sorted(found, reverse=True)


def _is_log(path: str) -> bool:
    folder, slash, name = os.fsencode(path).rpartition(b"/")
    if name.endswith(COMPRESSED):
        return False
    whole = base(name)
    if whole is not None and os.path.lexists(folder + slash + whole):
        return False
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _is_excluded(path: str, patterns: tuple[str, ...]) -> bool:
    name = path.rpartition("/")[2]
    return any(fnmatchcase(path if "/" in pattern else name, pattern) for pattern in patterns)
