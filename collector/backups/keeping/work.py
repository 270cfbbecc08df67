"""What is done to a repository, in a process of its own. Everything that hosts wrote is looked at as an enemy's."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from itertools import accumulate
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from backup.errors import DamagedError, RepositoryError
from backup.format.lock import STALE_AFTER, parse_lock
from backup.maintain.check import CheckOptions, CheckReport, check
from backup.maintain.prune import PruneOptions, prune
from backup.maintain.prune_plan import PrunePlan, PruneRules
from backup.maintain.remove import remove_files
from backup.maintain.repair_index import RepairIndexOptions, repair_index
from backup.maintain.true_index import load_true_index
from backup.repository.repository import Repository
from backup.select.sizes import parse_subset
from backup.select.wal_names import MARK, parse_tag
from backup.stores.contract import FileKind, FileMissingError, Store
from collector.backups.keeping.measure import Measure
from collector.backups.keeping.messages import Look, Looked, Remove, Removed, Seen, Verified, Verify
from kit.terminal import bounded

LONGEST_NAME = 256
"""Characters of a name that a host chose, and of a path."""
LONGEST_PATHS = 1000
"""Characters of all its paths: home has those of all snapshots in memory at once."""
EACH_PATH = 10
"""For how many of these a path counts besides its own."""
MOST_TAGS = 100
MOST_SAID = 64 << 20
"""Bytes of what snapshots say of themselves that one look tells: further ones are looked into the next time."""
MOST_PROBLEMS = 20
LONGEST_PROBLEM = 500
"""Characters."""
_PIECE = 4 << 20
"""Bytes that are read at once."""


class _Read(NamedTuple):
    """What is kept of a snapshot file: many of them may be very large."""

    tree: bytes | None
    said: Looked
    """By its own word, not measured."""


def look(store: Store, repository: Repository | None, task: Look) -> Seen:
    """List snapshots; with a password look into those that are new. Raises RepositoryError."""
    present = {name for name, _ in store.list(FileKind.SNAPSHOT)}
    if repository is None:
        return Seen(present=tuple(sorted(present)))
    read: dict[str, _Read | Looked] = {}
    rotten = []
    said, new = 0, frozenset(task.new)
    for name in (*task.bases, *task.new):
        if name not in present:
            continue
        if said > MOST_SAID:
            break
        try:
            found = _read(repository, name)
            read[name] = found
            said += len(msgspec.json.encode(found.said)) if name in new else 0
        except FileMissingError:
            present.discard(name)
        except DamagedError as error:
            if _is_as_sent(store, FileKind.SNAPSHOT, name):
                read[name] = Looked(name=name, problem=bounded(f"it is no snapshot: {error}", LONGEST_PROBLEM))
            else:
                rotten.append(name)
        except MemoryError:
            read[name] = Looked(name=name, unmeasured="it takes more memory than home gives to read it")
    no_indexes = _load_index(store, repository)
    bases = [found.tree for found in map(read.get, task.bases) if isinstance(found, _Read)]
    measure = _measure(repository, bases)
    looked = []
    for name in task.new:
        one = read.get(name)
        if isinstance(one, Looked):
            looked.append(one)
        elif one is not None:
            try:
                looked.append(_measured(one, measure))
            except MemoryError:
                measure = _measure(repository, bases)  # the other one stopped in the middle
                looked.append(replace(one.said, unmeasured="its folders take more memory than home gives"))
    return Seen(
        present=tuple(sorted(present)), looked=tuple(looked), rotten=tuple(rotten), no_indexes=len(no_indexes)
    )


def _load_index(store: Store, repository: Repository) -> set[str]:
    """As far as it is true; returns files of it that came as none. Raises RepositoryError where home's disk changed
    one.
    """
    found: set[str] = set()

    def damaged(name: str, error: RepositoryError) -> None:
        if not isinstance(error, DamagedError) or not _is_as_sent(store, FileKind.INDEX, name):
            raise error
        found.add(name)

    load_true_index(repository, on_damaged=damaged, never_good=partial(_came_like_that, store))
    return found


def _measure(repository: Repository, bases: Iterable[bytes | None]) -> Measure:
    measure = Measure(repository)
    for tree in bases:
        measure.add(tree)
    return measure


def _read(repository: Repository, name: str) -> _Read:
    found = repository.load_snapshot(name)
    said = Looked(
        name=name,
        claimed=found.seconds,
        hostname=bounded(found.hostname, LONGEST_NAME),
        paths=_paths(found.paths),
        tags=tuple(tag for tag in found.tags if tag == MARK or parse_tag(tag) is not None)[:MOST_TAGS],
    )
    return _Read(found.tree, said)


def _paths(found: Iterable[str]) -> tuple[str, ...]:
    """As many as LONGEST_PATHS allows; the number and the hash of the others keep groups apart."""
    paths = sorted({bounded(path, LONGEST_NAME) for path in found})
    ends = accumulate(len(path) + EACH_PATH for path in paths)
    kept = [path for path, end in zip(paths, ends, strict=True) if end <= LONGEST_PATHS]
    if left := paths[len(kept) :]:
        kept.append(f"{len(left):,} more ({hashlib.sha256(chr(0).join(left).encode()).hexdigest()[:16]})")
    return tuple(kept)


def _measured(found: _Read, measure: Measure) -> Looked:
    measured = measure.add(found.tree)
    return replace(
        found.said,
        bytes=measured.bytes,
        files=measured.files,
        changed=measured.changed,
        problem=bounded(measured.problem, LONGEST_PROBLEM),
    )


def remove(store: Store, repository: Repository | None, task: Remove) -> Removed:
    """Forget snapshots. With a password, prune as well: then nothing is forgotten unless all that stays is there.

    Raises RepositoryError: LockedError, DamagedError before anything is changed.
    """
    for name in task.stale_locks:
        if repository is None or not _is_of_late(repository, name, task.now):
            with suppress(FileMissingError):
                store.remove(FileKind.LOCK, name)
    if repository is None:
        for name in task.names:
            with suppress(FileMissingError):
                store.remove(FileKind.SNAPSHOT, name)
        return Removed(names=task.names)
    _remove_own_locks(repository, frozenset(task.locks))
    with repository.lock(exclusive=True, wait=task.wait):
        repair_index(repository, RepairIndexOptions(never_good=partial(_came_like_that, store)))
        repository.drop_index()
        broken = frozenset(task.broken)
        options = PruneOptions(
            PruneRules(rank=lambda pack: task.ranks.get(pack.hex(), 0.0)),
            ignored=broken,
            lacking=broken,
            before=partial(_before, repository, task.names),
        )
        result = prune(repository, options, without=task.names)
    if result.not_removed:
        raise next(iter(result.not_removed.values()))
    stats = result.stats
    return Removed(
        names=task.names,
        pruned=True,
        packs_removed=stats.packs_removed + stats.packs_unreferenced,
        packs_rewritten=stats.packs_repacked,
        bytes_freed=stats.bytes_freed,
        bytes_used=stats.used.bytes,
    )


def _before(repository: Repository, names: tuple[str, ...], plan: PrunePlan) -> None:
    """What comes between the plan and the first change to packs."""
    index = repository.blobs
    for slot, number in plan.chosen.items():
        blob, pack = index.at(slot), index.packs[number]
        place = next(place for place in index.find_all(blob.kind, blob.id) if place.pack == pack)
        sealed = repository.store.load(FileKind.PACK, pack.hex(), place.offset, place.length)
        try:
            repository.open_blob(blob.kind, blob.id, sealed, place)
        except DamagedError as error:
            raise DamagedError(
                f"of data that is there several times, what was received first is not whole: {error}; nothing was"
                " changed"
            ) from None
    if failed := remove_files(repository, FileKind.SNAPSHOT, names):
        raise next(iter(failed.values()))


def _is_of_late(repository: Repository, name: str, now: float) -> bool:
    """Whether a lock says that it was written in the last half hour, or will be in the next.

    Its receipt says otherwise: then home's clock was set forward meanwhile, and a backup may be under way, of which
    a prune would remove what no index knows yet. Who lies about the time gains half an hour.
    """
    with suppress(FileMissingError, DamagedError):
        lock = parse_lock(repository.load_file(FileKind.LOCK, name))
        return abs(int(now * 1e9) - lock.time.nanoseconds) < STALE_AFTER
    return False


def _remove_own_locks(repository: Repository, of_hosts: frozenset[str]) -> None:
    """What a process of home's left that was killed."""
    for name, _ in list(repository.names(FileKind.LOCK)):
        if name in of_hosts:
            continue
        with suppress(FileMissingError, DamagedError):
            lock = parse_lock(repository.load_file(FileKind.LOCK, name))
            if lock.hostname == socket.gethostname() and not _is_alive(lock.pid):
                repository.remove_file(FileKind.LOCK, name)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _is_as_sent(store: Store, kind: FileKind, name: str) -> bool:
    """Whether a file still is what its name says, so that what is wrong with it was wrong when it came."""
    digest = hashlib.sha256()
    size = store.size(kind, name)
    for start in range(0, size, _PIECE):
        digest.update(store.load(kind, name, start, min(_PIECE, size - start)))
    return digest.hexdigest() == name


def _came_like_that(store: Store, pack: bytes) -> bool:
    return _is_as_sent(store, FileKind.PACK, pack.hex())


def verify(repository: Repository, task: Verify) -> Verified:
    """Check. Without a lock: hosts may hold one for ever, and nothing is changed.

    So a change in the middle may look like a problem; what is found counts when it is found twice.
    """
    report = _check(repository, task)
    if not report.sound:
        repository.drop_index()
        report = _check(repository, task)
    problems = [bounded(problem.message, LONGEST_PROBLEM) for problem in report.problems[:MOST_PROBLEMS]]
    return Verified(
        snapshots=report.snapshots,
        packs_read=report.packs_read,
        bytes_read=report.bytes_read,
        count=len(report.problems),
        problems=tuple(problems),
        touched=tuple(touched.snapshot.id for touched in report.touched),
    )


def _check(repository: Repository, task: Verify) -> CheckReport:
    return check(repository, CheckOptions(subset=parse_subset(task.part), processes=1))
