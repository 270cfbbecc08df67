"""What would become of the logs of a rule, and how they stand: looks, and changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import msgspec

from agent.config.logs import LogOptions
from agent.logs.rotate import moment
from agent.logs.rotate.apply.folders import Folder
from agent.logs.rotate.facts import Facts
from agent.logs.rotate.listing import Listing
from agent.logs.rotate.names import Names
from agent.logs.rotate.plan import Planner
from agent.logs.rotate.rule import Rule
from agent.logs.rotate.steps import Compress, Copy, Create, Fail, Move, Shift, Step, Truncate
from agent.logs.rules.accounts import said_of
from agent.logs.rules.facts import UnfitError, host, is_short, look
from agent.logs.rules.judge import Log, judge, next_turn
from agent.logs.rules.sections import all_old, logs_of, rule_of, then_in_words, unless_taken
from agent.logs.rules.sweep import decide, used_by

LastOf = Callable[[str], float | None]
"""When a log was last rotated or first seen; None where nobody has looked yet."""


class Gone(msgspec.Struct, frozen=True):
    """An old log that would be removed."""

    path: str
    size: int
    reason: str


class OldLog(msgspec.Struct, frozen=True):
    """An old log that is there. `modified` is the time of its last line."""

    path: str
    size: int
    modified: float


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """A log, as `hostward logs plan --json` prints it. Times are seconds since the epoch, sizes bytes."""

    rule: str
    log: str
    size: int | None
    """None where there is no such log."""
    due: bool
    reason: str
    last: float | None
    next: float | None
    """When its turn comes by the clock; None where only its size says so. Now or before where it is due."""
    old: list[OldLog]
    """The newest first."""
    steps: list[str]
    """What is done when it is rotated."""
    removals: list[Gone]
    """What is removed then, or at the next run where it is not due."""
    trouble: str = ""
    """Why it is never rotated."""


def previews(
    options: LogOptions,
    last_of: LastOf,
    now: float,
    *,
    owners: Mapping[str, str],
    force: bool = False,
    steps: bool = True,
) -> list[Preview]:
    """One for each log; `owners` are those of `owners_of`, of all rules. Without `steps` these are left out.

    Raises ConfigurationError, and OSError where a folder cannot be read.
    """
    logs = [log for log in logs_of(options) if owners.get(log, options.name) == options.name]
    with said_of(options):
        rule = rule_of(options, compress_now=is_short(options, logs))
    old = all_old(options, rule, logs)
    looked = {log: _look(options, log) for log in logs}
    lasts = {log: last_of(log) for log in logs}
    verdicts = {}
    for log, (known, _, _) in looked.items():
        if known is not None:
            last = lasts[log]
            verdicts[log] = judge(options, known, now if last is None else last, now, host=host(), force=force)
            verdicts[log] = unless_taken(verdicts[log], rule, log, moment.at(now))
    coming = [log for log, verdict in verdicts.items() if verdict.due]
    removals = {
        removal.old.path: Gone(removal.old.path, removal.old.size, removal.reason)
        for removal in decide(options, old, now=now, used=used_by(logs, old), coming=coming)
    }
    found = []
    listings: dict[str, Listing | None] = {}
    for log in logs:
        known, status, trouble = looked[log]
        last, verdict = lasts[log], verdicts.get(log)
        found.append(
            Preview(
                rule=options.name,
                log=log,
                size=None if status is None else status.st_size,
                due=verdict is not None and verdict.due,
                reason=verdict.reason if verdict is not None else trouble or "there is no such log",
                last=last,
                next=next_turn(
                    options,
                    now if last is None else last,
                    now,
                    host=host(),
                    booted=known.booted if known is not None else 0.0,
                ),
                old=[OldLog(*one) for one in old[log]],
                steps=_steps(options, rule, log, status, now, listings) if known and status and steps else [],
                removals=[removals[one.path] for one in reversed(old[log]) if one.path in removals],
                trouble=trouble,
            )
        )
    return found


def _look(options: LogOptions, log: str) -> tuple[Log | None, os.stat_result | None, str]:
    try:
        known, status = look(options, log)
    except FileNotFoundError:
        return None, None, ""
    except UnfitError as error:
        return None, os.lstat(log), str(error)
    except OSError as error:
        return None, None, f"it cannot be looked at: {error.strerror}"
    return known, status, ""


def _steps(
    options: LogOptions,
    rule: Rule,
    log: str,
    status: os.stat_result,
    now: float,
    listings: dict[str, Listing | None],
) -> list[str]:
    """`listings` are those of folders, each read once and kept as it becomes: many logs may lie in one."""
    facts = Facts.of(status)
    at = moment.at(now)
    folder = Names(rule, log).folder
    said = [f"run {' '.join(options.before)}"] if options.before else []
    if folder not in listings:
        listings[folder] = _listing(folder)
    listing = listings[folder]
    if listing is None:
        said.append(f"make the folder {folder}")
        listing = Listing({}, os.lstat)
    planner = Planner(rule, log, facts, listing, at, at, may_compress=lambda _path, _inode: True, pretend=False)
    planned = planner.whole()
    said += _in_words([*planned.before, *planned.rotate], rule)
    if options.then is not None:
        said += then_in_words(options.then)
    return said + _in_words(planned.after, rule)


def _listing(path: str) -> Listing | None:
    """What a folder holds; None where there is none. Raises OSError."""
    try:
        folder = Folder(path)
    except FileNotFoundError:
        return None
    try:
        return folder.listing()
    finally:
        folder.close()


def _in_words(steps: Sequence[Step], rule: Rule) -> list[str]:
    said = []
    for step in steps:
        if isinstance(step, (Move, Shift)):
            said.append(f"rename {step.old} to {_beside(step.new, step.old)}")
        elif isinstance(step, Copy):
            said.append(f"copy {step.source} to {_beside(step.target, step.source)}")
        elif isinstance(step, Truncate):
            said.append(
                f"empty {step.path}; what is written meanwhile is lost where the file system cannot cut it out"
            )
        elif isinstance(step, Create):
            said.append(f"create {step.path} with mode {step.mode & 0o7777:04o}, user {step.uid}, group {step.gid}")
        elif isinstance(step, Compress):
            said.append(f"compress {step.path} by {rule.codec}")
        elif isinstance(step, Fail):
            said.append(f"fail: {step.text}")
    return said


def _beside(path: str, other: str) -> str:
    """The name alone where both are in one folder."""
    folder, _, name = path.rpartition("/")
    return name if folder == other.rpartition("/")[0] else path
