"""What a program prints, as a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agent.backups.programs import Output
from agent.backups.sources.contract import Contents, Run
from agent.config.backup_sources.command import CommandSource
from backup.archive.streams import Stream, clean_path


@contextmanager
def opened(options: CommandSource, run: Run) -> Iterator[Contents]:
    """It is started when its turn comes, with a minimal environment."""
    path = clean_path(options.filename)

    def start() -> Output:
        return Output(options.command, user=options.run_as, then="no snapshot was made")

    yield Contents(streams=(Stream(path, start),), names=(path,))
