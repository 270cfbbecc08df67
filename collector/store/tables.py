"""The tables, in types that SQLite and PostgreSQL both have.

Times are seconds since the epoch by home's clock, except where a column says otherwise. What is only ever read
whole (the checks of a host as they stand) is one JSON column and not rows: a report then costs one update.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

REVISION = "0007"
"""The newest migration: a database that is there needs no alembic to be opened (a test keeps this true)."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only in a column of the type INTEGER, which there holds 64 bits.
Serial = BigInteger().with_variant(Integer(), "sqlite")

hosts = Table(
    "hosts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("public_key", LargeBinary),  # Ed25519, 32 bytes; revoking deletes it
    Column("enrolled", Double, nullable=False),
    Column("revoked", Double),
    Column("agent", Text, nullable=False),
    Column("facts", LargeBinary, nullable=False),  # JSON object
    Column("state", Text, nullable=False),  # shapes.HostState
    Column("since", Double, nullable=False),
    Column("message", Text, nullable=False),
    Column("epoch", Text, nullable=False),  # of the newest stream; '' before the first report
    Column("boot", Text, nullable=False),
    Column("received", Double),  # the last report's receipt
    Column("reported", Double),  # the last report's making, by the host's clock
    Column("interval", Double, nullable=False),
    Column("clock_offset", Double, nullable=False),
    Column("checks", LargeBinary, nullable=False),  # JSON array of wire.CheckState
    Column("vitals", LargeBinary, nullable=False),  # JSON of rules.highlights.Vitals
    Column("lost_readings", BigInteger, nullable=False),
    Column("lost_events", BigInteger, nullable=False),
    Column("lost_job_results", BigInteger, nullable=False),
    Column("lost_reports", BigInteger, nullable=False),
)
# A revoked host frees its name and its key for a new enrolment.
Index(
    "uq_hosts_name_active",
    hosts.c.name,
    unique=True,
    sqlite_where=text("revoked IS NULL"),
    postgresql_where=text("revoked IS NULL"),
)
Index(
    "uq_hosts_public_key_active",
    hosts.c.public_key,
    unique=True,
    sqlite_where=text("revoked IS NULL"),
    postgresql_where=text("revoked IS NULL"),
)

streams = Table(
    "streams",
    metadata,
    Column("host_id", Text, ForeignKey("hosts.id", ondelete="CASCADE"), primary_key=True),
    Column("epoch", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),  # the highest stored: what is not above it is a repeat
    Column("updated", Double, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("host_id", Text, ForeignKey("hosts.id", ondelete="CASCADE"), nullable=False),
    Column("time", Double, nullable=False),
    Column("check_name", Text, nullable=False),  # '' for the host itself
    Column("before", Text),
    Column("after", Text, nullable=False),
    Column("message", Text, nullable=False),
)
Index("ix_changes_host_id", changes.c.host_id, changes.c.id)

events = Table(
    "events",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("host_id", Text, ForeignKey("hosts.id", ondelete="CASCADE"), nullable=False),
    Column("time", Double, nullable=False),  # by the host's clock
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("check_name", Text, nullable=False),
    Column("message", Text, nullable=False),
)
Index("ix_events_host_id", events.c.host_id, events.c.id)

job_runs = Table(
    "job_runs",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("host_id", Text, ForeignKey("hosts.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("started", Double, nullable=False),  # by the host's clock, as is finished
    Column("finished", Double, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("exit_code", BigInteger),
    Column("message", Text, nullable=False),
    Column("cpu", Double, nullable=False),
    Column("peak_memory", BigInteger, nullable=False),
)
Index("ix_job_runs_host_id_name", job_runs.c.host_id, job_runs.c.name, job_runs.c.id)

gaps = Table(
    "gaps",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("host_id", Text, ForeignKey("hosts.id", ondelete="CASCADE"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", Double, nullable=False),  # by the host's clock, as is until
    Column("until", Double, nullable=False),
    Column("readings", BigInteger, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("job_results", BigInteger, nullable=False),
    Column("reports", BigInteger, nullable=False),
)
Index("ix_gaps_host_id", gaps.c.host_id, gaps.c.id)

log_days = Table(
    "log_days",
    metadata,
    Column("host_id", Text, ForeignKey("hosts.id", ondelete="CASCADE"), primary_key=True),
    Column("day", Text, primary_key=True),  # by the host's calendar, as ISO 8601 has it
    Column("summary", Text, nullable=False),  # wire.LogSummary as JSON
)

backup_runs = Table(
    "backup_runs",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("host_id", Text, ForeignKey("hosts.id", ondelete="CASCADE"), nullable=False),
    Column("job", Text, nullable=False),
    Column("received", Double, nullable=False),
    Column("run", Text, nullable=False),  # wire.BackupRun as JSON: times by the host's clock
)
Index("ix_backup_runs_host_id_job", backup_runs.c.host_id, backup_runs.c.job, backup_runs.c.id)

# How each job of a host stands: what a page over all hosts needs is read without the runs themselves.
backup_jobs = Table(
    "backup_jobs",
    metadata,
    Column("host_id", Text, ForeignKey("hosts.id", ondelete="CASCADE"), primary_key=True),
    Column("job", Text, primary_key=True),
    Column("received", Double, nullable=False),
    Column("standing", Text, nullable=False),  # JSON of rules.backups.JobStanding
    Column("points", Text, nullable=False),  # JSON array of rules.backups.SizePoint, the oldest first
)

drills = Table(
    "drills",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("host_id", Text, ForeignKey("hosts.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("received", Double, nullable=False),
    Column("drill", Text, nullable=False),  # wire.Drill as JSON: times by the host's clock
)
Index("ix_drills_host_id_name", drills.c.host_id, drills.c.name, drills.c.id)

drill_plans = Table(
    "drill_plans",
    metadata,
    Column("host_id", Text, ForeignKey("hosts.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("received", Double, nullable=False),
    Column("standing", Text, nullable=False),  # JSON of rules.backups.DrillStanding
    Column("points", Text, nullable=False),  # JSON array of rules.backups.DrillPoint, the oldest first
)

# What administrators say of a host, beside what it says of itself.
host_groups = Table(
    "host_groups",
    metadata,
    Column("host_id", Text, ForeignKey("hosts.id", ondelete="CASCADE"), primary_key=True),
    Column("groups", Text, nullable=False),  # JSON array of names
    Column("tags", Text, nullable=False),  # JSON object, name to value
)

host_packages = Table(
    "host_packages",
    metadata,
    Column("host_id", Text, ForeignKey("hosts.id", ondelete="CASCADE"), primary_key=True),
    Column("received", Double, nullable=False),
    Column("packages", LargeBinary, nullable=False),  # JSON of wire.Packages
    Column("updates", Text, nullable=False),  # JSON of api.shapes.Updates
)

windows = Table(
    "windows",
    metadata,
    Column("id", Text, primary_key=True),
    Column("opened", Double, nullable=False),
    Column("until", Double, nullable=False),
    Column("closed", Double),
    Column("window", Text, nullable=False),  # JSON of wire.Window
)
Index("ix_windows_until", windows.c.until)

# Which hosts a window is for: by name, for a host may enrol while it is being set up.
window_hosts = Table(
    "window_hosts",
    metadata,
    Column("window_id", Text, ForeignKey("windows.id", ondelete="CASCADE"), primary_key=True),
    Column("host", Text, primary_key=True),
)
Index("ix_window_hosts_host", window_hosts.c.host)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, primary_key=True),
    Column("until", Double, nullable=False),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("received", Double, nullable=False),
    Column("actor", Text, nullable=False),  # whose token it is told with
    Column("started", Double, nullable=False),  # by the administrator's clock
    Column("summary", Text, nullable=False),  # JSON of api.rollouts.RolloutSummary
    Column("record", LargeBinary, nullable=False),  # JSON of wire.RolloutRecord
)
Index("ix_rollouts_started", rollouts.c.started)

enrolment_tokens = Table(
    "enrolment_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),  # SHA-256
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False),
    Column("used", Double),
    # Who used it: the same host may ask again, when the answer got lost on the way.
    Column("host_id", Text, ForeignKey("hosts.id", ondelete="CASCADE")),
)

users = Table(
    "users",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),  # argon2id, in its own text form
    Column("role", Text, nullable=False),
    Column("created", Double, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),  # SHA-256
    Column("user_id", Serial, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created", Double, nullable=False),
    Column("used", Double, nullable=False),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),  # SHA-256
    Column("role", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double),
    Column("used", Double),
)

login_attempts = Table(
    "login_attempts",
    metadata,
    Column("key", Text, primary_key=True),  # what was tried: a name, or an address
    Column("failures", BigInteger, nullable=False),
    Column("last", Double, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("time", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),  # SHA-256; collector.audit says of what
)
