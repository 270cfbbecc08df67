"""The tables of repositories at home: what there is, what was received when and of whom, and who may come in.

Times are home's own. No host can set or change one.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Index, LargeBinary, Table, Text

from collector.store.tables import metadata

backup_repositories = Table(
    "backup_repositories",
    metadata,
    Column("name", Text, primary_key=True),  # of its folder: the id of the host whose own it is, or a group's name
    Column("host_id", Text, ForeignKey("hosts.id", ondelete="SET NULL")),  # whose own it is; NULL for a shared one
    Column("created", Double, nullable=False),
    Column("received", Double),  # when a host last added to it
    # Counted from the receipts, in the transactions that write them: locks too.
    Column("files", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),  # bytes
)

backup_receipts = Table(
    "backup_receipts",
    metadata,
    Column("repository", Text, ForeignKey("backup_repositories.name", ondelete="CASCADE"), primary_key=True),
    Column("kind", Text, primary_key=True),  # backup.stores.contract.FileKind
    Column("name", Text, primary_key=True),  # SHA-256 in hexadecimal, or 'config'
    Column("size", BigInteger, nullable=False),  # bytes
    Column("received", Double, nullable=False),
    # Who sent it; NULL for what home found there, which somebody wrote on this machine.
    Column("host_id", Text, ForeignKey("hosts.id", ondelete="SET NULL")),
)
Index(
    "ix_backup_receipts_received",
    backup_receipts.c.repository,
    backup_receipts.c.kind,
    backup_receipts.c.received,
)

backup_credentials = Table(
    "backup_credentials",
    metadata,
    Column("host_id", Text, ForeignKey("hosts.id", ondelete="CASCADE"), primary_key=True),
    Column("token_hash", LargeBinary, nullable=False),  # SHA-256
    Column("created", Double, nullable=False),
)
