"""What can go wrong with a repository; exit codes as restic has them."""

from __future__ import annotations

from kit.errors import HostwardError


class RepositoryError(HostwardError):
    """A repository could not be read or written as it should be."""


class DamagedError(RepositoryError):
    """Stored bytes are not what was once written: a wrong code, hash, length or structure."""


class NoRepositoryError(RepositoryError):
    """There is no repository in the place that was named."""

    exit_code = 10


class LockedError(RepositoryError):
    """Somebody else works on the repository."""

    exit_code = 11


class WrongPasswordError(RepositoryError):
    """No key of the repository opens with the password."""

    exit_code = 12


class PartialError(RepositoryError):
    """The work is done but for some files, each of which has been named."""

    exit_code = 3
