"""A run of a job of the configuration: all that its table says, by hand as by the timetable."""

from __future__ import annotations

import argparse
import os
import shlex
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import msgspec

from agent import clock
from agent.backups.command import WORK
from agent.backups.job import known, limits
from agent.backups.job.copies import copy_job
from agent.backups.job.history import lost, with_ages
from agent.backups.job.keep import apply_keep
from agent.backups.job.runner import Course, Saved, record_of, run_steps
from agent.backups.job.turn import turn
from agent.backups.job.verify import indexes_of, read_back, read_part
from agent.backups.plan import next_run
from agent.backups.records import Begun, Book, Recording
from agent.backups.sources import registry
from agent.backups.sources.contract import Contents, Run
from agent.backups.watch.keeper import Keeper
from agent.backups.watch.place import folder_of
from agent.cli.backup.access import cache_folder, open_place, opened
from agent.cli.backup.jobs import options_of_copy, options_of_job
from agent.cli.backup.output import plural, print_json, warn
from agent.cli.backup.password import told_password
from agent.cli.backup.progress import make_way
from agent.cli.backup.saving import Ahead, plan_of, require_all, save, tell
from agent.config.backups import FILES, BackupOptions
from agent.config.repositories import HOME, Access, CopyOptions
from agent.paths import state_folder
from backup.archive.report import Outcome
from backup.errors import NoRepositoryError, PartialError
from backup.format.config import CONFIG
from backup.repository.repository import Repository
from backup.stores.caches import is_own
from backup.stores.contract import FileKind, FileMissingError
from kit.errors import HostwardError
from kit.jsontext import json_text
from wire.report import BackupRun


def run_job(options: argparse.Namespace, name: str, job: BackupOptions) -> None:
    """Do all that the job's table says, put it on record, and tell.

    Raises what made it fail, PartialError where it is partial, and a signal again when all is done.
    """
    if options.dry_run:
        _try_out(options, name, job)
        return
    if options.for_agent:
        options.quiet, options.json = True, False
    state = state_folder(options.state_dir).absolute()
    started, began = time.time(), clock.ticks()
    recording = None if options.for_agent else _begin(state, name, job, started)
    steps = _Steps(options, name, job, state)
    try:
        course, end = run_steps(job, name, steps, warn)
    finally:
        steps.close()
    finished = started + clock.ticks() - began
    run = record_of(job, name, course, repository=job.repository, started=started, finished=finished)
    run = _put_on_record(recording, run, job, name, whole=_is_whole(course))
    _tell(run, steps, options)
    if end is not None:
        raise end
    _raise(course, steps.outcome, options)


def _is_whole(course: Course) -> bool:
    """Whether the run made a snapshot of all that it should hold, or there was nothing to save."""
    return course.saved is not None and course.whole and not course.failure


class _Steps:
    """What a run does with repositories."""

    def __init__(self, options: argparse.Namespace, name: str, job: BackupOptions, state: Path) -> None:
        self._given = options
        self._name = name
        self._job = job
        self._state = state
        self._held = ExitStack()
        self._copies = self._held.enter_context(ExitStack())
        self._copied: tuple[Repository, argparse.Namespace] | None = None
        """The copy that was made last, and with which options."""
        self._options = options
        self._repository: Repository | None = None
        self._before: frozenset[str] = frozenset()
        self._snapshot = ""
        self.outcome: Outcome | None = None
        """What saving did, for people."""
        self.elapsed = 0.0
        self.done: list[str] = []
        """Lines for people."""

    def close(self) -> None:
        """Close what is open."""
        self._held.close()

    @property
    def _host(self) -> str:
        return self._options.host or socket.gethostname()

    def prepare(self) -> None:
        def waiting() -> None:
            warn("another run works on the same repository: waiting until it has ended")

        if not self._given.for_agent:  # which has it already
            with suppress(OSError):  # without a state folder that can be used there are no turns
                self._held.enter_context(turn(self._state, self._job.places, waiting))
        limits.take(self._job)

    def save(self) -> Saved:
        job = self._job
        options = self._options = options_of_job(self._given, self._name, job)
        remedy = f"`hostward backup init --job {self._name}`"
        if job.init:
            self._make(options, job, remedy)
        hint = f"{remedy} makes a new one"
        repository = self._repository = self._held.enter_context(_open(options, hint))
        self._remember(job)
        with repository.lock(wait=options.retry_lock):
            if job.verify is not False:
                self._before = indexes_of(repository)
            run = Run(job=self._name, state=self._work, repository=repository)
            with (
                registry.opened(job.source, _table(job), run) as found,
                _frozen(job, found, repository, options, self._state) as contents,
            ):
                if not contents.paths and not contents.streams:
                    self.done.append("there is nothing to save now")
                    return Saved()
                self.outcome, self.elapsed = save(repository, plan_of(options, contents), contents, options)
                if self.outcome.snapshot.id:
                    contents.saved()
        return self._saved(self.outcome)

    def verify(self) -> None:
        repository, part = self._opened, self._job.verify
        with repository.lock(wait=self._options.retry_lock):
            read_back(repository, self._before, self._snapshot, lambda done, total: None)
        self.done.append("read back what was stored: it is whole")
        if isinstance(part, str):
            with repository.lock(exclusive=True, wait=self._options.retry_lock):
                read_part(repository, part, time.time())
            self.done.append(f"checked the repository, and read {part} of it: no problems were found")

    def keep(self) -> None:
        keep = self._job.keep
        assert keep is not None
        self._remove(self._opened, self._options, keep_of=self._job, where="")

    def copy(self, place: CopyOptions) -> str:
        options = options_of_copy(self._given, self._options, place)
        if place.init:
            self._make(options, place, f"`hostward backup init --repo {shlex.quote(place.repository)}`")
        source = self._opened
        hint = "init = true in its table lets the run make it"
        self._copies.close()
        target = self._copies.enter_context(_open(options, hint))
        self._remember(place)
        with source.lock(wait=options.retry_lock), target.lock(wait=options.retry_lock):
            new, count = copy_job(source, target, self._name, self._host, self._snapshot, now=time.time_ns())
        self._copied = target, options
        self.done.append(f"copied {plural(count, 'snapshot')} to {place.repository}")
        return new

    def keep_copy(self, place: CopyOptions) -> None:
        assert self._copied is not None
        target, options = self._copied
        self._remove(target, options, keep_of=place, where=f" from {place.repository}")

    @property
    def _opened(self) -> Repository:
        assert self._repository is not None
        return self._repository

    def _saved(self, outcome: Outcome) -> Saved:
        summary, self._snapshot = outcome.summary, outcome.snapshot.id
        first = outcome.problems[0] if outcome.problems else None
        return Saved(
            snapshot=outcome.snapshot.id,
            files=summary.total_files_processed,
            bytes=summary.total_bytes_processed,
            bytes_read=outcome.bytes_read,
            bytes_added=summary.data_added_packed,
            errors=outcome.problem_count,
            problem=f"{first.path}: {first.reason}" if first is not None else "",
        )

    def _remove(
        self,
        repository: Repository,
        options: argparse.Namespace,
        *,
        keep_of: BackupOptions | CopyOptions,
        where: str,
    ) -> None:
        assert keep_of.keep is not None
        with repository.lock(exclusive=True, wait=options.retry_lock):
            removed = apply_keep(repository, keep_of.keep, self._name, self._host, now=time.time_ns())
        names = f": {' '.join(snapshot.short_id for snapshot in removed)}" if removed else ""
        self.done.append(f"removed {plural(len(removed), 'snapshot')}{where}{names}")

    @property
    def _work(self) -> Path:
        return work_folder(self._job, self._name, self._state)

    def _remember(self, access: Access) -> None:
        with suppress(OSError):  # a full disk is no reason to save nothing
            known.remember(self._work, access.repository, self._job.places)

    def _make(self, options: argparse.Namespace, access: Access, remedy: str) -> None:
        """Make the repository where there is none.

        Raises NoRepositoryError where there was one, and HostwardError where nobody tells its password.
        """
        store = open_place(options)
        try:
            try:
                store.size(FileKind.CONFIG, CONFIG)
            except FileMissingError:
                # Home knows by itself what it had, and begins nothing anew before it is told to.
                if access.repository != HOME and known.is_known(self._work, access.repository):
                    raise NoRepositoryError(
                        f"there is no repository in {store.location}, where earlier runs of the job had one: "
                        f"is what it lies on mounted? Where it is lost, {remedy} makes a new one"
                    ) from None
                password = told_password(options)
                if password is None:
                    raise HostwardError(
                        f"there is no repository in {store.location} yet, and nobody tells its password: expected "
                        "password_file or password_command"
                    ) from None
                Repository.create(store, password)
                self.done.append(f"made the repository in {store.location}")
        finally:
            store.close()


@contextmanager
def _open(options: argparse.Namespace, hint: str) -> Iterator[Repository]:
    """The repository, without a lock. Raises as `opened`; where there is none, with a hint at what makes one."""
    with ExitStack() as held:
        try:
            keeper = Keeper(folder_of(options.watched, options.environment)) if options.watched else None
            repository = held.enter_context(opened(options, "none", meanwhile=Ahead().begin, keeper=keeper))
        except NoRepositoryError as error:
            raise NoRepositoryError(f"{error} {hint}") from None
        yield repository


@contextmanager
def _frozen(
    job: BackupOptions, contents: Contents, repository: Repository, options: argparse.Namespace, state: Path
) -> Iterator[Contents]:
    """As of one moment, where the job's table says so."""
    if job.snapshot == "none":
        yield contents
        return
    # Few jobs ask for it, and only root's.
    from agent.backups.frozen.contents import frozen_contents

    written = [state, cache_folder(options), None if repository.store.is_remote else Path(repository.store.location)]
    live = [path for path in written if path is not None]
    size = int(job.snapshot_size) if job.snapshot_size is not None else None
    with frozen_contents(contents, job.snapshot, size=size, live=live, tell=warn) as found:
        yield found


def work_folder(job: BackupOptions, name: str, state: Path) -> Path:
    """Where a source keeps what the next run has to know: one that root's half runs can write to no other, and root
    believes nothing that lies in another user's folder.
    """
    own = state / "sources" / name
    is_strange = os.geteuid() == 0 and not is_own(state)
    return WORK / name if job.privileged is not None or is_strange else own


def _table(job: BackupOptions) -> object:
    """What the job's source is opened with."""
    return job.paths if job.source == FILES else getattr(job, job.source)


def _try_out(options: argparse.Namespace, name: str, job: BackupOptions) -> None:
    """A dry run: what would be saved. No hooks, no record."""
    state = state_folder(options.state_dir).absolute()
    options = options_of_job(options, name, job)
    run = Run(job=name, state=work_folder(job, name, state))
    hint = f"`hostward backup init --job {name}` makes a new one"
    with (
        _open(options, hint) as repository,
        repository.lock(wait=options.retry_lock),
        registry.opened(job.source, _table(job), run) as contents,
    ):
        outcome, elapsed = save(repository, plan_of(options, contents), contents, options)
    tell(outcome, elapsed, options)
    require_all(outcome, options)


def _begin(state: Path, name: str, job: BackupOptions, now: float) -> Recording[BackupRun] | None:
    """Put on record that the run begins; None, with a warning, where that cannot be."""
    book = Book(state, "backups", BackupRun)
    try:
        book.settle(name, partial(lost, now=now))
        return book.begin(Begun(name=name, started=now, by="hand", repository=job.repository, source=job.source))
    except OSError as error:
        warn(f"this run goes on no record: {error.filename or state}: {error.strerror}")
        return None


def _put_on_record(
    recording: Recording[BackupRun] | None, run: BackupRun, job: BackupOptions, name: str, *, whole: bool
) -> BackupRun:
    """The run as it is on record."""
    due = next_run("backup", name, job, run.finished, host=os.uname().nodename) if job.enabled else None

    def complete(before: Sequence[BackupRun]) -> BackupRun:
        return with_ages(run, before, whole=whole, due=due)

    if recording is not None:
        try:
            return recording.end(complete)
        except OSError as error:
            warn(f"this run goes on no record: {error.strerror}")
    return complete(())


def _tell(run: BackupRun, steps: _Steps, options: argparse.Namespace) -> None:
    if options.for_agent:
        print(json_text(run, indent=False))
        return
    if steps.outcome is not None:
        tell(steps.outcome, steps.elapsed, options)
    if options.json:
        print_json({"message_type": "job", **msgspec.to_builtins(run)})
    elif not options.quiet:
        make_way()
        for line in steps.done:
            print(line)


def _raise(course: Course, outcome: Outcome | None, options: argparse.Namespace) -> None:
    """What the command ends with, where not all is well."""
    if course.error is not None:
        raise course.error
    if course.failure:
        raise HostwardError(course.failure)
    if len(course.lacks) == 1 and outcome is not None:
        require_all(outcome, options)
    if course.lacks:
        raise PartialError(course.message)
