"""The tables of keeping at home: what is known of snapshots, what was odd, and what was done.

Times are home's own.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, ForeignKey, Index, Table, Text

from collector.store.tables import Serial, metadata

backup_snapshots = Table(
    "backup_snapshots",
    metadata,
    Column("repository", Text, ForeignKey("backup_repositories.name", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),  # of its file
    Column("received", Double, nullable=False),
    Column("facts", Text, nullable=False),  # keeping.facts.Facts as JSON
    Column("reason", Text, nullable=False),  # why it is removed, written before that is done; '' while it is kept
    Column("removed", Double),
)
Index("ix_backup_snapshots_removed", backup_snapshots.c.repository, backup_snapshots.c.removed)

backup_alerts = Table(
    "backup_alerts",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("repository", Text, ForeignKey("backup_repositories.name", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),  # keeping.alerts.AlertKind
    Column("scope", Text, nullable=False),  # keeping.facts.Group as JSON; '' for the whole repository
    Column("stops", Boolean, nullable=False),  # whether nothing is removed until it is acknowledged
    Column("message", Text, nullable=False),
    Column("since", Double, nullable=False),  # the receipt of the first snapshot that it is about, or `raised`
    Column("raised", Double, nullable=False),
    Column("acknowledged", Double),
    Column("acknowledged_by", Text, nullable=False),  # '' while it is open, or where it ended by itself
)
Index("ix_backup_alerts_repository", backup_alerts.c.repository, backup_alerts.c.acknowledged)

backup_works = Table(
    "backup_works",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("repository", Text, ForeignKey("backup_repositories.name", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),  # 'keep' or 'verify'
    Column("started", Double, nullable=False),
    Column("finished", Double),  # NULL while it is under way, and for ever where it was killed
    Column("result", Text, nullable=False),  # keeping.results.Result as JSON; '' until it is finished
)
Index("ix_backup_works_repository", backup_works.c.repository, backup_works.c.kind, backup_works.c.id)
