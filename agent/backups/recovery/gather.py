"""Looks up what the kit says of one repository. Nothing secret is kept of what is read on the way."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from agent.backups.drill.database import dumps_of
from agent.backups.job.keep import snapshots_of
from agent.backups.recovery.certificates import fingerprints
from agent.backups.recovery.kit import Home, KeyLine, Place, SnapshotLine
from agent.config.repositories import HOME, Access
from agent.home import identity
from backup.format.snapshot import Snapshot
from backup.repository.keys import read_keys
from backup.repository.repository import Repository
from backup.select.snapshots import newest_first
from kit.credentials import read_environment
from kit.errors import HostwardError


def place_of(access: Access) -> Place:
    """What the configuration alone says of a repository."""
    names: Sequence[str] = ()
    trouble = ""
    if access.environment_file is not None:
        try:
            names = sorted(read_environment(access.environment_file))
        except HostwardError as error:
            trouble = str(error)
    prints: tuple[str, ...] = ()
    if access.cacert is not None:
        with suppress(OSError, ValueError):
            prints = fingerprints(Path(access.cacert))
    return Place(
        location=access.repository,
        is_home=access.repository == HOME,
        password=_password(access),
        environment=access.environment_file or "",
        variables=tuple(names),
        authorities=access.cacert or "",
        fingerprints=prints,
        trouble=trouble,
    )


def _password(access: Access) -> str:
    if access.password_command:
        return f"printed by the program {access.password_command[0]}"
    if access.password_file is None:
        return ""
    kind, colon, name = access.password_file.partition("credential:")
    return f"the credential {name} of the unit" if colon and not kind else f"the file {access.password_file}"


def keys_of(repository: Repository) -> tuple[KeyLine, ...]:
    """All keys that can be read."""
    return tuple(
        KeyLine(name, key.username, key.hostname, key.created.datetime().strftime("%Y-%m-%d"))
        for name, key in read_keys(repository.store, lambda _name, _error: None)
    )


def newest_of(repository: Repository, job: str, host: str, source: str) -> SnapshotLine | None:
    """The newest snapshot of a job; None where there is none. Raises RepositoryError."""
    snapshots = snapshots_of(repository, job, host)
    return _line(repository, newest_first(snapshots)[0], job, source) if snapshots else None


def _line(repository: Repository, snapshot: Snapshot, job: str, source: str) -> SnapshotLine:
    summary = snapshot.summary
    return SnapshotLine(
        id=snapshot.id,
        made=snapshot.time.astimezone(),
        host=snapshot.hostname,
        job=job,
        files=None if summary is None else summary.total_files_processed,
        bytes=None if summary is None else summary.total_bytes_processed,
        dumps=tuple(path.decode("utf-8", "replace") for path, _ in dumps_of(repository, snapshot.root, source)),
    )


def home_of(state: Path) -> Home | None:
    """The collector that this host is enrolled at; None where it is at none, or where that cannot be read."""
    with suppress(HostwardError, OSError, ValueError):
        known = identity.load(state)
        if known is not None:
            return Home(known.collector, known.host, known.name, str(known.ca), fingerprints(known.ca))
    return None
