"""`[backups.NAME.postgresql_base]`: base backups of PostgreSQL, from which WAL leads on to any later moment."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from agent.config.backup_sources.common import Words
from agent.config.backup_sources.postgresql_connection import PostgresqlConnection
from agent.config.repositories import FullPath


class PostgresqlBaseSource(PostgresqlConnection, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole server, with its tablespaces, as pg_basebackup copies it; PostgreSQL 13 or later.

    The snapshot holds `base` in the scratch folder: `data`, which is a data folder, `tablespaces`, and `base.json`,
    which says of which server and moment it is. The copy is verified by pg_verifybackup where there is one, and
    removed when it is saved.
    """

    scratch: Annotated[
        FullPath,
        msgspec.Meta(
            description="A folder with room for a copy of the server, which belongs to whom the tools run as.",
            examples=["/var/lib/postgresql/hostward-base"],
        ),
    ]
    user: Annotated[
        Words,
        msgspec.Meta(
            description="The role: `postgres`, or one with REPLICATION that may connect to the database `postgres`.",
            examples=["backup"],
        ),
    ] = "postgres"
    checkpoint: Annotated[
        Literal["fast", "spread"],
        msgspec.Meta(
            description="Whether the server writes out all at once at the begin, or spreads that over time.",
            examples=["fast"],
        ),
    ] = "spread"
