"""The watcher's process: it hears which logs are written to, and has those rotated whose time, size or disk says so.

One loop, without threads. What takes long, may hang or fails is done by children: at most one rotates, one
compresses, one reads the journal, and one looks where a look may hang.
"""

from __future__ import annotations

import logging
import math
import os
import selectors
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from agent import clock
from agent.config.logs import LogOptions
from agent.config.watch import fingerprint, folders_to_watch
from agent.daemon.notify import Notifier
from agent.daemon.wake import Wake
from agent.logs.watch import status, work
from agent.logs.watch.child import Child
from agent.logs.watch.logs import AGAIN, DANGER_PAUSE, PAUSE, Far, Log, Logs, expand
from agent.logs.watch.observer import Observer, folders
from agent.logs.watch.packing import QUIET
from agent.logs.watch.status import Danger, RuleStatus
from agent.logs.watch.telling import COMPRESSING, ROTATING, WORDS, Telling
from agent.logs.watch.work import Answers, Packed, PackedAll, Places, Probed, Told
from kit.errors import HostwardError
from kit.files import lock_folder
from kit.terminal import bounded
from kit.units import Duration, format_duration

log = logging.getLogger(__name__)

REST = 0.25
"""Seconds between two looks at the same log, however often it is written to."""
SCAN = 2.0
"""Seconds between two looks at logs of whose changes nobody tells."""
PROBE = 10.0
"""The same where a look may hang."""
ANSWERED = 3 * PROBE
"""Seconds for which a look there that ended is taken to mean that the next one does."""
FORESEE = 5.0
"""Seconds between two forecasts."""
EVERY = status.EVERY
"""Seconds between two looks at everything, since events get lost."""
WHOLE = 3600.0
"""Seconds between two turns of all rules, which remove what has become too old."""
MOMENT = 10.0
"""Seconds until the first one after a log has come."""
MEND = 300.0
"""The same while something is wrong with a rule."""
PATIENCE = 900.0
"""Seconds after which a turn is ended: a program that hangs, run for a rule, keeps all others from being rotated."""
GOODBYE = 5.0
"""Seconds that a turn has to end when the watcher is to end."""

_FOR_EVER = Duration(10**11)

Load = Callable[[], tuple[LogOptions, ...]]
"""The rules as they are configured now. Raises HostwardError."""
A = TypeVar("A", bound=msgspec.Struct)


@dataclass
class Running:
    """A child and what it was given to do."""

    child: Child
    since: float
    """Ticks."""
    rules: frozenset[str]
    whole: bool = False
    """Whether all logs of the rules are judged."""
    dangers: dict[str, Danger] = field(default_factory=dict)
    """By path, the logs that are rotated before their time."""


class Watcher:
    """The rules, their logs and the children."""

    def __init__(self, load: Load, config: Path, places: Places, notifier: Notifier) -> None:
        """`config` is the file in which the rules are. Raises HostwardError where they cannot be read, or where the
        folder of the state cannot be made."""
        self._load = load
        self._config = config
        self._places = places
        self._notifier = notifier
        self._seen_config = fingerprint(config)
        self._config_folders: set[str] = set()
        self._rules = load()
        self._lock = _lock(places.folder)
        self._logs = Logs()
        self._observer = Observer()
        self._remote: frozenset[str] = frozenset()
        """Rules whose logs are where a look may hang."""
        self._answered = -math.inf
        """Ticks at which the last look there ended."""
        self._telling = Telling(places.folder)
        self._turning: Running | None = None
        self._archiving: Running | None = None
        """Like a turn, of rules whose old logs go into an archive first, which may take long."""
        self._packing: Running | None = None
        self._reading: Running | None = None
        self._probing: Running | None = None
        self._pack: dict[str, float] = {}
        """Rules of which something may be left to compress, and when to look."""
        self._hurried: set[str] = set()
        """Of those, rules whose disk is about to be full."""
        self._whole: dict[str, float] = {}
        """When each rule has its next whole turn, in ticks."""
        self._next_expansion = 0.0
        self._expansion_wanted = True
        self._next_look = 0.0
        self._next_scan = 0.0
        self._next_probe = 0.0
        self._next_forecast = 0.0
        self._next_journal = 0.0

    # --- The loop ---

    def run(self) -> None:
        """Until SIGTERM or SIGINT; SIGHUP has the rules read again."""
        wake = Wake((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        try:
            self._adopt()
            self._step()
            self._notifier.ready()
            found = _counted(len(self._logs.by_path), "log")
            log.info("watching %s of %s", found, _counted(len(self._rules), "rule"))
            while not (came := wake.read()) & {signal.SIGTERM, signal.SIGINT}:
                if signal.SIGHUP in came:
                    self._reload(asked=True)
                self._step()
                self._notifier.alive()
                if self._wait(wake, self._pause()):
                    # The kernel tells of each write. What comes within a moment is looked at once.
                    self._wait(wake, REST, hearing=False)
            self._notifier.stopping()
        finally:
            self._end()
            wake.close()

    def _step(self) -> None:
        """All that is to be done now."""
        now, ticks = time.time(), clock.ticks()
        self._hear(ticks)
        self._hear_children(now, ticks)
        self._look(now, ticks)
        self._start(now, ticks)
        if ticks >= self._telling.next or self._telling.is_news:
            self._telling.write(self._rules, self._logs, self._remote, now, ticks)

    def _wait(self, wake: Wake, seconds: float, *, hearing: bool = True) -> bool:
        """Whether the kernel told of a change."""
        with selectors.DefaultSelector() as selector:
            selector.register(wake, selectors.EVENT_READ)
            for running in self._children():
                selector.register(running.child, selectors.EVENT_READ)
            if hearing and self._observer.fileno() >= 0:
                selector.register(self._observer, selectors.EVENT_READ, self)
            return any(key.data is self for key, _ in selector.select(max(0.0, seconds)))

    def _pause(self) -> float:
        """Seconds until something is to be done that nobody tells of."""
        now, ticks = time.time(), clock.ticks()
        busy = {name for running in (self._turning, self._archiving) if running is not None for name in running.rules}
        whole = [when for name, when in self._whole.items() if name not in busy and self._answers(name, ticks)]
        times = [self._next_look, self._next_forecast, self._telling.next, *whole]
        if self._observer.unwatched or self._observer.fileno() < 0:
            times.append(self._next_scan)
        if self._remote:
            times.append(self._next_probe)
        if self._expansion_wanted:
            times.append(self._next_expansion)
        if self._packing is None:
            times += [when for name, when in self._pack.items() if self._answers(name, ticks)]
        if self._turning is None:
            wanting = [log for log in self._logs.by_path.values() if log.seen and self._answers(log.rule.name, ticks)]
            times += [max(ticks, log.not_before) for log in wanting if log.is_large()]
            times += [
                max(ticks + log.turn - now, log.not_before)
                for log in wanting
                if log.turn is not None and log.size >= log.rule.min_size
            ]
        else:
            times.append(self._turning.since + PATIENCE)
        longest = self._notifier.watchdog / 3 if self._notifier.watchdog else EVERY
        return min(max(REST, min(times) - ticks), longest)

    # --- What is heard and seen ---

    def _hear(self, ticks: float) -> None:
        changes = self._observer.read()
        if changes.names:
            self._expansion_wanted = True
        if changes.lost:
            self._next_look = ticks
        for path in changes.files:
            known = self._logs.by_path.get(path)
            if known is not None:
                known.look(ticks)
        if changes.names or any(path.rpartition("/")[0] in self._config_folders for path in changes.files):
            self._reload()

    def _look(self, now: float, ticks: float) -> None:
        if ticks >= self._next_look:
            self._next_look = ticks + EVERY
            self._expansion_wanted = True
            self._reload()
            self._look_at_mounts()
            self._look_at(log for log in self._logs.by_path.values() if log.rule.name not in self._remote)
        if self._expansion_wanted and ticks >= self._next_expansion:
            self._expand(ticks)
        if (self._observer.unwatched or self._observer.fileno() < 0) and ticks >= self._next_scan:
            self._next_scan = ticks + SCAN
            blind = self._observer.unwatched
            self._look_at(
                log
                for log in self._logs.by_path.values()
                if log.rule.name not in self._remote and (log.path.rpartition("/")[0] or "/") in blind
            )

    def _look_at_mounts(self) -> None:
        """See which rules have logs where a look may hang."""
        blind = self._observer.blind(path for rule in self._rules for path in rule.paths)
        self._remote = frozenset(
            rule.name for rule in self._rules if rule.enabled and any(path in blind for path in rule.paths)
        )

    def _look_at(self, logs: Iterable[Log]) -> None:
        ticks = clock.ticks()
        for each in logs:
            each.look(ticks)

    def _expand(self, ticks: float) -> None:
        """See which logs there are now, and watch their folders."""
        self._expansion_wanted = False
        local = [rule for rule in self._rules if rule.enabled and rule.name not in self._remote]
        wanted = {folder for rule in local for path in rule.paths for folder in folders(path)}
        # First the watch, then the look: what comes in between is told.
        self._config_folders = {str(folder) for folder in folders_to_watch(self._config)}
        self._observer.watch(sorted(wanted | self._config_folders))
        new = self._logs.become(expand(local), [rule.name for rule in local], ticks)
        self._look_at(new)
        self._look_for_first_time(new, ticks)
        # In a folder where names come and go all the time this is not all that is done.
        self._next_expansion = ticks + max(REST, 20 * (clock.ticks() - ticks))

    def _look_for_first_time(self, new: Iterable[Log], ticks: float) -> None:
        """Have it written down when they were first seen; where they come all the time that has a moment."""
        for name in {each.rule.name for each in new}:
            self._whole[name] = min(self._whole.get(name, ticks), ticks + MOMENT)

    # --- The configuration ---

    def _reload(self, *, asked: bool = False) -> None:
        now = fingerprint(self._config)
        if now == self._seen_config and not asked:
            return
        self._seen_config = now
        self._notifier.reloading()
        try:
            self._rules = self._load()
        except HostwardError as error:
            # Whoever asked is answered each time; else the log says the same once an hour.
            answer = {"event": "reload"} if asked else None
            log.error("the configuration is not taken on, what was in force stays: %s", error, extra=answer)
        else:
            self._adopt()
            log.info("the configuration was read again: %s", _counted(len(self._rules), "rule"))
        self._notifier.ready()

    def _adopt(self) -> None:
        """Begin with the rules that there are now."""
        ticks = clock.ticks()
        names = {rule.name for rule in self._rules if rule.enabled}
        self._look_at_mounts()
        self._telling.become(names)
        self._logs.become({}, {log.rule.name for log in self._logs.by_path.values()} - names, ticks)
        self._whole = dict.fromkeys(names, ticks)
        self._pack = dict.fromkeys(names, ticks)
        self._hurried &= names
        self._next_look = self._next_probe = self._next_journal = ticks
        self._expansion_wanted, self._next_expansion = True, ticks

    def _rule(self, name: str) -> LogOptions | None:
        return next((rule for rule in self._rules if rule.name == name and rule.enabled), None)

    # --- Children ---

    def _children(self) -> list[Running]:
        children = (self._turning, self._archiving, self._packing, self._reading, self._probing)
        return [running for running in children if running is not None]

    def _start(self, now: float, ticks: float) -> None:
        if self._turning is None:
            self._start_turn(now, ticks)
        elif ticks > self._turning.since + PATIENCE:
            log.error("a rotation did not end within %s and is given up", format_duration(PATIENCE))
            self._turning.child.kill()
        if self._archiving is None:
            names = frozenset(rule.name for rule in self._due(ticks) if rule.archive is not None)
            if names:
                self._archiving = self._turn(names, None, {}, now, ticks)
        if self._packing is None:
            self._start_packing(now, ticks)
        if self._remote and self._probing is None and ticks >= self._next_probe:
            self._next_probe = ticks + PROBE
            rules = [rule for rule in self._rules if rule.name in self._remote]
            self._probing = Running(
                Child(lambda: _encode(work.take_probe(rules))), ticks, frozenset(rule.name for rule in rules)
            )
        if self._reading is None and ticks >= self._next_journal:
            self._next_journal = ticks + WHOLE
            if any(rule.units for rule in self._rules):
                self._reading = Running(
                    Child(lambda: _encode(work.take_journal(self._places)), low=True), ticks, frozenset()
                )

    def _start_turn(self, now: float, ticks: float) -> None:
        """Of the logs that want one, or else of all rules whose turn it is."""
        dangers = self._dangers(now, ticks)
        wants = [log.path for log in self._logs.wanting(now, ticks) if self._answers(log.rule.name, ticks)]
        wanting = frozenset([*dangers, *wants])
        if not wanting:
            names = frozenset(rule.name for rule in self._due(ticks) if rule.archive is None)
            if names:
                self._turning = self._turn(names, None, {}, now, ticks)
            return
        for path in wanting:
            self._logs.by_path[path].not_before = ticks + AGAIN
            if path in dangers:
                self._logs.by_path[path].danger_after = ticks + DANGER_PAUSE
        names = frozenset(self._logs.by_path[path].rule.name for path in wanting)
        self._turning = self._turn(names, wanting, dangers, now, ticks)

    def _due(self, ticks: float) -> list[LogOptions]:
        """The rules of which all logs are to be judged, and what is kept."""
        return [
            rule
            for rule in self._rules
            if self._whole.get(rule.name, ticks + 1) <= ticks and self._answers(rule.name, ticks)
        ]

    def _answers(self, name: str, ticks: float) -> bool:
        """Whether the logs of a rule can be reached: one child that hangs would keep all others from being
        rotated."""
        return name not in self._remote or ticks - self._answered < ANSWERED

    def _turn(
        self, names: frozenset[str], only: frozenset[str] | None, dangers: dict[str, Danger], now: float, ticks: float
    ) -> Running:
        rules = [rule for rule in self._rules if rule.name in names]
        if only is None:
            for name in names:
                self._whole[name] = ticks + WHOLE
        else:
            # What goes into an archive takes its time: the next whole turn does it.
            rules = [rule if rule.archive is None else keeping_all(rule) for rule in rules]
        journal = {rule.name: self._telling.counted(rule.name) for rule in rules}
        owners = {path: known.rule.name for path, known in self._logs.by_path.items()}

        def work_of_child() -> bytes:
            answers = work.take_turn(
                rules,
                self._places,
                now=now,
                only=only,
                force=dangers.keys(),
                journal=journal,
                owners=owners,
            )
            return _encode(answers)

        return Running(Child(work_of_child), ticks, names, only is None, dangers)

    def _dangers(self, now: float, ticks: float) -> dict[str, Danger]:
        """The logs that are to be rotated before their time."""
        if ticks < self._next_forecast:
            return {}
        self._next_forecast = ticks + FORESEE
        found = {log.path: Danger(log.path, now, 0.0) for log in self._logs.short_of_disk(now, ticks)}
        for danger in self._logs.endangering(now, ticks):
            found[danger.path] = Danger(danger.path, now, danger.seconds)
        logs = self._logs.by_path
        return {path: danger for path, danger in found.items() if self._answers(logs[path].rule.name, ticks)}

    def _start_packing(self, now: float, ticks: float) -> None:
        names = frozenset(name for name, when in self._pack.items() if when <= ticks and self._answers(name, ticks))
        if not names:
            return
        for name in names:
            del self._pack[name]
        rules = [rule for rule in self._rules if rule.name in names]
        hurried = names & self._hurried
        child = Child(lambda: _encode(work.take_pack(rules, self._places, at_once=hurried, now=now)), low=not hurried)
        self._packing = Running(child, ticks, names)

    def _hear_children(self, now: float, ticks: float) -> None:
        if (done := self._turning) is not None and done.child.read():
            self._turning = None
            self._turned(done, _decode(done.child.reap(), Answers), now, ticks)
        if (done := self._archiving) is not None and done.child.read():
            self._archiving = None
            self._turned(done, _decode(done.child.reap(), Answers), now, ticks)
        if (done := self._packing) is not None and done.child.read():
            self._packing = None
            self._packed(done, _decode(done.child.reap(), PackedAll), now, ticks)
        if (done := self._probing) is not None and done.child.read():
            self._probing = None
            self._probed(_decode(done.child.reap(), Probed), ticks)
        if (done := self._reading) is not None and done.child.read():
            self._reading = None
            self._told(_decode(done.child.reap(), Told))

    def _turned(self, done: Running, answers: Answers | None, now: float, ticks: float) -> None:
        self._telling.is_news = True
        error = "the rotation was cut off" if answers is None else answers.error
        for name in done.rules:
            rule, told = self._rule(name), self._telling.of(name)
            if rule is None or told is None:
                continue  # it was taken away meanwhile
            found = answers.rules.get(name) if answers is not None else None
            if found is None:
                self._went(name, ROTATING, [error or "nothing was said of it"], now, ticks)
                continue
            told.kept, told.kept_size, told.growth = found.kept, found.kept_size, found.growth
            told.freed += found.freed
            for path, turn in found.turns.items():
                if (known := self._logs.by_path.get(os.fsdecode(path))) is not None:
                    known.turn = turn
            for rotated in found.rotated:
                self._rotated(os.fsdecode(rotated), name, told, done, now, ticks)
            if found.errors or done.whole or not self._telling.is_in_trouble(name, ROTATING):
                self._went(name, ROTATING, found.errors, now, ticks)
        self._look_at(log for log in self._logs.by_path.values() if log.rule.name in done.rules - self._remote)

    def _rotated(self, path: str, name: str, told: RuleStatus, done: Running, now: float, ticks: float) -> None:
        told.rotations += 1
        told.rotated = now
        if (known := self._logs.by_path.get(path)) is not None:
            known.not_before = ticks + PAUSE
        self._pack.setdefault(name, ticks + QUIET)
        danger = done.dangers.get(path)
        if danger is None:
            log.info("%s: %s was rotated", name, path)
            return
        told.low_disk += 1
        told.danger = Danger(bounded(path, WORDS), danger.time, danger.left)
        self._hurried.add(name)
        self._pack[name] = ticks
        left = (
            f"would have filled its disk within {format_duration(danger.left)}"
            if danger.left
            else "is on a full disk"
        )
        log.warning("%s: %s %s: it was rotated before its time", name, path, left)

    def _went(self, name: str, what: str, errors: list[str], now: float, ticks: float) -> None:
        """How it went for a rule: where something is wrong all of it is looked at again soon."""
        self._telling.went(name, what, errors, now)
        if errors:
            self._whole[name] = min(self._whole.get(name, ticks + MEND), ticks + MEND)

    def _packed(self, done: Running, packed: PackedAll | None, now: float, ticks: float) -> None:
        self._telling.is_news = True
        packed = packed or PackedAll()
        for text in packed.said:
            log.warning("%s", text)
        for name in done.rules:
            told = self._telling.of(name)
            if told is None:
                continue
            found = packed.rules.get(name, Packed(errors=["compressing was cut off"]))
            told.freed += max(0, found.freed)
            told.waiting = found.waiting
            left = [os.fsdecode(path) for path in found.left]
            errors = found.errors + self._telling.still_written(name, left, ticks)
            self._went(name, COMPRESSING, errors, now, ticks)
            if found.left or found.waiting:
                self._pack.setdefault(name, ticks + (QUIET if found.left else EVERY / 2))
            elif errors:
                self._pack.setdefault(name, ticks + MEND)
            if found.made:
                # What waited for this may go, into an archive too; on a full disk there may still be too much.
                soon = ticks if name in self._hurried else ticks + EVERY
                self._whole[name] = min(self._whole.get(name, soon), soon)
            if not found.left:
                self._hurried.discard(name)

    def _probed(self, probed: Probed | None, ticks: float) -> None:
        if probed is None:
            return
        self._answered = ticks
        rules = {rule.name: rule for rule in self._rules if rule.name in self._remote}
        seen = {os.fsdecode(path): found for path, found in probed.logs.items() if found[0] in rules}
        new = self._logs.become({path: rules[found[0]] for path, found in seen.items()}, rules, ticks)
        for path, (_, size, device, free) in seen.items():
            known = self._logs.by_path[path]
            known.far = Far(free)
            known.see(size, device, ticks)
        self._look_for_first_time(new, ticks)

    def _told(self, told: Told | None) -> None:
        if told is None or told.error:
            log.warning("what the journal takes is not known: %s", told.error if told else "reading it was cut off")
            return
        self._telling.take(told.units, self._rules, self._logs)

    # --- The end ---

    def _end(self) -> None:
        """End the children: a rotation may take a moment, the others begin anew next time."""
        for running in (self._archiving, self._packing, self._reading, self._probing):
            if running is not None:
                running.child.kill()
        if self._turning is not None:
            deadline = clock.ticks() + GOODBYE
            with selectors.DefaultSelector() as selector:
                selector.register(self._turning.child, selectors.EVENT_READ)
                while (left := deadline - clock.ticks()) > 0 and not self._turning.child.read():
                    selector.select(left)
            self._turning.child.kill()
        self._observer.close()
        os.close(self._lock)


def keeping_all(rule: LogOptions) -> LogOptions:
    """The same rule, but it removes nothing."""
    return msgspec.structs.replace(
        rule, archive=None, count=None, total_size=None, keep_free=None, budget=None, units=(), max_age=_FOR_EVER
    )


def _lock(folder: Path) -> int:
    """Keeps others from watching: a descriptor of the folder of the state, which is made. Raises HostwardError."""
    try:
        descriptor = lock_folder(folder, mode=0o755)
    except OSError as error:
        raise HostwardError(f"{folder} cannot be used: {error.strerror}") from error
    if descriptor is None:
        raise HostwardError(f"another process watches logs already, with its state in {folder}")
    return descriptor


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _encode(answer: msgspec.Struct) -> bytes:
    return msgspec.msgpack.encode(answer)


def _decode(answer: bytes | None, kind: type[A]) -> A | None:
    """None for a child that was cut off."""
    return None if answer is None else msgspec.msgpack.decode(answer, type=kind)
