"""A backup: from targets and streams to a snapshot."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

from backup.archive.course import MisleadingCacheError
from backup.archive.early import EarlyLook
from backup.archive.folders import FolderCache
from backup.archive.plan import Plan
from backup.archive.report import (
    MOST_PROBLEMS,
    Counts,
    OnEntry,
    OnProblem,
    OnProgress,
    Outcome,
    Problem,
    Progress,
    ignore,
)
from backup.archive.saving import Saving
from backup.archive.scan import ScanAhead
from backup.archive.scope import FileSystems
from backup.archive.streams import Branch, Readable, Stream, Told, clean_path, plan_streams, save_streams
from backup.archive.targets import Target, absolute, plan_targets
from backup.archive.walk import Walk
from backup.errors import RepositoryError
from backup.format.gotime import Moment, format_moment
from backup.format.snapshot import Snapshot, Summary
from backup.repository.locks import who
from backup.repository.repository import Repository
from backup.select.snapshots import LATEST, SnapshotFilter, find_snapshot
from backup.stores.contract import FileKind
from kit.version import __version__


def local(nanoseconds: int) -> Moment:
    """A time, since 1970, on this host's clock."""
    return Moment(nanoseconds, time.localtime(nanoseconds // 1_000_000_000).tm_gmtoff)


def find_parent(
    repository: Repository, plan: Plan, hostname: str, paths: Sequence[str], at: Moment
) -> Snapshot | None:
    """The snapshot to compare with, as restic chooses it. Raises RepositoryError where a named one is not there."""
    if plan.force:
        return None
    by = plan.group_by
    wanted = SnapshotFilter(
        (hostname,) if by.host else (), (tuple(plan.tags),) if by.tags else (), tuple(paths) if by.paths else ()
    )
    snapshots = repository.snapshots(on_damaged=lambda name, error: None)
    if plan.parent:
        return find_snapshot(snapshots, plan.parent, wanted).snapshot
    try:
        return find_snapshot(snapshots, LATEST, wanted, at=at.nanoseconds).snapshot
    except RepositoryError:
        return None


class _Run:
    """What a run knows, and what it tells."""

    def __init__(
        self,
        repository: Repository,
        plan: Plan,
        paths: list[str],
        early: EarlyLook | None,
        on_progress: OnProgress,
        on_problem: OnProblem,
    ) -> None:
        self.repository = repository
        self.plan = plan
        self.paths = paths
        self.early = early if early is not None and early.is_good else None
        self.start = local(self.early.began if self.early is not None else time.time_ns())
        self.moment = plan.moment or self.start
        self.hostname = plan.hostname or socket.gethostname()
        self.parent = find_parent(repository, plan, self.hostname, paths, self.moment)
        self.progress = Progress()
        if self.parent is not None and self.parent.summary is not None:
            self.progress.total_files = self.parent.summary.total_files_processed
            self.progress.total_size = self.parent.summary.total_bytes_processed
        self.problems: list[Problem] = []
        self._told: set[Problem] = set()
        self.scan: ScanAhead | None = None
        self._on_progress = on_progress
        self._on_problem = on_problem

    def tell(self) -> None:
        if self.scan is not None and (found := self.scan.totals()) is not None:
            self.progress.total_files, self.progress.total_size = found
        self._on_progress(self.progress)

    def enter(self, path: bytes) -> None:
        """Note what is come to."""
        self.progress.current = path
        self.tell()

    def problem(self, path: bytes, reason: str) -> None:
        problem = Problem(os.fsdecode(path), reason)
        self.progress.problems += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)
        if problem not in self._told:
            self._on_problem(problem)

    def begin_again(self, found: int) -> None:
        """Forget what the walk has come to, and all but the first `found` problems. Nothing is told twice."""
        self._told.update(self.problems)
        del self.problems[found:]
        self.progress.problems = found
        self.progress.files = self.progress.size = 0

    def end(self, tree: bytes, counts: Counts) -> Outcome:
        """Write the snapshot of a tree that is wholly in the repository."""
        plan = self.plan
        end = local(time.time_ns())
        figures = asdict(counts)
        bytes_read = figures.pop("bytes_read")
        summary = Summary(
            backup_start=format_moment(self.start),
            backup_end=format_moment(end),
            total_files_processed=counts.total_files_processed,
            **figures,
        )
        username, uid, gid = who()
        snapshot = Snapshot(
            moment=self.moment,
            tree=tree,
            paths=tuple(self.paths),
            hostname=self.hostname,
            username=username,
            uid=uid,
            gid=gid,
            excludes=plan.excludes,
            tags=plan.tags,
            parent=self.parent.id if self.parent is not None else None,
            program_version=f"hostward {__version__}",
            summary=summary,
        )
        unchanged = plan.skip_if_unchanged and self.parent is not None and self.parent.tree == tree
        if not plan.dry_run and not unchanged:
            snapshot = replace(snapshot, id=self.repository.save_snapshot(snapshot))
        self.tell()
        return Outcome(snapshot, summary, self.problems, self.progress.problems, bytes_read)


def run_backup(
    repository: Repository,
    plan: Plan,
    *,
    on_progress: OnProgress = ignore,
    on_problem: OnProblem = ignore,
    cache: Path | None = None,
    changed_folders: Container[bytes] | None = None,
    early: EarlyLook | None = None,
    scan_ahead: bool = False,
    on_entry: OnEntry | None = None,
    streams: Sequence[Stream] = (),
    names: Sequence[str] = (),
    confirm: Callable[[], None] = lambda: None,
) -> Outcome:
    """Save targets, and then streams, in one snapshot. The caller holds the repository's lock.

    A target that is not there is a problem, unless none is: RepositoryError. Where a stream fails there is no
    snapshot, and what the stream raised is raised. `names` are what the snapshot says that it was made of, instead of
    the paths of its targets and streams. `confirm` is called when all was read, before the snapshot is written, and
    raises where there must be none. `cache` is a file in which is remembered what folders were, for the next run
    of these targets. `changed_folders`, from a watcher, are absolute paths: in no other folder has anything changed,
    at any depth, since the parent snapshot was begun, so only these are listed. Without a usable cache all folders
    are. `early` is a look at the targets of this plan; with a watcher, whose word may be younger, there must be none.
    With `scan_ahead`, a first backup of targets alone learns its total while it goes on. For `on_entry` to hear of
    every file and folder, each is looked at.
    """
    targets: list[bytes] = []
    missing: list[bytes] = []
    for target in plan.targets:
        (targets if os.path.lexists(target) else missing).append(target)
    if missing and not targets:
        raise RepositoryError(f"none of the paths to be saved is there: {', '.join(map(os.fsdecode, missing))}")
    try:
        plan_of_targets = plan_targets(targets)
        planned_streams = plan_streams(streams, plan_of_targets.children)
        file_systems = FileSystems.of(targets) if plan.scope.one_file_system else None
    except OSError as error:
        raise RepositoryError(f"{os.fsdecode(error.filename)} cannot be listed: {error.strerror}") from error
    indexes = [name for name, _ in repository.names(FileKind.INDEX)] if cache is not None else []
    paths = [os.fsdecode(absolute(target)) for target in targets] + [clean_path(stream.path) for stream in streams]
    run = _Run(repository, plan, list(names) or paths, early, on_progress, on_problem)
    for target in missing:
        run.problem(target, "is not there")
    folders = FolderCache(
        cache if not (plan.with_atime or plan.dry_run) else None, repository.key, _context(repository, plan)
    )
    if run.parent is not None and on_entry is None:
        folders.load(run.parent.id, indexes)
    if scan_ahead and not streams and run.progress.total_size is None:
        run.scan = ScanAhead(plan_of_targets, plan.scope, file_systems)

    def save(changed: Container[bytes] | None) -> tuple[bytes, Counts, list[str]]:
        return _save(run, plan_of_targets, planned_streams, file_systems, folders, changed, on_entry)

    try:
        tree, counts, written = save(changed_folders)
    except MisleadingCacheError:
        folders.distrust()
        repository.drop_index()  # only what is in the store counts, whatever became of what was under way
        indexes = [name for name, _ in repository.names(FileKind.INDEX)]
        run.begin_again(len(missing))
        tree, counts, written = save(None)
    finally:
        if run.scan is not None:
            run.scan.end()
    confirm()
    outcome = run.end(tree, counts)
    if outcome.snapshot.id:
        folders.save(outcome.snapshot.id, {*indexes, *written})
    return outcome


def _save(
    run: _Run,
    targets: Target,
    streams: Branch,
    file_systems: FileSystems | None,
    folders: FolderCache,
    changed_folders: Container[bytes] | None,
    on_entry: OnEntry | None,
) -> tuple[bytes, Counts, list[str]]:
    """The root tree, what became of its entries, and the index files that were written."""
    repository, plan = run.repository, run.plan
    walk = Walk(
        repository,
        plan.scope,
        ignore_ctime=plan.ignore_ctime,
        ignore_inode=plan.ignore_inode,
        with_atime=plan.with_atime,
        devices=plan.devices,
        cache=folders,
        changed_folders=changed_folders if folders.usable else None,
        early=run.early,
        file_systems=file_systems,
        progress=run.progress,
        on_progress=run.tell,
        on_problem=run.problem,
        on_entry=on_entry,
    )
    saving = Saving(
        repository,
        walk.on_file,
        walk.tick,
        workers=plan.workers,
        pack_size=plan.pack_size,
        dry_run=plan.dry_run,
        with_atime=plan.with_atime,
        devices=plan.devices,
    )

    def save_rest() -> dict[bytes, bytes]:
        return save_streams(saving, streams, run.moment, Told(walk.course.counts, run.enter, on_entry))

    try:
        tree = walk.run(saving, targets, run.parent.tree if run.parent is not None else None, save_rest)
        saving.finish()
    except BaseException:
        saving.abandon()
        raise
    return tree, walk.course.counts.plus(saving.counts), saving.index_names


def run_stream(
    repository: Repository,
    plan: Plan,
    stream: Readable,
    filename: str,
    *,
    on_progress: OnProgress = ignore,
) -> Outcome:
    """Save what comes from a stream until its end, as one file at the path `filename`. Raises what the stream raises.

    The caller holds the repository's lock.
    """
    one = Stream(clean_path(filename), lambda: nullcontext(stream), mode=0o644)
    return run_backup(repository, plan, streams=(one,), on_progress=on_progress)


def _context(repository: Repository, plan: Plan) -> Iterable[str]:
    """What else than the files trees depend on."""
    scope = plan.scope
    yield repository.config.id
    yield repr([absolute(target) for target in plan.targets])
    yield repr((scope.patterns, scope.insensitive, scope.marks, scope.larger_than, scope.one_file_system))
