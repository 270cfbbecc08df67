"""The tables of the embedded history. `collector.store` creates them with its own, by the same migrations.

`hour` is whole hours since the epoch. Nothing here refers to a host's row: history goes by its age alone.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from collector.store.tables import Serial, metadata

series = Table(
    "history_series",
    metadata,
    Column("host_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # small, and given again when it is free
    Column("check_name", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("labels", Text, nullable=False),  # JSON object, keys sorted
    Column("seen", Integer, nullable=False),  # an hour, at most a day before the newest that has a sample
)

# Readings as they came, one row for each report (two for one that spans the turn of an hour).
journal = Table(
    "history_journal",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("hour", Integer, nullable=False),  # by the host's clock
    Column("host_id", Text, nullable=False),
    # Seconds since the epoch, by home's clock.
    Column("received", BigInteger().with_variant(Integer(), "sqlite"), nullable=False),
    Column("body", LargeBinary, nullable=False),  # collector.metrics.blocks.encode_row
)
# By hour first: what may be rolled up is then found without a walk over the hours that are still open.
Index("ix_history_journal_hour", journal.c.hour, journal.c.host_id, journal.c.received)

blocks = Table(
    "history_blocks",
    metadata,
    Column("host_id", Text, primary_key=True),
    Column("hour", Integer, primary_key=True, autoincrement=False),  # by the host's clock
    Column("size", Integer, nullable=False),  # of the body, in bytes
    Column("body", LargeBinary, nullable=False),  # collector.metrics.blocks.encode_block
)
# Covers the sum of sizes by hour, which would otherwise read every block's page.
Index("ix_history_blocks_hour", blocks.c.hour, blocks.c.size)
