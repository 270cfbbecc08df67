"""`hostward backup watch`: sees which folders of jobs change, so that runs need not look for it."""

from __future__ import annotations

import argparse
import os

from agent.backups.watch.place import folder_of
from agent.backups.watch.scope import watched_of
from agent.backups.watch.server import serve
from agent.backups.watch.watcher import Watched
from agent.cli.backup.jobs import find_job, use_scope
from agent.cli.backup.options import configure_without_repository
from agent.cli.backup.scope import add_scope, scope_of
from agent.daemon import log
from agent.daemon.notify import Notifier
from backup.archive.targets import absolute
from kit.commands import Command
from kit.errors import UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its one argument."""
    parser.add_argument("jobs", nargs="+", metavar="JOB", help="backup jobs of the configuration")


def run(options: argparse.Namespace) -> int:
    """Watch until a signal ends it."""
    for name in options.jobs:
        if not find_job(options, name).watch:
            raise UsageError(f'the job "{name}" does not say watch = true, so no run of it would ask the watcher')
    log.set_up()

    def load(name: str) -> Watched:
        job = find_job(options, name)
        parser = argparse.ArgumentParser()
        add_scope(parser)
        given = parser.parse_args([])
        use_scope(given, job)
        return watched_of([absolute(os.fsencode(path)) for path in job.paths], scope_of(given))

    serve({name: folder_of(name, options.environment) for name in options.jobs}, load, Notifier())
    return 0


WATCH = Command(
    run=run,
    configure=configure,
    shared=configure_without_repository,
    examples="""\
  hostward backup watch etc        in the foreground; the unit hostward-backup-watch@etc starts this
  hostward backup watch etc srv    several jobs in one process""",
    notes="""\
`hostward backup run JOB` asks it where the job has `watch = true`, and scans everything where nobody answers.
It ends at SIGTERM, SIGHUP or Ctrl-C. It needs to read the names in the folders, not what is in the files.
exit codes: 0 ended by a signal; 1 failed, also where another process watches the job; 2 bad usage.""",
)
