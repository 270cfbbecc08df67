"""What a collector can be told in /etc/hostward/collector.toml. Without the file, everything has its default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec

from collector.backups.settings import BackupOptions
from collector.doorkeeper import Bounds as Connections
from collector.metrics.contract import Bounds
from collector.rules.backup_state import UNVERIFIED
from kit.options.load import load
from kit.units import Duration, Size

OWN_FILES = 100
"""Files that are no connections: the database's, the log, what is being read."""
DEFAULT_FILE = Path("/etc/hostward/collector.toml")


class HistoryOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of the readings is kept."""

    retention: Annotated[
        Duration,
        msgspec.Meta(description="How long readings are kept.", examples=["90d"], extra={"minimum": Duration(3600)}),
    ] = Duration(Bounds().retention)
    max_size: Annotated[
        Size,
        msgspec.Meta(
            description="What readings may take on disk; beyond it the oldest go first.",
            examples=["5GiB"],
            extra={"minimum": Size(2**20)},
        ),
    ] = Size(Bounds().size)


class ConnectionOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many may be connected at one time. Each host keeps one connection, each browser up to six."""

    total: Annotated[
        int,
        msgspec.Meta(
            description="In all; no more than the system lets one process have files.",
            ge=10,
            le=1_000_000,
            examples=[50_000],
        ),
    ] = Connections().total
    per_address: Annotated[
        int,
        msgspec.Meta(
            description="From one address (IPv6: one /64). Raise it where a larger fleet comes through one gateway.",
            ge=1,
            le=1_000_000,
            examples=[8_000],
        ),
    ] = Connections().per_address

    def bounds(self, *, files: int) -> Connections:
        """The doorkeeper's, where the process may have so many files: some are for the database."""
        return Connections(total=min(self.total, max(files - OWN_FILES, 1)), per_address=self.per_address)


class BackupJobOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Backup jobs of hosts, whatever repository they save to."""

    unverified: Annotated[
        Duration,
        msgspec.Meta(
            description="How long after a job was last verified its page warns.",
            examples=["8d"],
            extra={"minimum": Duration(3600)},
        ),
    ] = Duration(UNVERIFIED)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file."""

    history: Annotated[HistoryOptions, msgspec.Meta(description="How much of the readings is kept.")] = (
        HistoryOptions()
    )

    connections: Annotated[ConnectionOptions, msgspec.Meta(description="How many may be connected at one time.")] = (
        ConnectionOptions()
    )

    backup_jobs: Annotated[
        BackupJobOptions, msgspec.Meta(description="When a backup job is one that somebody should look at.")
    ] = BackupJobOptions()

    backups: Annotated[
        BackupOptions | None, msgspec.Meta(description="Repositories for the backups of hosts; none by default.")
    ] = None

    def bounds(self) -> Bounds:
        """The history's."""
        return Bounds(retention=float(self.history.retention), size=int(self.history.max_size))


def load_settings(file: Path | None) -> Settings:
    """--config `file`, else HOSTWARD_CONFIG, else the default file if there is one. Raises ConfigurationError."""
    given = file or (Path(os.environ["HOSTWARD_CONFIG"]) if os.environ.get("HOSTWARD_CONFIG") else None)
    return load(Settings, given or DEFAULT_FILE, must_exist=given is not None).value
