"""How backups ran, and what drills measured."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make their tables: what came, and how each job and each drill stands."""
    for table, name, document in (("backup_runs", "job", "run"), ("drills", "name", "drill")):
        op.create_table(
            table,
            sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
            sa.Column("host_id", sa.Text(), nullable=False),
            sa.Column(name, sa.Text(), nullable=False),
            sa.Column("received", sa.Double(), nullable=False),
            sa.Column(document, sa.Text(), nullable=False),
            sa.ForeignKeyConstraint(
                ["host_id"], ["hosts.id"], name=op.f(f"fk_{table}_host_id_hosts"), ondelete="CASCADE"
            ),
            sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        )
        op.create_index(f"ix_{table}_host_id_{name}", table, ["host_id", name, "id"])
    for table, name in (("backup_jobs", "job"), ("drill_plans", "name")):
        op.create_table(
            table,
            sa.Column("host_id", sa.Text(), nullable=False),
            sa.Column(name, sa.Text(), nullable=False),
            sa.Column("received", sa.Double(), nullable=False),
            sa.Column("standing", sa.Text(), nullable=False),
            sa.Column("points", sa.Text(), nullable=False),
            sa.ForeignKeyConstraint(
                ["host_id"], ["hosts.id"], name=op.f(f"fk_{table}_host_id_hosts"), ondelete="CASCADE"
            ),
            sa.PrimaryKeyConstraint("host_id", name, name=op.f(f"pk_{table}")),
        )
