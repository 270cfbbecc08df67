"""`[backups.NAME.postgresql]`: databases of PostgreSQL, dumped by its own tools."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.config.backup_sources.common import Words
from agent.config.backup_sources.postgresql_connection import PostgresqlConnection


class PostgresqlSource(PostgresqlConnection, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Databases of a PostgreSQL server, one dump each in pg_dump's custom format, and what belongs to none of them.

    The snapshot holds `/postgresql/DATABASE.dump` and `/postgresql/globals.sql`. Dumps are not compressed, so that
    what has not changed is stored once.
    """

    user: Annotated[
        Words,
        msgspec.Meta(
            description="The role. `postgres` may read all; another needs to be a member of `pg_read_all_data`.",
            examples=["backup"],
        ),
    ] = "postgres"
    databases: Annotated[
        tuple[Words, ...],
        msgspec.Meta(
            description="Which to dump, by name (* and ? as in file names). A name that fits none fails the run.",
            min_length=1,
            examples=[["shop", "billing*"]],
        ),
    ] = ("*",)
    exclude: Annotated[
        tuple[Words, ...], msgspec.Meta(description="Databases to leave out.", examples=[["test_*"]])
    ] = ()
    maintenance_database: Annotated[
        Words,
        msgspec.Meta(description="The database in which the list of databases is read.", examples=["template1"]),
    ] = "postgres"
    globals: Annotated[
        bool,
        msgspec.Meta(description="Whether roles and tablespaces are saved too.", examples=[False]),
    ] = True
    role_passwords: Annotated[
        bool,
        msgspec.Meta(
            description="Whether the hashes of the roles' passwords are saved with them, which takes a superuser.",
            examples=[False],
        ),
    ] = True
    together: Annotated[
        bool,
        msgspec.Meta(
            description="Whether all databases are dumped as of one moment, for which a transaction in each is open "
            "until all are dumped; false dumps each as of its own start.",
            examples=[False],
        ),
    ] = True
