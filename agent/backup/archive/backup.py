"""A backup: from targets, or a stream, to a snapshot."""

from __future__ import annotations

import os
import posixpath
import socket
import time
from collections.abc import Container, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import BinaryIO

from agent.backup.archive.folders import FolderCache
from agent.backup.archive.plan import Plan
from agent.backup.archive.report import (
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
from agent.backup.archive.saving import Saving
from agent.backup.archive.scan import ScanAhead
from agent.backup.archive.scope import FileSystems
from agent.backup.archive.targets import Target, absolute, plan_targets
from agent.backup.archive.walk import MisleadingCacheError, Walk
from agent.backup.errors import RepositoryError
from agent.backup.format.gotime import Moment, format_moment
from agent.backup.format.node import Node, encode_node, encode_tree, mode_of
from agent.backup.format.snapshot import Snapshot, Summary
from agent.backup.repository.locks import who
from agent.backup.repository.repository import Repository
from agent.backup.select.snapshots import LATEST, SnapshotFilter, find_snapshot
from agent.backup.stores.contract import FileKind
from kit.errors import UsageError
from kit.version import __version__


def now() -> Moment:
    """The time on this host's clock."""
    nanoseconds = time.time_ns()
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
    """What a backup of targets and one of a stream have in common."""

    def __init__(
        self, repository: Repository, plan: Plan, paths: list[str], on_progress: OnProgress, on_problem: OnProblem
    ) -> None:
        self.repository = repository
        self.plan = plan
        self.paths = paths
        self.start = now()
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
        end = now()
        summary = Summary(
            backup_start=format_moment(self.start),
            backup_end=format_moment(end),
            total_files_processed=counts.total_files_processed,
            **asdict(counts),
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
        return Outcome(snapshot, summary, self.problems, self.progress.problems)


def run_backup(
    repository: Repository,
    plan: Plan,
    *,
    on_progress: OnProgress = ignore,
    on_problem: OnProblem = ignore,
    cache: Path | None = None,
    changed_folders: Container[bytes] | None = None,
    scan_ahead: bool = False,
    on_entry: OnEntry | None = None,
) -> Outcome:
    """Save targets. The caller holds the repository's lock.

    A target that is not there is a problem, unless none is: RepositoryError. `cache` is a file in which is remembered
    what folders were, for the next run of these targets. `changed_folders`, from a watcher, are absolute paths: in no
    other folder has anything changed, at any depth, since the parent snapshot was begun, so only these are listed.
    Without a usable cache all folders are. With `scan_ahead`, a first backup learns its total while it goes on. For
    `on_entry` to hear of every file and folder, each is looked at.
    """
    targets: list[bytes] = []
    missing: list[bytes] = []
    for target in plan.targets:
        (targets if os.path.lexists(target) else missing).append(target)
    if not targets:
        raise RepositoryError(f"none of the paths to be saved is there: {', '.join(map(os.fsdecode, missing))}")
    try:
        plan_of_targets = plan_targets(targets)
        devices = {absolute(target): os.lstat(target).st_dev for target in targets}
    except OSError as error:
        raise RepositoryError(f"{os.fsdecode(error.filename)} cannot be listed: {error.strerror}") from error
    indexes = [name for name, _ in repository.names(FileKind.INDEX)] if cache is not None else []
    run = _Run(repository, plan, [os.fsdecode(absolute(target)) for target in targets], on_progress, on_problem)
    for target in missing:
        run.problem(target, "is not there")
    folders = FolderCache(
        cache if not (plan.with_atime or plan.dry_run) else None, repository.key, _context(repository, plan)
    )
    if run.parent is not None and on_entry is None:
        folders.load(run.parent.id, indexes)
    devices_of = FileSystems(devices) if plan.scope.one_file_system else None
    if scan_ahead and run.progress.total_size is None:
        run.scan = ScanAhead(plan_of_targets, plan.scope, devices_of)
    try:
        tree, counts, written = _save_targets(run, plan_of_targets, devices_of, folders, changed_folders, on_entry)
    except MisleadingCacheError:
        folders.distrust()
        repository.drop_index()  # only what is in the store counts, whatever became of what was under way
        indexes = [name for name, _ in repository.names(FileKind.INDEX)]
        run.begin_again(len(missing))
        tree, counts, written = _save_targets(run, plan_of_targets, devices_of, folders, None, on_entry)
    finally:
        if run.scan is not None:
            run.scan.end()
    outcome = run.end(tree, counts)
    if outcome.snapshot.id:
        folders.save(outcome.snapshot.id, {*indexes, *written})
    return outcome


def _save_targets(
    run: _Run,
    targets: Target,
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
        cache=folders,
        changed_folders=changed_folders if folders.usable else None,
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
    )
    try:
        tree = walk.run(saving, targets, run.parent.tree if run.parent is not None else None)
        saving.finish()
    except BaseException:
        saving.abandon()
        raise
    return tree, walk.counts.plus(saving.counts), saving.index_names


def run_stream(
    repository: Repository,
    plan: Plan,
    stream: BinaryIO,
    filename: str,
    *,
    on_progress: OnProgress = ignore,
) -> Outcome:
    """Save what comes from a stream until its end, as one file at the path `filename`. Raises OSError of the stream.

    The caller holds the repository's lock.
    """
    path = b"/" + posixpath.normpath(b"/" + os.fsencode(filename)).lstrip(b"/")
    *folders, name = path.split(b"/")[1:]
    if not name:
        raise UsageError(f'"{filename}" names no file: expected a name for what comes from the stream')
    run = _Run(repository, plan, [os.fsdecode(path)], on_progress, ignore)
    run.progress.current = path
    saving = Saving(
        repository,
        lambda ticket, saved: None,
        run.tell,
        workers=plan.workers,
        pack_size=plan.pack_size,
        dry_run=plan.dry_run,
        with_atime=False,
    )

    def read(into: memoryview) -> int:
        count = int(stream.readinto(into) or 0)  # type: ignore[attr-defined]
        run.progress.size += count
        return count

    content: list[bytes] = []
    try:
        saving.stream(read, content.extend)
        saving.drain()
        node = _made_up(name, 0o100644, run.moment)
        node.size, node.content = run.progress.size, content
        for folder in reversed(folders):
            above = _made_up(folder, 0o040755, run.moment)
            above.subtree = saving.tree(encode_tree([encode_node(node)]))
            node = above
        tree = saving.tree(encode_tree([encode_node(node)]))
        saving.finish()
    except BaseException:
        saving.abandon()
        raise
    counts = Counts(files_new=1, dirs_new=len(folders), total_bytes_processed=run.progress.size)
    return run.end(tree, counts.plus(saving.counts))


def _made_up(name: bytes, st_mode: int, moment: Moment) -> Node:
    """A node of what is in no file system."""
    kind, mode = mode_of(st_mode)
    time = format_moment(moment)
    return Node(name, kind, mode, time, time, time)


def _context(repository: Repository, plan: Plan) -> Iterable[str]:
    """What else than the files trees depend on."""
    scope = plan.scope
    yield repository.config.id
    yield repr([absolute(target) for target in plan.targets])
    yield repr((scope.patterns, scope.insensitive, scope.marks, scope.larger_than, scope.one_file_system))
