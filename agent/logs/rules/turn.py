"""Rotates the logs of rules: judges them, lets the engine rotate, and removes what is not to be kept."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from agent.config.logs import LogOptions
from agent.logs.rotate import due, moment
from agent.logs.rotate.facts import Facts
from agent.logs.rotate.hooks import Hooks
from agent.logs.rotate.moment import Moment
from agent.logs.rotate.names import Names
from agent.logs.rotate.rule import Rule, Section
from agent.logs.rotate.run import rotate
from agent.logs.rotate.say import Voice
from agent.logs.rules import place
from agent.logs.rules.archive import Archive
from agent.logs.rules.ear import Ear
from agent.logs.rules.facts import UnfitError, booted, free_for, host, is_short, look
from agent.logs.rules.folder import make_folder
from agent.logs.rules.judge import Log, Verdict, judge
from agent.logs.rules.lasts import read_state
from agent.logs.rules.memory import Memory
from agent.logs.rules.retention import Removal
from agent.logs.rules.sections import all_old, logs_of, owners_of, rule_of, unless_taken
from agent.logs.rules.sweep import sweep, used_by
from kit.errors import ConfigurationError, HostwardError


@dataclass(slots=True)
class Outcome:
    """What became of the logs of one rule."""

    rule: str
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    """Of each log that was there and could be rotated."""
    rotated: list[str] = field(default_factory=list)
    removed: list[Removal] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    freed: int = 0
    """Bytes that its files take less than before."""


def turn(
    rules: Sequence[LogOptions],
    *,
    folder: Path,
    config: Path | None,
    now: float,
    voice: Voice | None = None,
    only: Collection[str] | None = None,
    force: Collection[str] = (),
    hooks: Hooks | None = None,
    compress: bool = True,
    journal: Mapping[str, int] | None = None,
    owners: Mapping[str, str] | None = None,
) -> list[Outcome]:
    """Rotate what is due of the rules' logs, `only` of these where that is given, and those of `force` in any case.

    `folder` holds the state (agent.logs.rules.place). `config` is the file with the backup jobs; None for the one by
    default. `voice` hears what the engine says. Where `compress` is false somebody else compresses later. `journal`
    is what the journal takes of each rule's budget. `owners` are those of `owners_of`, where `rules` are not all that
    there are. Waits for another that rotates.
    Raises HostwardError where nothing could be begun.
    """
    _make(folder)
    if owners is None:
        owners = owners_of(rules)
    plans = [_Plan(options, only, owners, now) for options in rules if options.enabled]
    listening = Ear(voice)
    general = listening.errors
    taken = journal or {}
    with place.locked(folder):
        state = read_state(folder, listening)
        memory = Memory(folder)
        for plan in plans:
            plan.see(memory)
        run = _Run(plans, listening, frozenset(force))
        at = moment.at(now)
        for log in (log for plan in plans for log in plan.logs if state.last(log) is None):
            state.rotated(log, at)  # seen first; the engine would note the hour, as logrotate does
        rotate(
            run.sections(),
            state,
            now=at,
            voice=listening,
            judge=run.judge,
            hooks=hooks if compress else _Uncompressed(),
            journal_path=f"{folder / place.STATE}.journal",
            save=partial(state.write, at),
        )
        run.current = None
        for plan in plans:
            plan.see_again(memory)
            if plan.options.archive is None:
                plan.sweep(config, listening, taken.get(plan.options.name, 0), compress=compress)
        try:
            memory.keep(owners)
        except OSError as error:  # On a full disk the rest is needed all the more.
            general.append(f"how fast logs grow is not kept: {error.strerror}")
    for plan in plans:
        if plan.options.archive is not None:
            guard = place.locked(folder)
            plan.sweep(config, listening, taken.get(plan.options.name, 0), compress=compress, guard=guard)
    if plans:
        plans[0].outcome.errors[:0] = general  # what a killed run had begun may be of any rule
    return [plan.outcome for plan in plans]


def known_logs(rules: Sequence[LogOptions]) -> list[str]:
    """All logs of all rules."""
    return [log for options in rules for log in logs_of(options)]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise HostwardError(f"{folder} cannot be made: {error.strerror}") from error


class _Plan:
    """One rule, from the look at its logs to what became of them."""

    def __init__(
        self, options: LogOptions, only: Collection[str] | None, owners: Mapping[str, str], now: float
    ) -> None:
        self.options = options
        self.outcome = Outcome(options.name)
        self.all: list[str] = []
        self.wanted: list[str] = []
        """Those that are judged."""
        self.logs: list[str] = []
        """Those of them that can be rotated."""
        self.rule = Rule()
        self._before: dict[str, os.stat_result] = {}
        self._used = 0
        self._now = now
        try:
            for log in logs_of(options):
                if (owner := owners.get(log, options.name)) == options.name:
                    self.all.append(log)
                else:
                    self.outcome.errors.append(f"{log} is rotated by the rule {owner} already")
            self.wanted = [log for log in self.all if only is None or log in only]
            self.rule = rule_of(options, compress_now=is_short(options, self.all))
        except (OSError, ConfigurationError) as error:
            self.outcome.errors.append(str(error))
            self.all = self.wanted = []

    def see(self, memory: Memory) -> None:
        """Look at the logs before anything is done."""
        for log in self.wanted:
            try:
                _, status = look(self.options, log)
            except FileNotFoundError:
                continue
            except UnfitError as error:
                self.outcome.errors.append(f"{log} is not rotated: {error}")
            except OSError as error:
                self.outcome.errors.append(f"{log} cannot be looked at: {error.strerror}")
            else:
                self.logs.append(log)
                self._before[log] = status
                memory.see(log, size=status.st_size, inode=status.st_ino, at=self._now)
        self._used = self._takes()

    def see_again(self, memory: Memory) -> None:
        """See what was rotated."""
        outcome = self.outcome
        for log in self.logs:
            if log in outcome.verdicts and outcome.verdicts[log].due and _is_rotated(log, self._before[log]):
                outcome.rotated.append(log)
            memory.see_again(log)

    def sweep(
        self,
        config: Path | None,
        voice: Voice,
        journal: int,
        *,
        compress: bool,
        guard: AbstractContextManager[None] | None = None,
    ) -> None:
        """Remove what is not to be kept."""
        outcome, options = self.outcome, self.options
        archive = None
        if options.archive is not None:
            tags = ["logs", f"rule:{options.name}", f"class:{options.retention or 'application'}"]
            archive = Archive(options.archive, config=config, tags=tags)
        swept = sweep(
            options,
            self.rule,
            self.all,
            now=self._now,
            voice=voice,
            journal=journal,
            compress=compress,
            archive=archive,
            guard=guard,
        )
        outcome.removed += swept.removed
        outcome.errors += swept.errors
        outcome.freed = max(self._used - swept.used, 0)

    def _takes(self) -> int:
        try:
            return used_by(self.all, all_old(self.options, self.rule, self.all))
        except OSError:
            return 0


def _is_rotated(log: str, before: os.stat_result) -> bool:
    try:
        status = os.lstat(log)
    except OSError:
        return True
    return status.st_ino != before.st_ino or status.st_size < before.st_size


class _Run:
    """What the engine asks, and of which rule."""

    def __init__(self, plans: Sequence[_Plan], voice: Ear, force: frozenset[str]) -> None:
        self._plans = plans
        self._voice = voice
        self._force = force
        self.current: _Plan | None = None

    def sections(self) -> Iterator[Section]:
        """One for each rule; while it is worked on what is said is about that rule."""
        for plan in self._plans:
            self.current = plan
            self._voice.errors = plan.outcome.errors
            options = plan.options
            yield Section(plan.rule, pattern=" ".join(options.paths), logs=plan.logs, place=options.name)

    def judge(self, rule: Rule, log: str, found: Facts, last: Moment, now: Moment, force: bool) -> due.Verdict:
        """By the rule's own options."""
        plan = self.current
        assert plan is not None and plan.rule is rule
        known = Log(found.size, free_for(plan.options, log), booted())
        force = force or log in self._force
        verdict = judge(plan.options, known, last.seconds, now.seconds, host=host(), force=force)
        verdict = unless_taken(verdict, rule, log, now)
        if verdict.due and plan.options.folder is not None:
            try:
                make_folder(Names(rule, log).folder, log)
            except OSError as error:
                said = f"the folder {plan.options.folder} of the old ones of {log} cannot be made: {error.strerror}"
                plan.outcome.errors.append(said)
                verdict = Verdict(False, "there is no folder for old ones")
        plan.outcome.verdicts[log] = verdict
        return due.Verdict(verdict.due, (f"  {'due' if verdict.due else 'not due'}: {verdict.reason}",))


class _Uncompressed(Hooks):
    """Leaves compression to somebody else."""

    def may_compress(self, path: str, device: int, inode: int) -> bool:
        return False
