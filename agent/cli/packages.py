"""`hostward packages`: what is installed on this host, and which updates wait since when."""

from __future__ import annotations

import argparse
import sqlite3
import time

import msgspec

from agent.packages.gather import gather, remembers
from agent.paths import System, state_folder
from agent.state import State, StateError
from kit.commands import Command
from kit.jsontext import json_text
from kit.terminal import clean, paint, table
from kit.units import format_duration
from wire.packages import Manager, Packages

DAY, HOUR = 86400.0, 3600.0


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """A package, as `--json` prints it."""

    name: str
    version: str
    architecture: str
    manual: bool


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """One that has a newer version. `since` is in seconds since the epoch."""

    name: str
    installed: str
    candidate: str
    security: bool
    since: float


class Listing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `--json` prints; docs/agent.md describes it."""

    time: float
    manager: Manager
    pending: list[Waiting] | None
    pending_left_out: int
    installed: list[Installed] = []
    left_out: int


def configure(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--pending", action="store_true", help="only what waits for an update")


def run(options: argparse.Namespace) -> int:
    """Print them."""
    state = State.read(state_folder(options.state_dir).absolute())
    try:
        memory = remembers(state)
    except sqlite3.Error as error:
        raise StateError(f"{state.folder} cannot be read: {error}") from error
    finally:
        state.close()
    found, now = gather(System(), memory), time.time()
    if options.json:
        print(json_text(listing(found, now, pending=options.pending)))
    else:
        print("\n".join(lines(found, now, pending=options.pending)))
    return 0


def listing(found: Packages, now: float, *, pending: bool) -> Listing:
    """For programs; with `pending`, without what is installed."""
    waiting = None
    if found.pending is not None:
        waiting = [
            Waiting(
                name=each.name,
                installed=each.installed,
                candidate=each.candidate,
                security=each.security,
                since=each.since,
            )
            for each in found.pending
        ]
    installed = [
        Installed(name=each.name, version=each.version, architecture=each.architecture, manual=each.manual)
        for each in (() if pending else found.installed)
    ]
    return Listing(
        time=now,
        manager=found.manager,
        pending=waiting,
        pending_left_out=found.pending_left_out,
        installed=installed,
        left_out=found.left_out,
    )


def lines(found: Packages, now: float, *, pending: bool) -> list[str]:
    """For people."""
    manual = sum(each.manual for each in found.installed)
    said = [f"installed  {len(found.installed) + found.left_out} by {found.manager}, {manual} of them asked for"]
    if found.pending is None:
        said.append("pending    not known: the check `updates` has not run yet")
    else:
        security = sum(each.security for each in found.pending)
        said.append(f"pending    {len(found.pending) + found.pending_left_out}, {security} of them for security")
    if found.pending:
        rows = [
            (
                clean(each.name),
                clean(each.installed),
                clean(each.candidate),
                _age(now - each.since),
                "security" if each.security else "",
            )
            for each in found.pending
        ]
        said += ["", table(("package", "installed", "newer", "for", "kind"), rows)]
    if not pending:
        packages = [
            (clean(each.name), clean(each.version), clean(each.architecture), "asked for" if each.manual else "")
            for each in found.installed
        ]
        said += ["", table(("package", "version", "architecture", "why"), packages)]
        if found.left_out:
            said.append(paint(f"and {found.left_out} more that others need", "warning"))
    return said


def _age(seconds: float) -> str:
    """Coarse, as people say it."""
    for unit in (DAY, HOUR):
        if seconds >= 2 * unit:
            return format_duration(seconds // unit * unit)
    return format_duration(max(0, round(seconds)))


PACKAGES = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward packages --pending
  hostward packages --json | jq -r '.installed[] | select(.manual) | .name'""",
    notes="""\
What is installed is read now; what waits is what the check `updates` saw when it last ran, without what was updated
since. Nothing is fetched, and no lock is taken.
exit codes: 0 printed, 1 it cannot be told.""",
)
