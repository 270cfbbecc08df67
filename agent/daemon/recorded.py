"""Backup jobs and drills on the timetable: each run a process, of its own or of root's half, and every one on record.

The record is in the state folder (agent/backups/records.py), where those of runs by hand are too. The report learns
of all of them from there, each once: which was told last is kept in one transaction with the telling.
"""

from __future__ import annotations

import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Generic, Literal, TypeVar

import msgspec

from agent.backups.command import command
from agent.backups.job.turn import try_turn
from agent.backups.plan import Planned, decode, encode, key_of, next_run, with_since
from agent.backups.records import KILLED, TOLD, Begun, Book, R, Recording
from agent.config.backups import BackupOptions
from agent.config.drills import DrillOptions
from agent.daemon.ledger import Ledger
from agent.daemon.timed import Timed, moments
from agent.jobs.limits import Limits
from agent.jobs.run import Ended, OnEnd
from agent.jobs.supervisor import WITH_AGENT, Jobs
from agent.privileged.protocol import encode_request
from agent.state import State
from wire.report import Event
from wire.report import State as Standing

log = logging.getLogger(__name__)

LOOK = 30.0
"""Seconds between looks for what was run by hand, and for what was lost."""
Table = TypeVar("Table", bound=BackupOptions | DrillOptions)


class Kind(ABC, Generic[R, Table]):
    """What differs between backups and drills."""

    word: Literal["backup", "drill"]
    """What root's half and the command line call it."""
    book: Literal["backups", "drills"]
    run: type[R]

    @abstractmethod
    def begun(self, name: str, options: Table, now: float) -> Begun:
        """What goes on record when a run begins."""

    @abstractmethod
    def places(self, options: Table) -> frozenset[str]:
        """The repositories that a run works on."""

    @abstractmethod
    def failed(self, begun: Begun, options: Table | None, *, now: float, message: str) -> R | None:
        """What goes on record of a run that could not say itself how it ended; None where nothing can, since its
        table has gone."""

    @abstractmethod
    def complete(self, run: R, before: Sequence[R], due: float | None) -> R:
        """The same with what the runs before say."""

    @abstractmethod
    def tell(self, ledger: Ledger, run: R) -> tuple[Standing, str]:
        """Let home know of it; and how it went, with a sentence for where that is not well."""

    @abstractmethod
    def planned(self, name: str, options: Table, now: float) -> Planned:
        """What is kept of the plan, for the check."""


class Recorded(Generic[R, Table]):
    """Those of one kind, for the timetable."""

    def __init__(
        self,
        kind: Kind[R, Table],
        jobs: Jobs,
        ledger: Ledger,
        state: State,
        *,
        config: Path,
        root_half: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`config` is the file that runs read; root's half of the agent listens at `root_half`."""
        self._kind = kind
        self._jobs = jobs
        self._ledger = ledger
        self._folder = state.folder
        self._config = config
        self._root_half = root_half
        self._clock = clock
        self._book: Book[R] = Book(state.folder, kind.book, kind.run)
        self._decoder: msgspec.json.Decoder[R] = msgspec.json.Decoder(kind.run)
        self._state = state
        self._told_key = f"{TOLD}{kind.book}:"
        self._wanted: dict[str, Table] = {}

    @cached_property
    def _told(self) -> dict[str, int]:
        """The number of the run of each that home was told of last. Read when it is first asked for: what could be
        saved of a damaged state is there by then."""
        return {name: int(number) for name, number in moments(self._state, self._told_key).items()}

    def begin_anew(self, state: State) -> None:
        """Another database took the place of the one that was damaged: it shall know what was told."""
        self._state = state
        for name, number in self._told.items():
            self._ledger.put(self._told_key + name, str(number))

    def clock_set(self) -> None:
        """Somebody has set the clock: nothing was planned at a time that is still to come."""
        self._note_plan()

    def adopt(self, wanted: Mapping[str, Table]) -> dict[str, Timed]:
        """These are what is configured from now on; gives those with a timetable that is not turned off, by key."""
        self._wanted = dict(wanted)
        self._note_plan()
        return {
            one.key: one
            for name, options in wanted.items()
            if options.is_timed and options.enabled
            for one in [_Recorded(name, options, self)]
        }

    def look(self) -> None:
        """Put on record what was lost, and tell of all that is new on record."""
        for name in self._names():
            try:
                settled = self._book.settle(name, partial(self._lost, name))
                for run in settled:
                    log.warning("%s: a run was lost", self.key(name), extra={"run": run})
                self._tell_new(name)
            except OSError as error:
                log.warning("%s: the records cannot be read: %s", self.key(name), error.strerror)

    def places(self, options: Table) -> frozenset[str]:
        """The repositories that a run works on."""
        return self._kind.places(options)

    def key(self, name: str) -> str:
        """By which the timetable knows it."""
        return key_of(self._kind.word, name)

    def last(self, name: str) -> float:
        """When its last run began, whoever started it; 0.0 for never.

        One that was ended with the agent is none: its time had come, and it is made up for. A lost run is one: what
        took the host down may do so again. One that lies ahead was told by a clock that was wrong.
        """
        with suppress(OSError):
            runs = [one.record.run for one in self._book.runs(name, last=10)]
            began = [run.started for run in runs if run.message != WITH_AGENT]
            began += [begun.started for begun in self._book.going_on(name)]
            now = self._clock()
            return max((moment for moment in began if moment <= now), default=0.0)
        return 0.0

    def start(self, name: str, options: Table, now: float, on_end: Callable[[], None]) -> bool:
        """Begin a run; False where none can be begun now, as while one by hand works on the same repository."""
        give_back = self._take_turn(name, options)
        if give_back is None:
            return False
        begun = self._kind.begun(name, options, now)
        recording = self._begin(name, begun)

        def ended(end: Ended) -> None:
            give_back()
            self._ended(begun, options, recording, end)
            on_end()

        if self._run(name, options, ended):
            return True
        give_back()
        if recording is not None:
            recording.forget()
        return False

    def _run(self, name: str, options: Table, on_end: OnEnd) -> bool:
        limits = Limits(time=options.patience)
        if options.privileged is not None:
            request = encode_request(self._kind.word, name)
            return self._jobs.start_remote(self.key(name), self._root_half, request, limits=limits, on_end=on_end)
        caches = Path(os.environ.get("CACHE_DIRECTORY") or self._folder / "cache")
        words = command(self._kind.word, name, config=self._config, state=self._folder, caches=caches, isolated=False)
        # Nothing else of the agent's environment is for it.
        zone = {"TZ": os.environ["TZ"]} if "TZ" in os.environ else {}
        return self._jobs.start_command(self.key(name), words, limits=limits, environment=zone, on_end=on_end)

    def _take_turn(self, name: str, options: Table) -> Callable[[], None] | None:
        """What gives it back; None where somebody else has one of its places."""
        try:
            return try_turn(self._folder, self.places(options))
        except OSError as error:  # a full disk: no reason to save nothing
            log.warning("%s: it runs without a turn: %s", self.key(name), error.strerror)
            return lambda: None

    def _begin(self, name: str, begun: Begun) -> Recording[R] | None:
        try:
            self._book.settle(name, partial(self._lost, name))
            return self._book.begin(begun)
        except OSError as error:  # a full disk: that it is not on record is no reason to save nothing
            log.error("%s: its begin could not be put on record: %s", self.key(name), error.strerror)
            return None

    def _ended(self, begun: Begun, options: Table, recording: Recording[R] | None, end: Ended) -> None:
        now = self._clock()
        run = self._said(end) or self._kind.failed(begun, options, now=now, message=end.message or "it said nothing")
        assert run is not None  # where there are options something can be said
        if end.message == WITH_AGENT and run.outcome == "failed":
            run = msgspec.structs.replace(run, message=WITH_AGENT)
        due = next_run(self._kind.word, begun.name, options, now, host=os.uname().nodename)
        complete = partial(self._kind.complete, run, due=due)
        try:
            recording = recording or self._book.begin(begun)  # there may be room again
            recording.end(complete)
        except OSError as error:
            log.error("%s: it could not be put on record: %s", self.key(begun.name), error.strerror)
            self._tell(begun.name, complete(self._before(begun.name)))
        with suppress(OSError):
            self._tell_new(begun.name)

    def _before(self, name: str) -> Sequence[R]:
        with suppress(OSError):
            return [one.record.run for one in self._book.runs(name)]
        return ()

    def _said(self, end: Ended) -> R | None:
        """The run as its process told it; None where it told nothing."""
        try:
            return self._decoder.decode(end.output.strip())
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def _lost(self, name: str, begun: Begun, before: Sequence[R]) -> R | None:
        options = self._wanted.get(name)
        run = self._kind.failed(begun, options, now=self._clock(), message=KILLED)
        return None if run is None else self._kind.complete(run, before, due=None)

    def _tell_new(self, name: str) -> None:
        told = self._told.get(name, 0)
        if self._book.last_number(name) < told:
            told = 0  # somebody removed the records, whose numbers begin anew
        for one in self._book.runs(name, after=told):
            self._told[name] = one.number
            self._ledger.put(self._told_key + name, str(one.number))
            self._tell(name, one.record.run)

    def _tell(self, name: str, run: R) -> None:
        state, text = self._kind.tell(self._ledger, run)
        if state != "ok":
            kind = f"{self._kind.word}.failed"
            self._ledger.event(Event(time=self._clock(), kind=kind, message=f"{name}: {text}", state=state))

    def _names(self) -> Sequence[str]:
        try:
            return self._book.names()
        except OSError as error:
            log.warning("the records of %s cannot be read: %s", self._kind.book, error.strerror)
            return ()

    def _note_plan(self) -> None:
        """Only where it is another than before: nothing is written for hosts without backups."""
        now = self._clock()
        try:
            before = self._book.plan()
            planned = [self._kind.planned(name, options, now) for name, options in self._wanted.items()]
            plan = encode(with_since(planned, decode(before)))
            if plan != before and (planned or before):
                self._book.note(plan)
        except OSError as error:
            log.error("what is planned of %s cannot be kept: %s", self._kind.book, error.strerror)


class _Recorded(Timed, Generic[R, Table]):
    def __init__(self, name: str, options: Table, runs: Recorded[R, Table]) -> None:
        super().__init__(runs.key(name), options, places=runs.places(options))
        self._name = name
        self._options = options
        self._runs = runs

    @property
    def last(self) -> float:
        return self._runs.last(self._name)

    def start(self, now: float, on_end: Callable[[], None]) -> bool:
        return self._runs.start(self._name, self._options, now, on_end)
