"""What alembic runs: the migrations, on the connection and inside the transaction that it is given."""

from __future__ import annotations

from alembic import context

import collector.backups.keeping.tables
import collector.backups.tables
import collector.metrics.tables  # noqa: F401 - these add their tables to the metadata
from collector.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
