"""MariaDB, with the tools that are called as its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agent.backups.sources.contract import Contents, Run
from agent.backups.sources.mysql import opened_as
from agent.config.backup_sources.mysql import MysqlSource


@contextmanager
def opened(options: MysqlSource, run: Run) -> Iterator[Contents]:
    """As for MySQL."""
    with opened_as("mariadb", ("mariadb-dump", "mysqldump"), ("mariadb", "mysql"), options) as contents:
        yield contents
