"""What the watcher tells of its rules, and what went wrong for each."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from agent.config.logs import LogOptions
from agent.logs.watch import status
from agent.logs.watch.logs import Logs
from agent.logs.watch.status import RuleStatus, Status
from kit.terminal import bounded

log = logging.getLogger(__name__)

ROTATING, COMPRESSING = "rotating", "compressing"
"""What may go wrong for a rule."""
TOLD_WITHIN = 60.0
"""Seconds after which whoever writes a log must have opened the new one."""
WORDS = 400
"""Characters of what is told of a failure."""


class Telling:
    """The status file, and what it is made of."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._status = _known(folder)
        self._trouble: dict[tuple[str, str], list[str]] = {}
        """By rule, and what it is about."""
        self._written: dict[str, dict[str, float]] = {}
        """By rule, old ones that are written to, and since when that is known."""
        self._units: dict[str, int] = {}
        """Bytes that the journal of each unit takes."""
        self.next = 0.0
        """Ticks at which it is told again, whatever happened."""
        self.is_news = True
        """Whether something happened."""

    def become(self, names: Collection[str]) -> None:
        """Tell of these rules, and no others."""
        known = self._status.rules
        self._status.rules = {name: known.get(name, RuleStatus()) for name in sorted(names)}
        self._trouble = {key: errors for key, errors in self._trouble.items() if key[0] in names}
        self._written = {name: paths for name, paths in self._written.items() if name in names}
        self.is_news = True

    def of(self, name: str) -> RuleStatus | None:
        """How a rule stands; None for one that there is no more."""
        return self._status.rules.get(name)

    def counted(self, name: str) -> int:
        """Bytes of the journal that count into the budget of a rule."""
        return self._status.rules[name].counted

    def is_in_trouble(self, name: str, what: str) -> bool:
        """Whether that went wrong for a rule the last time."""
        return bool(self._trouble.get((name, what)))

    def went(self, name: str, what: str, errors: list[str], now: float) -> None:
        """How it went for a rule: well, where there is no error."""
        told = self._status.rules[name]
        self._trouble[name, what] = errors
        told.failures += bool(errors)
        for text in errors:
            log.error("%s: %s", name, text)
        left = [text for part in (ROTATING, COMPRESSING) for text in self._trouble.get((name, part), [])]
        told.trouble = bounded("; ".join(left), WORDS) if left else ""
        if left:
            told.failing_since = told.failing_since or now
        else:
            told.failing_since, told.success = None, now

    def still_written(self, name: str, paths: Sequence[str], ticks: float) -> list[str]:
        """A sentence for each old one to which somebody writes who must have been told long ago."""
        self._written[name] = {path: self._written.get(name, {}).get(path, ticks) for path in paths}
        return [
            f"{path} was rotated and is written to all the same"
            for path, since in self._written[name].items()
            if ticks - since >= TOLD_WITHIN
        ]

    def take(self, units: dict[str, int], rules: Iterable[LogOptions], logs: Logs) -> None:
        """The journal of each unit takes so much."""
        self._units = units
        self._reckon(rules, logs)
        self.is_news = True

    def write(
        self, rules: Iterable[LogOptions], logs: Logs, remote: Collection[str], now: float, ticks: float
    ) -> None:
        """Write the file. `remote` are rules whose logs are looked at at intervals."""
        self.is_news = False
        self.next = ticks + status.EVERY
        self._status.written = now
        self._status.scanned = sorted(remote)
        self._reckon(rules, logs)
        try:
            status.write(self._folder, self._status)
        except OSError as error:
            log.error("%s cannot be written: %s", self._folder / status.NAME, error.strerror)

    def _reckon(self, rules: Iterable[LogOptions], logs: Logs) -> None:
        """What rules take now."""
        for rule in rules:
            if (told := self._status.rules.get(rule.name)) is not None:
                seen = [log for log in logs.of(rule.name) if log.seen]
                told.logs, told.size = len(seen), sum(log.size for log in seen)
                told.budget = None if rule.budget is None else int(rule.budget)
                told.journal = {unit: self._units.get(unit, 0) for unit in rule.units}


def _known(folder: Path) -> Status:
    """What was told before, so that counts go on."""
    try:
        return status.read(folder / status.NAME, owners=frozenset({0, os.geteuid()}))
    except (FileNotFoundError, status.StatusError):
        return Status()
