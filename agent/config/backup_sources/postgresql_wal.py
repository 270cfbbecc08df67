"""`[backups.NAME.postgresql_wal]`: the WAL that a PostgreSQL server archives into a spool on this host."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.config.repositories import FullPath
from kit.units import Duration


class PostgresqlWalSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What PostgreSQL's `archive_command = 'hostward backup wal archive SPOOL %p %f'` puts into a spool.

    The snapshot holds `/postgresql-wal/CLUSTER` with the segments that waited. They leave the spool once it is
    durable. A run that finds nothing to save makes no snapshot.
    """

    spool: Annotated[
        FullPath,
        msgspec.Meta(
            description="The folder that the archive_command names. It belongs to the server's user, and whoever "
            "runs the backup must be able to remove files from it.",
            examples=["/var/spool/hostward/shop"],
        ),
    ]
    segments: Annotated[
        int,
        msgspec.Meta(
            description="How many segments must wait for a run to save them before they are as old as `within`.",
            ge=1,
            le=10_000,
            examples=[16],
        ),
    ] = 1
    within: Annotated[
        Duration,
        msgspec.Meta(
            description="A segment that waits for longer is saved by the next run, however few there are.",
            examples=["15m"],
        ),
    ] = Duration(300)
