"""WAL of PostgreSQL: what waits in a spool (agent/backups/wal/spool.py) goes into a snapshot, and then leaves it.

A run that is killed before the snapshot is durable leaves the spool as it was. One that is killed after that leaves
files that are saved: the next run finds them in the repository, byte for byte, and takes them away without a second
snapshot. Segments that PostgreSQL archives again, as it may, end in the same way.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from agent.backups.sources.contract import Contents, Run, SourceError
from agent.backups.wal.batch import FOLDER, Segment, is_due, spans
from agent.backups.wal.history import parse_history
from agent.backups.wal.segment import Kind
from agent.backups.wal.spool import Spooled, content_of, take_away, waiting
from agent.config.backup_sources.postgresql_wal import PostgresqlWalSource
from backup.archive.streams import Stream
from backup.errors import RepositoryError
from backup.format.gotime import Moment
from backup.format.pack import BlobKind
from backup.format.snapshot import Snapshot
from backup.repository.repository import Repository
from backup.restore.locate import find_entry
from backup.select.snapshots import newest_first
from backup.select.wal import Chain, chains, is_wal
from backup.select.wal_names import MARK, is_size, parse_segment
from kit.terminal import clean

_MAX_HISTORY = 1 << 20


@contextmanager
def opened(options: PostgresqlWalSource, run: Run) -> Iterator[Contents]:
    """What waits, or nothing where too little does. Raises SourceError, also for segments that differ from saved ones
    of the same name."""
    try:
        contents = _contents(options, run)
    except OSError as error:
        raise SourceError(f"{clean(str(error.filename or options.spool))}: {error.strerror or error}") from None
    yield contents


def _contents(options: PostgresqlWalSource, run: Run) -> Contents:
    files = waiting(Path(options.spool))
    fresh = [file for file in files if file.kind is not Kind.HISTORY]
    if odd := [file for file in fresh if file.kind is Kind.SEGMENT and not is_size(file.size)]:
        raise SourceError(f"{odd[0].path}: is {odd[0].size} bytes long, as no segment of WAL is; remove it")
    # What a base backup left to be read by people does not make a snapshot.
    arrived = [file.arrived for file in fresh if file.kind is not Kind.BACKUP]
    if not arrived or not is_due(arrived, count=options.segments, within=options.within, now=time.time()):
        return Contents()
    if run.repository is not None:
        saved = _saved_already(run.repository, fresh)
        take_away(saved)
        fresh = [file for file in fresh if file not in saved]
    if all(file.kind is Kind.BACKUP for file in fresh):
        return Contents()
    systems = {file.system for file in fresh}
    histories = [file for file in files if file.kind is Kind.HISTORY and file.system in systems]
    return Contents(
        streams=tuple(map(_stream, sorted([*fresh, *histories], key=lambda file: file.path))),
        names=tuple(f"{FOLDER}/{system}" for system in sorted(systems)),
        tags=(MARK, *_tags(fresh, histories)),
        saved=partial(take_away, fresh),
    )


def _stream(file: Spooled) -> Stream:
    return Stream(_path_of(file), partial(content_of, file), mtime=Moment(file.mtime_ns))


def _path_of(file: Spooled) -> str:
    return f"{FOLDER}/{file.system}/{file.name}"


def _tags(fresh: Iterable[Spooled], histories: Iterable[Spooled]) -> Iterator[str]:
    for file in histories:
        try:
            with content_of(file) as content:
                yield parse_history(file.name, content.read(_MAX_HISTORY), file.system).tag()
        except ValueError as error:
            raise SourceError(f"{file.path}: expected {error}") from None
    segments = [
        Segment(file.system, file.name, file.size, file.mtime_ns) for file in fresh if file.kind is Kind.SEGMENT
    ]
    for span in spans(segments):
        yield span.tag()


def _saved_already(repository: Repository, files: Iterable[Spooled]) -> list[Spooled]:
    """Those that the repository has, byte for byte. Raises SourceError for one of which it has another."""
    snapshots = repository.snapshots(on_damaged=lambda name, error: None)
    known = chains(snapshots)
    wal = [each for each in newest_first(snapshots) if is_wal(each)]
    found = []
    for file in files:
        prefix = f"{FOLDER}/{file.system}"
        # A killed run's snapshot is the newest of its cluster; anything else is known by its number.
        candidates = [each for each in wal if prefix in each.paths][:1]
        if file.kind is Kind.SEGMENT and (chain := known.get(file.system)) is not None:
            candidates += _holders(chain, file)
        for snapshot in candidates:
            same = _same(repository, snapshot, file)
            if same is False and file.kind is Kind.SEGMENT:
                raise SourceError(
                    f"{file.path}: snapshot {snapshot.short_id} has another segment of this name: two servers of one "
                    "origin archive on one timeline, and only one of them can be restored from here"
                )
            if same:
                found.append(file)
                break
    return found


def _holders(chain: Chain, file: Spooled) -> list[Snapshot]:
    timeline, number = parse_segment(file.name, chain.segment_size)
    return [
        piece.snapshot
        for piece in chain.pieces
        if piece.span.timeline == timeline and piece.span.first <= number <= piece.span.last
    ]


def _same(repository: Repository, snapshot: Snapshot, file: Spooled) -> bool | None:
    """Whether a snapshot has just this file; None where it has none of that name."""
    try:
        node = find_entry(repository, snapshot.root, os.fsencode(_path_of(file)))
    except RepositoryError:
        return None
    with content_of(file) as content:
        for id in (node.content or []) if node is not None else []:
            blob = repository.load_blob(BlobKind.DATA, id)
            if content.read(len(blob)) != blob:
                return False
        return not content.read(1)
