"""The names of all kinds of scratch servers, imported on first use."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path

from agent.backups.scratch.contract import OpenServer, Server

SERVERS: dict[str, str] = {
    "mariadb": "agent.backups.scratch.mysql",
    "mysql": "agent.backups.scratch.mysql",
    "postgresql": "agent.backups.scratch.postgresql",
    "redis": "agent.backups.scratch.redis",
    "sqlite": "agent.backups.scratch.sqlite",
}
"""Source to the module that has its function `opened`."""


def opened(kind: str, folder: Path, *, patience: float) -> AbstractContextManager[Server]:
    """Start one for what the source `kind` saved. Raises KeyError for a source that has none, and ScratchError."""
    found: OpenServer = import_module(SERVERS[kind]).opened
    return found(folder, patience)
