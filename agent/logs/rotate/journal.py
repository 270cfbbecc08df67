"""What makes a kill harmless: what is to be done to logs is written down before the first change to them.

Lines of JSON beside the state file, each appended by one write:

- `{"section": PATTERN, "at": SECONDS, "rule": {…}}`: logs of this section are about to change;
- `{"logs": [{"log": …, "final": …, "before": […], "rotate": […], "after": […]}, …]}`: these, by these steps;
- `["made", PATH, …]`: a file is whole under its temporary name, with its inode and, of a copy, its length; or a mail
  went out, or a log was renamed or truncated, which its inode may no longer tell;
- `["postrotate"]`, `["lastaction"]`: that script has run;
- `{"left": {…}, "section": …}`: this log is rotated, but could not be copied or compressed: the next run tries again;
- `["end"]`: nothing else is left to do for the last `logs`.

The next run finishes what is not ended. When the state file has been written the file is removed, or holds no more
than what is left. Nothing is fsynced: a process that is killed leaves its writes to the kernel
(docs/decisions/0009-rotation.md says what a power cut may do). No change follows a last line that is not whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat

from agent.logs.rotate.apply import operations
from agent.logs.rotate.plan import Plan
from agent.logs.rotate.rule import Rule, Script
from agent.logs.rotate.steps import Say, step_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from agent.logs.rotate.steps import Plain, Step

_KEPT = (
    "codec",
    "compresscmd",
    "compressext",
    "compressoptions",
    "keep_tail",
    "level",
    "mail",
    "rotate",
    "sharedscripts",
    "shred",
    "shredcycles",
    "su",
    "threads",
    "uncompresscmd",
)
"""What of a rule the applier needs."""
_HERE = -100
"""AT_FDCWD"""
_SCRIPTS = ("postrotate", "preremove", "lastaction")


class JournalError(Exception):
    """The journal cannot be trusted, or read; the message says why."""


class Journal:
    """The journal of one state file. Nothing of it exists until a log changes."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = -1
        self._left: list[dict[str, Any]] = []

    def open(self) -> None:
        """Make the file, where there is none. What cannot be written later is not: a rotation, which makes room on a
        full disk, is worth more than what a kill may need. Raises OSError."""
        if self._descriptor < 0:
            self._descriptor = operations.create(self.path, folder=_HERE, flags=os.O_WRONLY | os.O_APPEND)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def section(self, rule: Rule, pattern: str, at: int) -> None:
        """Logs of this section are about to change."""
        self._write(_section_as_plain(rule, pattern, at))

    def begin(self, plans: Sequence[Plan]) -> None:
        """These are about to change."""
        self._write({"logs": [_plan_as_plain(plan) for plan in plans]})

    def leave(self, rule: Rule, pattern: str, at: int, plan: Plan, made: dict[str, list[int]]) -> None:
        """What could not be done for a log that is rotated is the next run's."""
        self._left.append({"left": _plan_as_plain(plan), "made": made, **_section_as_plain(rule, pattern, at)})
        self._write(self._left[-1])

    def made(self, path: str, values: list[int]) -> None:
        """A file is whole under its temporary name."""
        self._write(["made", path, *values])

    def did(self, script: str) -> None:
        """That script has run."""
        self._write([script])

    def end(self) -> None:
        """Nothing is left to do for those that were begun last."""
        self._write(["end"])

    def close(self) -> None:
        """Nothing is written any more; what was stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def settle(self) -> None:
        """The state file knows all now: nothing stays but what is left for the next run. Raises OSError."""
        self.close()
        if not self._left:
            with contextlib.suppress(FileNotFoundError):
                operations.unlink(self.path, folder=_HERE)
            return
        unfinished = f"{self.path}.new"
        with contextlib.suppress(FileNotFoundError):
            operations.unlink(unfinished, folder=_HERE)
        descriptor = operations.create(unfinished, folder=_HERE)
        try:
            for left in self._left:
                _write_all(descriptor, left)
        finally:
            os.close(descriptor)
        operations.rename(unfinished, self.path, old_folder=_HERE, new_folder=_HERE)

    def _write(self, what: Any) -> None:
        if self._descriptor < 0:
            return
        try:
            _write_all(self._descriptor, what)
        except OSError:
            self.close()

    def unfinished(self) -> list[Begun]:
        """What a killed run left, section by section; it is written on. Raises JournalError."""
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise JournalError(f"{self.path} cannot be read: {error.strerror}") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise JournalError(f"{self.path} is in use: another run is rotating these logs") from None
            status = os.fstat(descriptor)
            if not status.st_nlink:  # That run has just ended.
                os.close(descriptor)
                return []
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
                raise JournalError(f"{self.path} is not a file that only this user could have written")
            data = bytearray()
            while piece := os.read(descriptor, 1 << 20):
                data += piece
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                operations.truncate(descriptor, whole)
            begun = read(bytes(data[:whole]))
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            os.close(descriptor)
            raise JournalError(f"{self.path} is damaged: {error}") from error
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return begun


def _write_all(descriptor: int, what: Any) -> None:
    data = memoryview(json.dumps(what, separators=(",", ":")).encode() + b"\n")
    while data:
        data = data[operations.write(descriptor, data) :]


class Begun:
    """A section in which a killed run had begun to change logs."""

    def __init__(self, rule: Rule, pattern: str, at: int) -> None:
        self.rule = rule
        self.pattern = pattern
        self.at = at
        """Seconds: the time of that run."""
        self.ended: list[str] = []
        """Logs that nothing is left to do for."""
        self.plans: list[Plan] = []
        """Those that are not done, which were begun together."""
        self.left: Plan | None = None
        """What could not be done for a log that is rotated; then nothing else was begun here."""
        self.made: dict[str, list[int]] = {}
        self.scripts: set[str] = set()
        """Those that have run: `postrotate` for `plans`, `lastaction`."""


def read(data: bytes) -> list[Begun]:
    """What is in a journal (pure). Raises ValueError, KeyError, TypeError or IndexError where it is none."""
    sections: list[Begun] = []
    left: list[Begun] = []
    for line in data.splitlines():
        entry = json.loads(line)
        if isinstance(entry, dict) and "section" in entry:
            begun = Begun(_rule_of(entry["rule"]), str(entry["section"]), int(entry["at"]))
            if "left" in entry:
                begun.left = _plan_of(entry["left"])
                begun.made = {str(path): [int(value) for value in values] for path, values in entry["made"].items()}
                left.append(begun)
            else:
                sections.append(begun)
            continue
        section = sections[-1]
        if isinstance(entry, dict):
            section.plans = [_plan_of(log) for log in entry["logs"]]
            section.made = {}
            section.scripts.discard("postrotate")
        elif entry[0] == "made":
            section.made[str(entry[1])] = [int(value) for value in entry[2:]]
        elif entry[0] == "end":
            section.ended += [plan.log for plan in section.plans]
            section.plans = []
        else:
            section.scripts.add(str(entry[0]))
    return [*sections, *left]


def _section_as_plain(rule: Rule, pattern: str, at: int) -> dict[str, Any]:
    return {"section": pattern, "at": at, "rule": _rule_as_plain(rule)}


def _plan_as_plain(plan: Plan) -> dict[str, Any]:
    return {
        "log": plan.log,
        "final": plan.final,
        "before": _steps_as_plain(plan.before),
        "rotate": _steps_as_plain(plan.rotate),
        "after": _steps_as_plain(plan.after),
    }


def _steps_as_plain(steps: Sequence[Step]) -> list[list[Plain]]:
    # What was said need not be said again.
    return [step.plain() for step in steps if not isinstance(step, Say)]


def _plan_of(entry: dict[str, Any]) -> Plan:
    plan = Plan(str(entry["log"]))
    plan.final = str(entry["final"])
    plan.before = [step_of(step) for step in entry["before"]]
    plan.rotate = [step_of(step) for step in entry["rotate"]]
    plan.after = [step_of(step) for step in entry["after"]]
    return plan


def _rule_as_plain(rule: Rule) -> dict[str, Any]:
    plain: dict[str, Any] = {name: getattr(rule, name) for name in _KEPT}
    for name in _SCRIPTS:
        script = getattr(rule, name)
        plain[name] = None if script is None else [script.text, script.commands]
    return plain


def _rule_of(plain: dict[str, Any]) -> Rule:
    rule = Rule()
    for name in _KEPT:
        value = plain[name]
        setattr(rule, name, tuple(value) if isinstance(value, list) else value)
    for name in _SCRIPTS:
        script = plain[name]
        if script is not None:
            setattr(rule, name, Script(script[0], tuple([tuple(command) for command in script[1]])))
    return rule
