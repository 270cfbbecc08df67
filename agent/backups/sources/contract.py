"""What a source is.

A source's module has a function `opened(options, run)`, a context manager that gives what one snapshot shall hold:

    with registry.opened("postgresql", options, Run(job="shop", state=folder)) as contents:
        run_backup(repository, plan, streams=contents.streams, names=contents.names, confirm=contents.confirm, …)
        contents.saved()

What was made for it (transactions, copies, containers that are paused) is undone when the context is left. That must
be after all was read and may be before the snapshot is written, but for a source with `saved`.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.errors import HostwardError

if TYPE_CHECKING:  # what makes snapshots takes a tenth of a second to load, which commands do while they wait
    from backup.archive.streams import Stream
    from backup.format.gotime import Moment
    from backup.repository.repository import Repository


class SourceError(HostwardError):
    """The source cannot be read, so there is no snapshot; the message says which, and why."""


@dataclass(frozen=True, slots=True)
class Run:
    """The run that a source is opened for."""

    job: str
    """Its name in the configuration."""
    state: Path
    """A folder for what the next run has to know where this one is killed."""
    repository: Repository | None = None
    """Where it will be saved, opened; None where nobody may look into it, as in a dry run."""


def _nothing() -> None:
    """For sources that have nothing to do then."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What one snapshot holds: real paths, then streams, each opened when its turn comes.

    With neither there is nothing to save now: the run did well, and makes no snapshot. A source that must always have
    something fails instead.
    """

    paths: tuple[bytes, ...] = ()
    """On this host, and the same in the snapshot."""
    devices: Mapping[int, int] = field(default_factory=dict)
    """Where paths are read from snapshots of file systems: st_dev of each, to that of what it is of."""
    streams: tuple[Stream, ...] = ()
    names: tuple[str, ...] = ()
    """What the snapshot says that it was made of: it stays the same when a database is added, so that snapshots of
    one job stay in one group. Empty: the paths, and the streams' own."""
    tags: tuple[str, ...] = ()
    """What the snapshot is marked with besides the job's own tags."""
    moment: Moment | None = None
    """The time of the snapshot, where it is not that of the run's begin."""
    confirm: Callable[[], None] = _nothing
    """Called when all was read, before the snapshot is written: raises where what was read must not be trusted."""
    saved: Callable[[], None] = _nothing
    """Called once the snapshot is durable and has all of it, while the context is open; not in a dry run."""


Opened = Callable[[Any, Run], AbstractContextManager[Contents]]
"""From the source's options (agent/config/backup_sources/). Raises SourceError, SecretError, CannotStartError."""


def file_name(name: str) -> str:
    """The name of a file for a database of any name: `/`, `%` and a leading `.` stand as %2F, %25 and %2E."""
    quoted = name.replace("%", "%25").replace("/", "%2F")
    return "%2E" + quoted[1:] if quoted.startswith(".") else quoted


def database_name(file: str) -> str:
    """The name that `file_name` was given."""
    return urllib.parse.unquote(file)
