"""What is known about this host's backups when the kit is written. No field ever holds a secret."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from wire.report import Drill


@dataclass(frozen=True, slots=True)
class KeyLine:
    """A password's key in a repository: its id tells which one it is, and opens nothing."""

    id: str
    user: str
    host: str
    created: str


@dataclass(frozen=True, slots=True)
class SnapshotLine:
    """The newest snapshot of a job when the kit was written."""

    id: str
    made: datetime
    host: str
    job: str
    files: int | None
    """None where the snapshot does not say."""
    bytes: int | None
    dumps: tuple[str, ...] = ()
    """Paths of the files in it, of a source of a database."""


@dataclass(frozen=True, slots=True)
class Place:
    """A repository in which a job's snapshots are."""

    location: str
    """As restic writes it, without a password."""
    is_home: bool
    password: str
    """Where the password is kept."""
    environment: str
    """Where the credentials of the store are kept; empty where it needs none."""
    variables: tuple[str, ...]
    """Their names."""
    authorities: str
    """The file of the certificate authorities to trust; empty for the system's."""
    fingerprints: tuple[str, ...]
    """SHA-256 of the certificates in it."""
    id: str = ""
    """Of the repository; empty where it could not be opened."""
    keys: tuple[KeyLine, ...] = ()
    newest: SnapshotLine | None = None
    trouble: str = ""
    """Why it could not be looked into."""


@dataclass(frozen=True, slots=True)
class JobLine:
    """A backup job."""

    name: str
    description: str
    source: str
    """`files`, `postgresql`…"""
    paths: tuple[str, ...]
    """Of a job of files."""
    schedule: str
    """Empty where it is run by hand."""
    places: tuple[Place, ...]
    """Its repository, then those of its copies."""
    drills: tuple[Drill, ...]
    """The last one of each kind and name that was done."""


@dataclass(frozen=True, slots=True)
class Home:
    """The collector that this host reports to."""

    collector: str
    host: str
    name: str
    ca: str
    fingerprints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kit:
    """All of it."""

    host: str
    written: datetime
    """On this host's clock, with its zone."""
    version: str
    configuration: str
    state: str
    contacts: tuple[str, ...]
    notes: str
    home: Home | None
    jobs: tuple[JobLine, ...]
