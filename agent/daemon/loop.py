"""The agent: one thread with one loop that sleeps until something is due, ends or calls.

Beside it there are the threads that watch the configuration's files and that deliver reports; neither touches what
the loop owns.
"""

from __future__ import annotations

import logging
import os
import sched
import selectors
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from agent import clock
from agent.backups.records import R
from agent.clock import Repeated
from agent.config import last_good
from agent.config.defaults import effective_checks
from agent.config.load import read
from agent.config.schema import CONFIG_CHECK, Config
from agent.config.watch import ConfigWatcher
from agent.daemon import log_days, package_lists, recorded, running
from agent.daemon.backup_runs import Backups
from agent.daemon.drill_runs import Drills
from agent.daemon.exporting import Exporting
from agent.daemon.ledger import Ledger
from agent.daemon.lock import Lock
from agent.daemon.log_days import LogDays
from agent.daemon.notify import Notifier
from agent.daemon.package_lists import PackageLists
from agent.daemon.programs import Programs
from agent.daemon.recorded import Kind, Recorded, Table
from agent.daemon.reporting import Reporting
from agent.daemon.rounds import Rounds
from agent.daemon.running import Running
from agent.daemon.timed import Timetable
from agent.daemon.wake import CALL, Wake
from agent.facts import boot_id, facts
from agent.jobs.supervisor import Jobs
from agent.paths import System
from agent.privileged.protocol import SOCKET
from agent.salvage import salvage
from agent.state import State, StateCorruptError, StateError, make_folder
from kit.errors import ConfigurationError, UsageError
from kit.options.load import Loaded
from kit.version import __version__
from wire import report
from wire.report import Event, Gap

log = logging.getLogger(__name__)

THIS_HOST = System()
FIRST_REPORT = 1.0
"""Seconds from the start to the first report, and from each round of checks to its report: programs take a while."""
SECOND_REPORT = 3.5
"""Seconds from the start to a report besides those at each interval: rates have their second sample by then."""
LOOK = 5.0
"""Seconds between looks for an enrolment while there is none."""
FACTS_EVERY = 3600.0
LONGEST_SLEEP = 60.0
"""Seconds within which a clock that was set is noticed."""
CLOCK_SET = 1.0
"""Seconds by which the wall clock must leave the one that nobody sets to count as set."""
JOBS_GRACE = 4.0
"""Seconds between the SIGTERM and the SIGKILL of jobs when the agent ends."""
BEFORE = "the configuration before stays in force"
LAST_DELIVERY = 3.0
"""Seconds for a delivery under way when the agent ends. Together with the jobs it is within 10 s."""


def run(folder: Path, file: Path, *, must_exist: bool, system: System = THIS_HOST) -> None:
    """Run the agent on a state folder and a configuration file until SIGTERM or SIGINT.

    `must_exist` is for a `file` that somebody named. Raises UsageError where that one is not there, StateError for a
    folder that is not usable or that another agent runs on. A configuration with mistakes does not keep it from
    watching: see `Daemon.serve`.
    """
    if must_exist and not os.path.lexists(file):
        raise UsageError(f"{file}: there is no such file")
    wake = Wake((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    watcher = ConfigWatcher(file, wake.call)
    try:
        watcher.start()
        make_folder(folder)
        with Lock.take(folder):
            Daemon(folder, Source(file, must_exist, system), wake).serve()
    finally:
        watcher.stop()
        wake.close()


@dataclass(frozen=True, slots=True)
class Source:
    """Where the configuration comes from."""

    file: Path
    must_exist: bool
    system: System

    def read(self) -> Loaded[Config]:
        """What the files say now. Raises ConfigurationError."""
        return read(self.file, system=self.system, must_exist=self.must_exist)


class Daemon:
    """The parts of a running agent, and the loop that drives them."""

    def __init__(self, folder: Path, source: Source, wake: Wake) -> None:
        defaults, system = Config(), source.system
        self._folder = folder
        self._source = source
        self._wake = wake
        self._system = system
        self._ending = False
        self._started = time.time()
        self._adopted = False
        """Whether a configuration of the files is in force, be it an earlier one."""
        self._refused = ""
        self._instead = BEFORE
        """What is in force while the files have mistakes."""
        self._offset = time.time() - clock.ticks()
        self._notifier = Notifier()
        self._boot = boot_id(system)
        self._facts = facts(system)
        self._scheduler = sched.scheduler(clock.ticks)
        self._selector = selectors.DefaultSelector()
        self._selector.register(wake, selectors.EVENT_READ, self._called)
        self._jobs = Jobs(self._selector)
        self._state = State.open(folder)
        self._ledger = Ledger(self._state, self._boot)
        self._reporting = Reporting(self._state, self._boot, defaults.home)
        self._exporting = Exporting(self._ledger, system, folder)
        self._rounds = Rounds(self._scheduler, self._jobs, self._ledger, replace(system, state_folder=folder))
        self._timetable = Timetable(self._scheduler, self._ledger, self._state, host=os.uname().nodename)
        self._programs = Programs(
            self._jobs,
            self._ledger,
            self._state,
            keep=defaults.agent.history,
            root_half=system.path(*SOCKET),
        )
        self._drill_kind = Drills()
        self._backups = self._recorded(Backups())
        self._drills = self._recorded(self._drill_kind)
        self._log_days = LogDays(self._jobs, self._ledger, self._state, host=os.uname().nodename)
        self._package_lists = PackageLists(self._jobs, self._ledger, self._state, system)
        self._reports: Repeated | None = None
        self._interval = self._reporting.interval

    def _recorded(self, kind: Kind[R, Table]) -> Recorded[R, Table]:
        config, root_half = self._source.file.absolute(), self._system.path(*SOCKET)
        return Recorded(kind, self._jobs, self._ledger, self._state, config=config, root_half=root_half)

    def serve(self) -> None:
        """Run until a signal ends it.

        Where the configuration has mistakes, the last one without takes effect, and `config` is a warning. Where
        there never was one, the checks that fit the host run as they are by default, and `config` is critical, until
        it is mended. A host that nobody watches, because of a comma, would be worse.
        """
        self._begin()
        self._load()
        self._reporting.look()
        self._ledger.reporting = self._reporting.enrolled
        self._repeat()
        self._notifier.ready()
        try:
            while not self._ending:
                delay = self._scheduler.run(blocking=False)
                self._settle()
                self._jobs.wait(LONGEST_SLEEP if delay is None else min(delay, LONGEST_SLEEP))
        finally:
            self._end()

    # What is due.

    def _repeat(self) -> None:
        base = clock.ticks()
        Repeated(self._scheduler, LOOK, self._look, first=base + LOOK)
        Repeated(self._scheduler, FACTS_EVERY, self._find_facts, first=base + FACTS_EVERY)
        Repeated(self._scheduler, log_days.LOOK, self._log_days.look, first=base + log_days.LOOK)
        look = self._package_lists.look
        Repeated(self._scheduler, package_lists.LOOK, look, first=base + package_lists.LOOK)
        Repeated(self._scheduler, recorded.LOOK, self._backups.look, first=base)
        Repeated(self._scheduler, recorded.LOOK, self._drills.look, first=base)
        Repeated(self._scheduler, recorded.LOOK, self._timetable.look, first=base + recorded.LOOK)
        if self._notifier.watchdog is not None:
            Repeated(self._scheduler, self._notifier.watchdog / 2, self._notifier.alive, first=base)
        self._scheduler.enterabs(base + FIRST_REPORT, 1, self._report)
        self._scheduler.enterabs(base + SECOND_REPORT, 1, self._report)
        self._repeat_reports(base + FIRST_REPORT)

    def _repeat_reports(self, base: float) -> None:
        if self._reports is not None:
            self._reports.cancel()
        self._interval = self._reporting.interval
        first = base + self._interval
        self._reports = Repeated(self._scheduler, self._interval, self._report, first=first, priority=1)

    def _report(self) -> None:
        if not self._reporting.enrolled:
            return
        now = time.time()
        with self._undamaged():
            self._ledger.flush(now)
            self._reporting.report(self._facts, now=now)
        if self._reporting.interval != self._interval:
            self._repeat_reports(clock.ticks())

    def _look(self) -> None:
        if self._reporting.look():
            self._report()
        self._ledger.reporting = self._reporting.enrolled
        self._exporting.look()

    def _find_facts(self) -> None:
        self._facts = facts(self._system)

    def _settle(self) -> None:
        """After each turn of the loop: keep what came of it, and see whether somebody set the clock."""
        now = time.time()
        offset = now - clock.ticks()
        if abs(offset - self._offset) > CLOCK_SET:
            text = "the clock was set {} by {:.0f} s".format(*_direction(offset - self._offset))
            self._ledger.event(Event(time=now, kind="clock.set", message=text, state="warning"))
            self._offset = offset
            self._timetable.replan()
            self._backups.clock_set()
            self._drills.clock_set()
        with self._undamaged():
            self._ledger.flush(now)
        self._exporting.publish()

    # What calls.

    def _called(self) -> None:
        calls = self._wake.read()
        if calls & {signal.SIGTERM, signal.SIGINT}:
            self._ending = True
        elif calls & {signal.SIGHUP, CALL}:
            self._reload()

    def _reload(self) -> None:
        self._notifier.reloading()
        if text := self._load():
            self._ledger.event(Event(time=time.time(), kind="config.reloaded", message=text, check=CONFIG_CHECK))
        self._notifier.ready()

    def _load(self) -> str:
        """Let the configuration take effect, and say which; nothing where it was refused, which it says itself."""
        try:
            loaded = self._source.read()
            text = self._adopt(loaded)
        except ConfigurationError as error:
            self._refuse(error)
            return ""
        self._adopted = True
        self._refused = ""
        self._instead = BEFORE
        try:
            last_good.save(self._folder, loaded.tree.values, time.time())
        except OSError as error:
            log.warning("the configuration could not be kept for a start with mistakes: %s", error.strerror)
        return text

    def _refuse(self, error: ConfigurationError) -> None:
        now = time.time()
        first, *others = str(error).splitlines()
        more = f" (and {len(others)} more, see hostward config check)" if others else ""
        if not self._adopted:
            self._fall_back()
        state: report.State = "warning" if self._adopted else "critical"
        text = f"{first}{more}; {self._instead}"
        self._ledger.stands(CONFIG_CHECK, CONFIG_CHECK, state, text, now=now)
        if text != self._refused:
            self._refused = text
            self._ledger.event(Event(time=now, kind="config.refused", message=text, state=state, check=CONFIG_CHECK))

    def _fall_back(self) -> None:
        """A start with mistakes: the last configuration that had none takes effect, else the defaults."""
        kept = last_good.load(self._folder, self._system)
        with suppress(ConfigurationError):
            if kept is not None:
                config, since = kept
                self._apply(config)
                self._adopted = True
                moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(since))
                self._instead = f"the last good configuration, that of {moment}, is in force"
                return
        # Nothing is forgotten of checks and jobs that do not run now: they will again.
        self._rounds.replace(effective_checks(Config(), self._system))
        self._instead = "until that is mended the host's default checks run, and no jobs"

    def _adopt(self, loaded: Loaded[Config]) -> str:
        """Let a configuration take effect, and say which. Raises ConfigurationError; then the one before holds."""
        self._apply(loaded.value)
        files = ", ".join(map(str, loaded.files))
        text = f"in force: {files}" if files else "no configuration file: the defaults are in force"
        self._ledger.stands(CONFIG_CHECK, CONFIG_CHECK, "ok", text, now=time.time())
        return text

    def _apply(self, config: Config) -> None:
        checks = effective_checks(config, self._system)
        self._rounds.replace(checks)
        self._drill_kind.backups = config.backups
        self._timetable.replace(
            {
                **self._programs.adopt(config.jobs, keep=config.agent.history),
                **self._backups.adopt(config.backups),
                **self._drills.adopt(config.drills),
            }
        )
        self._exporting.adopt(config.metrics, checks)
        self._ledger.keep_checks({*checks, *self._programs.checks, *self._exporting.checks, CONFIG_CHECK})
        self._reporting.adopt(config.home)
        self._log_days.enabled = config.home.logs
        if self._reports is not None and self._reporting.interval != self._interval:
            self._repeat_reports(clock.ticks())

    # Beginning, beginning anew, and ending.

    def _begin(self) -> None:
        now = time.time()
        self._describe()
        self._tell_damage(now)
        self._ledger.event(Event(time=now, kind="agent.started", message=f"agent {__version__} started"))

    def _describe(self) -> None:
        file = self._source.file.absolute()
        described = Running(pid=os.getpid(), started=self._started, version=__version__, configuration=str(file))
        self._ledger.put(running.KEY, running.encode(described))

    @contextmanager
    def _undamaged(self) -> Iterator[None]:
        """Begin a new database where the one there is turns out to be damaged; what is known goes on in it."""
        try:
            yield
        except StateCorruptError as error:
            log.error("%s", error)
            self._reporting.stop(0.0)
            self._state.close()
            self._state = State.open(self._folder)
            self._ledger.begin_anew(self._state)
            self._reporting.begin_anew(self._state)
            self._timetable.begin_anew()
            self._backups.begin_anew(self._state)
            self._drills.begin_anew(self._state)
            self._package_lists.begin_anew()
            now = time.time()
            self._describe()
            self._tell_damage(now)

    def _tell_damage(self, now: float) -> None:
        """Save what a damaged state held for home, and say what became of it."""
        damage = self._state.damage
        if damage is None:
            return
        if damage.aside is None:
            text = "the state was gone, and a new one was begun"
            with suppress(StateError), self._state.transaction():
                self._state.add_gap(Gap(reason="corrupt", since=now, until=now))
        else:
            what = "had gone back in time" if damage.reverted else "was damaged"
            try:
                saved = salvage(damage.aside, self._state, rows=not damage.reverted, now=now)
            except StateError as error:
                saved = f"what waited in it could not be saved ({error})"
            text = f"the state {what}: it is kept as {damage.aside}, and a new one was begun; {saved}"
        self._ledger.event(Event(time=now, kind="state.damaged", message=text, state="warning"))

    def _end(self) -> None:
        self._notifier.stopping()
        self._exporting.stop()
        self._rounds.stop()
        self._jobs.stop(JOBS_GRACE)
        now = time.time()
        self._ledger.event(Event(time=now, kind="agent.stopped", message="agent stopped"))
        with suppress(StateError):
            self._ledger.flush(now)
        self._report()
        self._reporting.stop(LAST_DELIVERY)
        self._state.close()


def _direction(seconds: float) -> tuple[str, float]:
    return ("forward" if seconds > 0 else "back"), abs(seconds)
