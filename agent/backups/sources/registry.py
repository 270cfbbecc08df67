"""The names of all sources, imported on first use: a run loads only its own."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

from agent.backups.sources.contract import Contents, Opened, Run

SOURCES: dict[str, str] = {
    "command": "agent.backups.sources.command",
    "docker": "agent.backups.sources.docker",
    "files": "agent.backups.sources.files",
    "mariadb": "agent.backups.sources.mariadb",
    "mysql": "agent.backups.sources.mysql",
    "postgresql": "agent.backups.sources.postgresql",
    "postgresql_base": "agent.backups.sources.postgresql_base",
    "postgresql_wal": "agent.backups.sources.postgresql_wal",
    "redis": "agent.backups.sources.redis",
    "sqlite": "agent.backups.sources.sqlite",
}
"""Source, which is also the name of its table in a job, to the module that has its function `opened`."""


def opened(name: str, options: Any, run: Run) -> AbstractContextManager[Contents]:
    """Open the source of a job: `options` is its table, for `files` the paths. Raises KeyError for an unknown name,
    and what the source raises."""
    found: Opened = import_module(SOURCES[name]).opened
    return found(options, run)
