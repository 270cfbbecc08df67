"""Asks the host's package manager what is installed, and the check of updates what waits.

It is a program too, `python -m agent.packages.gather ROOT STATE`, which prints wire.packages.Packages as JSON: the
daemon has it run seldom, in a process of its own, so that an agent at rest holds no list of packages.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import msgspec

from agent.backups.programs import ProgramError, collect
from agent.checks.contract import remembered
from agent.checks.packages import UpdatesMemory
from agent.checks.runner import Memory
from agent.jobs.process import CannotStartError
from agent.packages import parse
from agent.packages.books import APT, manager, rpm_folder
from agent.paths import System
from agent.state import State, StateError
from kit.errors import HostwardError
from wire import fit
from wire.packages import Package, Packages


class PackagesError(HostwardError):
    """What is installed cannot be told."""


def gather(system: System, memory: UpdatesMemory | None) -> Packages:
    """What is installed and, by what the check of updates remembers, waits; within the wire's limits.

    Raises PackagesError.
    """
    kind = manager(system)
    if kind is None:
        raise PackagesError("this host has neither dpkg's nor rpm's database")
    installed = _apt(system) if kind == "apt" else _dnf(system)
    pending = None if memory is None else parse.waiting(memory, installed)
    return fit.packages(Packages(manager=kind, installed=installed, pending=pending))


def remembers(state: State) -> UpdatesMemory | None:
    """What the check of updates left; None where none has run. Raises sqlite3.Error."""
    for check in state.checks().values():
        if check.state.kind == "updates":
            with suppress(msgspec.MsgspecError, UnicodeDecodeError):
                memory = msgspec.msgpack.decode(check.memory, type=Memory)
                return remembered(memory.previous, UpdatesMemory)
    return None


def _apt(system: System) -> list[Package]:
    automatic: set[tuple[str, str]] = set()
    try:
        with suppress(FileNotFoundError), _open(system, APT[1]) as states:
            automatic = parse.apt_automatic(states)
        with _open(system, APT[0]) as status:
            return parse.of_apt(parse.dpkg(status), automatic)
    except OSError as error:
        raise PackagesError(f"{error.filename} cannot be read: {error.strerror}") from error


def _open(system: System, path: str) -> TextIO:
    return system.path(path).open(encoding="utf-8", errors="replace")


def _dnf(system: System) -> list[Package]:
    root = [] if system.root == Path("/") else [f"--root={system.root}"]
    try:
        listed = collect(["rpm", *root, f"--dbpath={rpm_folder(system)}", "-qa", "--qf", parse.RPM_FORMAT])
    except (CannotStartError, ProgramError) as error:
        raise PackagesError(f"rpm cannot say what is installed: {error}") from error
    asked_for = None
    # An rpm without dnf has no book of who asked for what.
    with suppress(CannotStartError, ProgramError):
        where = [f"--installroot={system.root}"] if root else []
        asked_for = collect(["dnf", "-q", "--cacheonly", *where, "history", "userinstalled"]).decode(errors="replace")
    return parse.of_dnf(parse.rpm(listed.decode(errors="replace")), asked_for)


def main(root: str, folder: str) -> int:
    """For the daemon: print them; 1 with the reason on standard error where they cannot be told."""
    try:
        state = State.read(Path(folder))
        try:
            memory = remembers(state)
        finally:
            state.close()
        found = gather(System(Path(root)), memory)
    except (PackagesError, StateError, sqlite3.Error) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(msgspec.json.encode(found).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
