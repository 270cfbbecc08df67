"""The tables as they are in a database: of which revision, brought up to date, emptied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, inspect, text

VERSION = "alembic_version"


def revision(connection: Connection) -> str | None:
    """The number of the newest migration that was done; None where there are no tables of home's."""
    if not inspect(connection).has_table(VERSION):
        return None
    found: Any = connection.execute(text(f"SELECT version_num FROM {VERSION}")).scalar()  # noqa: S608 - no input
    return None if found is None else str(found)


def tables(connection: Connection) -> list[str]:
    """The names of all tables, whoever's they are."""
    return sorted(inspect(connection).get_table_names())


def migrate(connection: Connection) -> None:
    """Make the tables, or bring them up to date."""
    # Loaded here: alembic with its templates takes a third of a second, and is needed once per upgrade.
    from alembic import command
    from alembic.config import Config

    config = Config()
    folder = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def renew(connection: Connection) -> None:
    """Empty tables in place of all that are there, of whatever revision these were."""
    there = MetaData()
    there.reflect(connection)
    there.drop_all(connection)
    migrate(connection)
