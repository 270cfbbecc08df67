"""The repository that is meant, what the configuration says of it, and the right to work on it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, or_, select

from backup.select.policy import Policy
from collector.backups import records
from collector.backups.keeping.messages import Access
from collector.backups.keeping.plan import Rules
from collector.backups.places import Places
from collector.backups.settings import BackupOptions, options_named, place_named, place_of
from collector.store.tables import hosts
from kit.credentials import read_secret
from kit.errors import HostwardError

FOLDER = "backups-keeping"
"""In the collector's own folder: a file for each repository, locked while home works on it."""


class BusyError(HostwardError):
    """Home works on the repository already."""


@dataclass(frozen=True, slots=True)
class Target:
    """A repository that home keeps."""

    name: str
    host_name: str
    """Of the host whose own it is; '' for a shared one."""
    rules: Rules
    append_only: bool
    """Whether hosts remove nothing of it."""
    password_file: str | None

    @property
    def title(self) -> str:
        """As people know it."""
        return self.host_name or self.name


def host_names(connection: Connection, ids: Collection[str] | None = None) -> dict[str, str]:
    """The names of these hosts, or of all, by their ids, revoked ones too."""
    query = select(hosts.c.id, hosts.c.name)
    rows = connection.execute(query if ids is None else query.where(hosts.c.id.in_(list(ids))))
    return {row.id: row.name for row in rows}


def targets(connection: Connection, options: BackupOptions) -> list[Target]:
    """All that hosts ever saved to, by their names."""
    names = host_names(connection)
    found = [_target(one, names.get(one.host or "", ""), options) for one in records.repositories(connection)]
    return sorted(found, key=lambda target: (target.title, target.name))


def target_of(connection: Connection, options: BackupOptions, repository: records.Repository) -> Target:
    """The one of this repository."""
    host = repository.host or ""
    return _target(repository, host_names(connection, [host]).get(host, ""), options)


def find(connection: Connection, options: BackupOptions, word: str) -> Target:
    """The one of this name, or the one that the host of this name or id saves to. Raises HostwardError."""
    known = {target.name: target for target in targets(connection, options)}
    if word in known:
        return known[word]
    row = connection.execute(
        select(hosts.c.id, hosts.c.name)
        .where(or_(hosts.c.id == word, hosts.c.name == word))
        .order_by(hosts.c.revoked.is_not(None), hosts.c.enrolled.desc())
    ).first()
    if row is not None:
        name = place_of(options, row.id, row.name).repository
        if name in known:
            return known[name]
        raise HostwardError(f"the host {row.name} has not saved anything here yet")
    raise HostwardError(
        f"there is no repository and no host {word} (hostward-collector backup list shows the repositories)"
    )


def _target(found: records.Repository, host_name: str, options: BackupOptions) -> Target:
    own = options_named(options, found.name, host_name)
    keep = own.keep or options.keep
    return Target(
        name=found.name,
        host_name=host_name,
        rules=Rules(
            keep=Policy() if keep is None else keep.policy(),
            newest=options.keeping.newest,
            hold=float(options.keeping.hold),
        ),
        append_only=place_named(options, found.name, host_name).append_only,
        password_file=own.password_file,
    )


def access(target: Target, places: Places) -> Access:
    """What the working process needs. Raises HostwardError."""
    return Access(
        location=places.location(target.name),
        environment=places.environment,
        password=None if target.password_file is None else read_secret(target.password_file),
    )


@contextmanager
def held(folder: Path, repository: str) -> Iterator[int]:
    """The right to work on it, as a descriptor: it ends when no process has that open any more.

    Raises BusyError.
    """
    place = folder / FOLDER
    place.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(place / f"{repository}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"home works on the repository {repository} already; try again later") from None
        yield descriptor
    finally:
        os.close(descriptor)
