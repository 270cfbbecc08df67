"""`hostward backup recovery-kit`: the page for the worst day."""

from __future__ import annotations

import argparse
import copy
import socket
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from agent.backups.records import Book
from agent.backups.recovery import text
from agent.backups.recovery.compose import compose
from agent.backups.recovery.gather import home_of, keys_of, newest_of, place_of
from agent.backups.recovery.kit import JobLine, Kit, Place
from agent.cli.backup.access import opened
from agent.cli.backup.jobs import use_repository
from agent.cli.backup.output import warn
from agent.config.backups import BackupOptions
from agent.config.drills import DrillOptions
from agent.config.places import files_and_folder, folder_beside
from agent.config.recovery import RecoveryOptions
from agent.config.repositories import Access
from agent.config.schema import AgentOptions
from agent.config.trust import distrust, own_or_roots
from agent.paths import configuration_file, state_folder
from agent.timetable import in_words
from backup.errors import PartialError
from kit.commands import Command
from kit.errors import HostwardError, UsageError
from kit.files import write_durably
from kit.options.load import MistakesError, load
from kit.terminal import clean
from kit.version import __version__
from wire.report import Drill

_FORMATS: Final = ("text", "pdf")


class _Tables(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    agent: AgentOptions = AgentOptions()
    backups: dict[str, BackupOptions] = {}
    drills: dict[str, DrillOptions] = {}
    recovery: RecoveryOptions = RecoveryOptions()


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("--output", metavar="FILE", help="where to write it; standard output")
    parser.add_argument(
        "--format", choices=_FORMATS, metavar="FORMAT", help="text or pdf; what the end of FILE says, else text"
    )


def run(options: argparse.Namespace) -> int:
    """Look at the repositories, and write the page."""
    form = _format(options)
    tables, file = _load(options)
    state = state_folder(options.state_dir).absolute()
    kit = Kit(
        host=tables.agent.name or socket.gethostname(),
        written=datetime.now().astimezone(),
        version=__version__,
        configuration=str(file),
        state=str(state),
        contacts=tables.recovery.contacts,
        notes=tables.recovery.notes,
        home=home_of(state),
        jobs=tuple(_job(options, name, job, tables, state) for name, job in tables.backups.items()),
    )
    page = compose(kit)
    if form == "pdf":
        from agent.backups.recovery import pdf  # an extra, with fonts and images behind it

        data, missing = pdf.render(page)
        if missing:
            warn(f"no font of this host has {clean(missing[:50])}: they stand as numbers; --format text has them")
    else:
        data = text.render(page).encode("utf-8", "replace")
    _write(data, options.output)
    unseen = [place.location for job in kit.jobs for place in job.places if place.trouble]
    if unseen:
        raise PartialError(f"the kit was written without what only the repository knows: {', '.join(unseen)}")
    return 0


def _format(options: argparse.Namespace) -> str:
    named: str | None = options.format
    form = named or ("pdf" if options.output and options.output.lower().endswith(".pdf") else "text")
    if form == "pdf" and not options.output and sys.stdout.isatty():
        raise UsageError("a PDF is not for a terminal: name a file by --output FILE")
    return form


def _load(options: argparse.Namespace) -> tuple[_Tables, Path]:
    """Only the tables that count: a mistake in another keeps no kit from being written. Raises ConfigurationError."""
    file, named = configuration_file(options.config)
    if mistakes := distrust(files_and_folder(file), own_or_roots()):
        raise MistakesError(mistakes)
    fields = _Tables.__struct_fields__
    found = load(_Tables, file, folder=folder_beside(file), must_exist=named, tables=fields)
    if not found.value.backups:
        raise UsageError(f"{clean(str(file))} has no backup job, so there is nothing to recover from")
    return found.value, file.absolute()


def _job(options: argparse.Namespace, name: str, job: BackupOptions, tables: _Tables, state: Path) -> JobLine:
    accesses: list[Access] = [job, *job.copies]
    return JobLine(
        name=name,
        description=job.description,
        source=job.source,
        paths=job.paths,
        schedule=in_words(job),
        places=tuple(_look(options, name, job, access) for access in accesses),
        drills=tuple(
            found
            for drill, asked in tables.drills.items()
            if asked.backup == name
            for found in _last_drills(state, drill)
        ),
    )


def _look(options: argparse.Namespace, name: str, job: BackupOptions, access: Access) -> Place:
    place = place_of(access)
    try:
        given = copy.copy(options)
        use_repository(given, access)
        with opened(given, "none") as repository:
            return replace(
                place,
                location=repository.store.location if place.is_home else place.location,
                id=repository.config.id,
                keys=keys_of(repository),
                newest=newest_of(repository, name, job.host or socket.gethostname(), job.source),
            )
    except (HostwardError, OSError) as error:
        warn(f"{access.repository}: {error}")
        return replace(place, trouble=place.trouble or str(error))


def _last_drills(state: Path, name: str) -> list[Drill]:
    """The last one, and where that failed the last that did not."""
    try:
        runs = [numbered.record.run for numbered in Book(state, "drills", Drill).runs(name)]
    except OSError as error:
        warn(f"nothing is known of drills: {error.filename or state}: {error.strerror}")
        return []
    done = [run for run in runs if run.outcome == "done"]
    return runs[-1:] + (done[-1:] if runs and runs[-1].outcome != "done" else [])


def _write(data: bytes, output: str | None) -> None:
    if output is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    if path.exists() and not path.is_file():  # a pipe or a device, which cannot be replaced
        path.write_bytes(data)
        return
    write_durably(path, data, mode=0o600)


RECOVERY_KIT = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup recovery-kit --output recovery-kit.pdf
  hostward backup recovery-kit | lp                       on paper at once
  hostward backup recovery-kit --format text | less""",
    notes="""\
It looks into the repositories of all jobs, so it needs their passwords, but writes none of them. Print it, and keep
it where neither this host nor what takes it down can reach it. Write it anew when jobs change, and after drills.
exit codes: 0 done; 1 failed; 2 bad usage, or no backup job; 3 written, but a repository could not be looked into.""",
)
