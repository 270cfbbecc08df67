"""Carries all that home knows from one database to another, of whatever kinds these are."""

from __future__ import annotations

from sqlalchemy import Connection, func, insert, select, text

import collector.backups.keeping.tables
import collector.backups.tables
import collector.metrics.tables  # noqa: F401 - these add their tables to the metadata
from collector.store.tables import metadata

AT_ONCE = 200
"""Rows in one statement: a block of history is some tens of kilobytes."""


def copy_rows(source: Connection, target: Connection) -> None:
    """Add every row to the target, whose tables are empty. Both have the newest tables."""
    for table in metadata.sorted_tables:
        rows = source.execute(select(table).execution_options(yield_per=AT_ONCE))
        for part in rows.mappings().partitions():
            target.execute(insert(table), [dict(row) for row in part])
    if target.dialect.name == "postgresql":
        _go_on_counting(target)


def _go_on_counting(connection: Connection) -> None:
    """Rows that came with their numbers have not moved the counters from which new ones get theirs."""
    for table in metadata.sorted_tables:
        column = table.autoincrement_column
        if column is not None and (last := connection.execute(select(func.max(column))).scalar()) is not None:
            connection.execute(
                text("SELECT setval(pg_get_serial_sequence(:table, :column), :last)"),
                {"table": table.name, "column": column.name, "last": last},
            )
