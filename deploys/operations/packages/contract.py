"""What a package manager is to a patch: lines of sh for the host, and pure functions that read what they print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class PackagesError(ValueError):
    """The package manager could not say; the text is its own."""


class Change(msgspec.Struct, frozen=True):
    """One package that an update changes."""

    name: str
    """As the manager knows it; with `:arch` or `.arch` where that is not the host's own."""
    before: str | None
    """None for one that is not installed, and that another one needs now."""
    after: str
    security: bool = False
    """Whether that version comes from where security updates do."""

    def __str__(self) -> str:
        """As a plan shows it."""
        return f"{self.name} {self.before or 'none'} to {self.after}"


class Offer(msgspec.Struct, frozen=True):
    """What the manager would do."""

    changes: tuple[Change, ...] = ()
    held: tuple[str, ...] = ()
    """Packages with a newer version, or all, that the administrator holds back."""
    deferred: tuple[str, ...] = ()
    """Packages whose newer version this host is not to have yet, or that it cannot have without removing others."""
    removed: tuple[str, ...] = ()
    """Packages that would go."""
    hidden: tuple[Change, ...] = ()
    """Of packages whose newest version comes from elsewhere, or cannot be had, the newest one for security that is an
    update, too.
    """

    def newest(self) -> tuple[Change, ...]:
        """All updates, each at the newest version that this host may have."""
        shown = {change.name for change in self.changes}
        return (*self.changes, *(change for change in self.hidden if change.name not in shown))

    def for_security(self) -> tuple[Change, ...]:
        """The updates that security asks for, each at the newest version that is offered for security."""
        found = [*(change for change in self.changes if change.security), *self.hidden]
        return tuple(sorted(found, key=lambda change: change.name))


class Manager(Protocol):
    """The contract. Lines of sh end with 0 when all went well."""

    def refresh(self) -> str:
        """Fetch the lists of what there is."""

    def sane(self) -> str:
        """Print what is wrong with the database of packages, or nothing."""

    def offered(self) -> str:
        """Print all that there is to update, within what the host's own configuration allows."""

    def parse_offered(self, output: str) -> Offer:
        """Raises PackagesError."""

    def chosen(self, names: Sequence[str]) -> str:
        """Print what it would take to update these alone: names, or what `exact` gives."""

    def parse_chosen(self, output: str) -> Offer:
        """Of `chosen`. Raises PackagesError."""

    def exact(self, change: Change) -> str:
        """The package at its new version, as the manager's commands take it."""

    def versions(self, names: Sequence[str]) -> str:
        """Print the installed versions."""

    def parse_versions(self, output: str) -> dict[str, str | None]:
        """By name; None for one that is not installed, or not wholly."""

    def save(self, changes: Sequence[Change], folder: str) -> str:
        """Save the packages as they are before into the empty `folder`, and print for each `NAME VERSION`."""

    def install(self, changes: Sequence[Change], folder: str, wait: int) -> str:
        """Make the changes; wait for others' locks for `wait` seconds at most. `folder` is what `save` wrote."""

    def undo(self, changes: Sequence[Change], folder: str, wait: int) -> str:
        """Put the packages back that `save` saved, and remove those that were new."""
