"""Repositories at home: what there is, what was received, and the credentials of hosts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make their tables."""
    op.create_table(
        "backup_repositories",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("host_id", sa.Text(), nullable=True),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("received", sa.Double(), nullable=True),
        sa.Column("files", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["host_id"], ["hosts.id"], name=op.f("fk_backup_repositories_host_id_hosts"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_backup_repositories")),
    )
    op.create_table(
        "backup_receipts",
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.Double(), nullable=False),
        sa.Column("host_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["repository"],
            ["backup_repositories.name"],
            name=op.f("fk_backup_receipts_repository_backup_repositories"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["host_id"], ["hosts.id"], name=op.f("fk_backup_receipts_host_id_hosts"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("repository", "kind", "name", name=op.f("pk_backup_receipts")),
    )
    op.create_index("ix_backup_receipts_received", "backup_receipts", ["repository", "kind", "received"])
    op.create_table(
        "backup_credentials",
        sa.Column("host_id", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["host_id"], ["hosts.id"], name=op.f("fk_backup_credentials_host_id_hosts"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("host_id", name=op.f("pk_backup_credentials")),
    )
