"""One drill from its begin to its end, whatever happens in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from agent.backups.drill.assertion import ask_program
from agent.backups.drill.continuous import SOURCE, drill_continuous
from agent.backups.drill.contract import DrillError, Restored, Tell
from agent.backups.drill.database import drill_database
from agent.backups.drill.files import drill_files
from agent.backups.drill.space import OutOfBoundsError, bounded, require_room
from agent.backups.job.keep import snapshots_of
from agent.backups.temporary import temporary_folder
from agent.config.drills import DrillOptions
from backup.format.snapshot import Snapshot
from backup.repository.repository import Repository
from backup.select.snapshots import newest_first
from kit.errors import HostwardError
from kit.units import format_duration

_PASSABLE = 0o711
"""Of the folder of a database's server: the server runs as another user, in a folder of its own in this one."""


@dataclass(slots=True)
class Course:
    """How a drill went."""

    snapshot: Snapshot | None = None
    restored: Restored | None = None
    wrong: str = ""
    """What the assertion found."""
    problem: str = ""
    """Why it was not done, or not to its end."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for."""

    options: DrillOptions
    source: str
    """Of the backup job: `files`, `postgresql`…"""
    host: str
    """Of the job's snapshots."""
    seed: str
    began: float
    """Seconds since the epoch."""


def run_drill(
    order: Order,
    prepare: Callable[[], None],
    opened: Callable[[], AbstractContextManager[Repository]],
    tell: Tell,
) -> tuple[Course, BaseException | None]:
    """Prepare (wait for its turn, take no more of the host than it may), restore, compare, ask, clean up.

    Never raises what went wrong; what ended the drill from outside (a signal), and a fault of the program itself,
    comes back beside how far it was, for the caller to raise when all is on record.
    """
    course = Course()
    try:
        prepare()
        _go(order, opened, course, tell)
    except OutOfBoundsError as error:
        course.problem = str(error)
    except KeyboardInterrupt as error:
        course.problem = f"ended by {str(error) or 'SIGINT'}"
        return course, error
    except MemoryError:
        course.problem = "out of memory"
    except HostwardError as error:
        course.problem = str(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        course.problem = f"{where}{error.strerror or error}"
    except Exception as error:  # a mistake of ours: the drill goes on record all the same, and the caller raises it
        course.problem = f"a fault in hostward: {type(error).__name__}: {error}"
        return course, error
    return course, None


def _go(order: Order, opened: Callable[[], AbstractContextManager[Repository]], course: Course, tell: Tell) -> None:
    options = order.options
    is_database = options.kind == "database"
    limit = int(options.space) if is_database else None
    scratch = Path(options.scratch)
    if not scratch.is_dir():
        raise DrillError(f"scratch: there is no folder {scratch}: make it, where there is room for what comes back")
    with (
        temporary_folder(scratch, mode=_PASSABLE if is_database else 0o700) as folder,
        bounded(folder, limit=limit, timeout=float(options.timeout)),
    ):
        if is_database:
            require_room(folder, 1, int(options.space))
        begun = time.monotonic()
        with opened() as repository:
            course.snapshot = chosen(snapshots_of(repository, options.backup, order.host), options, now=order.began)
            tree = course.snapshot.root
            assert repository.blobs is not None  # the index is read: that belongs to what opening takes
            startup = time.monotonic() - begun
            inner = folder / "data"
            inner.mkdir(mode=0o700)
            if order.source == SOURCE and is_database:
                course.restored, course.wrong = drill_continuous(
                    repository, course.snapshot, inner, options, begun=begun, tell=tell
                )
                return
            if is_database:
                course.restored, course.wrong = drill_database(
                    repository, tree, inner, order.source, options, begun=begun, tell=tell
                )
                return
            course.restored = drill_files(
                repository, tree, inner, options, seed=order.seed, startup=startup, tell=tell
            )
        if options.assertion is not None:
            tell("asking", 0, 0)
            course.wrong = ask_program(options.assertion, inner)


def chosen(snapshots: Sequence[Snapshot], options: DrillOptions, *, now: float) -> Snapshot:
    """The newest snapshot that is old enough. Raises DrillError where there is none (pure).

    One that lies ahead, by a clock that was wrong, is taken where there is no other: it would be the newest for long.
    """
    if not snapshots:
        raise DrillError(f"no run of the job {options.backup} has made a snapshot on this host")
    latest = (now - options.age) * 1e9
    fit = [each for each in snapshots if each.time_ns <= latest]
    if not fit and not options.age:
        fit = list(snapshots)
    if not fit:
        raise DrillError(
            f"no snapshot of the job {options.backup} is {format_duration(options.age)} old, as `age` wants it"
        )
    return newest_first(fit)[0]
