"""What home knows of snapshots, what was odd about them, and what it did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make their tables."""
    op.create_table(
        "backup_snapshots",
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("received", sa.Double(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("removed", sa.Double(), nullable=True),
        _of_repository("backup_snapshots"),
        sa.PrimaryKeyConstraint("repository", "name", name=op.f("pk_backup_snapshots")),
    )
    op.create_index("ix_backup_snapshots_removed", "backup_snapshots", ["repository", "removed"])
    op.create_table(
        "backup_alerts",
        _serial(),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("stops", sa.Boolean(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("raised", sa.Double(), nullable=False),
        sa.Column("acknowledged", sa.Double(), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=False),
        _of_repository("backup_alerts"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backup_alerts")),
    )
    op.create_index("ix_backup_alerts_repository", "backup_alerts", ["repository", "acknowledged"])
    op.create_table(
        "backup_works",
        _serial(),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("started", sa.Double(), nullable=False),
        sa.Column("finished", sa.Double(), nullable=True),
        sa.Column("result", sa.Text(), nullable=False),
        _of_repository("backup_works"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backup_works")),
    )
    op.create_index("ix_backup_works_repository", "backup_works", ["repository", "kind", "id"])


def _serial() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False)


def _of_repository(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["repository"],
        ["backup_repositories.name"],
        name=op.f(f"fk_{table}_repository_backup_repositories"),
        ondelete="CASCADE",
    )
