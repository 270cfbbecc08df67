"""The two programs that restore, told the same way: hostward's options are restic's (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from agent.backups.job.tags import tag_of
from agent.backups.recovery.kit import Place, SnapshotLine
from agent.backups.recovery.shell import command, wrapped

TARGET = "/mnt/restored"
"""Where commands of the page restore to."""


class Tool(NamedTuple):
    """A program that reads the repository."""

    title: str
    words: tuple[str, ...]
    prefix: str
    """Of the variables that it reads."""

    at_home: str
    """What it calls this host's repository at home; `{}` is its name there."""

    def connect(self, place: Place) -> list[str]:
        """Name the repository once; the password is asked for by each command."""
        location = self.at_home.format(repository_of(place)) if place.is_home else place.location
        words = ["export", f"{self.prefix}_REPOSITORY={_quoted(location)}"]
        if place.authorities:
            words.append(f"{self.prefix}_CACERT={_quoted(place.authorities)}")
        return wrapped(words)

    def run(self, *words: str) -> list[str]:
        """A command."""
        return command(*self.words, *words)

    def of(self, newest: SnapshotLine, *words: str) -> list[str]:
        """A command about the newest snapshot like this one."""
        return command(*self.words, *words, *picked(newest))

    def piped(self, newest: SnapshotLine, path: str, *into: str) -> list[str]:
        """One file of the newest snapshot, into another program."""
        return command(*self.words, "dump", *picked(newest), "latest", path, "|", *into, variable=("|",))


def picked(newest: SnapshotLine) -> Sequence[str]:
    """The options by which `latest` is the newest snapshot of the same job."""
    return (f"--host={newest.host}", f"--tag={tag_of(newest.job)}")


HOSTWARD = Tool("With hostward", ("hostward", "backup"), "HOSTWARD", "home")
RESTIC = Tool("With restic alone", ("restic",), "RESTIC", "/var/lib/hostward-collector/backups/{}")


def repository_of(place: Place) -> str:
    """What a repository at home is called there: the last part of its address, which is a host's id by default."""
    return place.location.rstrip("/").rpartition("/")[2]


def _quoted(text: str) -> str:
    return command(text)[0]
