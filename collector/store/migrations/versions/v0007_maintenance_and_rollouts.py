"""Maintenance windows, leases and rollouts; groups, tags and packages of hosts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make their tables."""
    op.create_table(
        "host_groups",
        sa.Column("host_id", sa.Text(), nullable=False),
        sa.Column("groups", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        _of_host("host_groups"),
        sa.PrimaryKeyConstraint("host_id", name=op.f("pk_host_groups")),
    )
    op.create_table(
        "host_packages",
        sa.Column("host_id", sa.Text(), nullable=False),
        sa.Column("received", sa.Double(), nullable=False),
        sa.Column("packages", sa.LargeBinary(), nullable=False),
        sa.Column("updates", sa.Text(), nullable=False),
        _of_host("host_packages"),
        sa.PrimaryKeyConstraint("host_id", name=op.f("pk_host_packages")),
    )
    op.create_table(
        "windows",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("opened", sa.Double(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.Column("closed", sa.Double(), nullable=True),
        sa.Column("window", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_windows")),
    )
    op.create_index("ix_windows_until", "windows", ["until"])
    op.create_table(
        "window_hosts",
        sa.Column("window_id", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["window_id"], ["windows.id"], name=op.f("fk_window_hosts_window_id_windows"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("window_id", "host", name=op.f("pk_window_hosts")),
    )
    op.create_index("ix_window_hosts_host", "window_hosts", ["host"])
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", "holder", name=op.f("pk_leases")),
    )
    op.create_table(
        "rollouts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("received", sa.Double(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("started", sa.Double(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollouts")),
    )
    op.create_index("ix_rollouts_started", "rollouts", ["started"])


def _of_host(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["host_id"], ["hosts.id"], name=op.f(f"fk_{table}_host_id_hosts"), ondelete="CASCADE"
    )
