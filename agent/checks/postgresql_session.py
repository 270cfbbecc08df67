"""The session of the postgresql check. Loads `psycopg`.

Reads the statistics views (https://www.postgresql.org/docs/current/monitoring-stats.html), for which a role needs no
more than `pg_monitor`. Transactions are read-only, and each statement has a time limit at the server.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg
from psycopg.rows import dict_row

from agent.checks.contract import CheckError
from agent.checks.drivers import read_password, told
from agent.checks.patterns import is_chosen
from agent.checks.postgresql import Answer, PostgresqlOptions, Row
from kit.units import format_duration

OLDEST = 12_00_00
"""The oldest version whose views these statements fit, as `server_version_num` has it."""
SEPARATE_CHECKPOINTER = 17_00_00
"""From here on checkpoints are counted in a view of their own."""

INSTANCE = """
SELECT split_part(current_setting('server_version'), ' ', 1) AS version, pg_is_in_recovery() AS standby,
  extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8 AS uptime,
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true), '0')::int AS slots"""

# Others' states are hidden from a role that is no pg_monitor; `backend_type` is then NULL as well.
SESSIONS = """
SELECT coalesce(datname, '') AS database, coalesce(state, 'starting') AS state, count(*) AS count,
  count(*) FILTER (WHERE query = '<insufficient privilege>') AS hidden,
  count(*) FILTER (WHERE wait_event_type = 'Lock') AS blocked,
  max(extract(epoch FROM clock_timestamp() - state_change)::float8) FILTER (WHERE state LIKE 'idle in%') AS idle,
  max(extract(epoch FROM clock_timestamp() - query_start)::float8) FILTER (WHERE state = 'active') AS query,
  max(extract(epoch FROM clock_timestamp() - query_start)::float8) FILTER (WHERE wait_event_type = 'Lock') AS waiting,
  max(extract(epoch FROM clock_timestamp() - xact_start)::float8) AS transaction
FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND (backend_type = 'client backend' OR (backend_type IS NULL AND usesysid IS NOT NULL))
GROUP BY 1, 2"""

DATABASES = """
SELECT d.datname AS database, age(d.datfrozenxid) AS xid_age, mxid_age(d.datminmxid) AS multixact_age,
  d.datallowconn AND has_database_privilege(d.oid, 'CONNECT') AND NOT d.datistemplate AS open,
  s.xact_commit::float8 AS commits, s.xact_rollback::float8 AS rollbacks, s.deadlocks::float8 AS deadlocks,
  s.temp_bytes::float8 AS temporary, s.blks_hit::float8 AS hits, s.blks_read::float8 AS reads,
  coalesce(s.checksum_failures, 0) AS checksums
FROM pg_database d JOIN pg_stat_database s ON s.datid = d.oid"""

SIZES = """
SELECT datname AS database, pg_database_size(oid)::float8 AS size FROM pg_database
WHERE has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE')"""

REPLICAS = """
SELECT coalesce(application_name, '') AS replica, coalesce(host(client_addr), 'local') AS address, state,
  pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
    coalesce(replay_lsn, sent_lsn))::float8 AS bytes,
  coalesce(extract(epoch FROM replay_lag), 0)::float8 AS seconds
FROM pg_stat_replication WHERE state <> 'backup'"""

SLOTS = """
SELECT slot_name AS slot, active, to_jsonb(s) ->> 'wal_status' AS status,
  coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
    restart_lsn), 0)::float8 AS retained
FROM pg_replication_slots s"""

# Replayed all that was received says nothing while nothing is received. `conninfo` may hold a password: not read.
STANDBY = """
SELECT coalesce((SELECT status = 'streaming' FROM pg_stat_wal_receiver LIMIT 1), false) AS streaming,
  coalesce((SELECT setting <> '' FROM pg_settings WHERE name = 'primary_conninfo'), false) AS wanted,
  coalesce(pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn(), false) AS replayed,
  extract(epoch FROM clock_timestamp()
    - coalesce(pg_last_xact_replay_timestamp(), pg_postmaster_start_time()))::float8 AS age"""

ARCHIVER = """
SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS failing,
  last_failed_wal AS file, failed_count::float8 AS failures,
  extract(epoch FROM clock_timestamp() - last_failed_time)::float8 AS age FROM pg_stat_archiver"""

CHECKPOINTS = "SELECT checkpoints_timed::float8 AS timed, checkpoints_req::float8 AS requested FROM pg_stat_bgwriter"
CHECKPOINTS_17 = "SELECT num_timed::float8 AS timed, num_requested::float8 AS requested FROM pg_stat_checkpointer"

# When autovacuum would come: https://www.postgresql.org/docs/current/routine-vacuuming.html#AUTOVACUUM
TABLES = """
WITH tables AS (
  SELECT s.schemaname || '.' || s.relname AS name, s.n_dead_tup::float8 AS dead, s.n_live_tup::float8 AS live,
    coalesce((SELECT option_value FROM pg_options_to_table(c.reloptions)
      WHERE option_name = 'autovacuum_vacuum_threshold'), current_setting('autovacuum_vacuum_threshold'))::float8
    + coalesce((SELECT option_value FROM pg_options_to_table(c.reloptions)
      WHERE option_name = 'autovacuum_vacuum_scale_factor'),
      current_setting('autovacuum_vacuum_scale_factor'))::float8
    * greatest(c.reltuples, 0) AS due
  FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid)
SELECT name, dead, live, count(*) FILTER (WHERE dead > due) OVER () AS due FROM tables
ORDER BY dead DESC LIMIT %(limit)s"""


def ask(options: PostgresqlOptions, deadline: float, *, survey: bool) -> Answer | str:
    """What the server says until `deadline` by time.monotonic, or why it could not be reached.

    Raises CheckError where the password cannot be read, and for a server that is too old.
    """
    password = read_password(options.password_file)
    try:
        with _connected(options, password, options.database, deadline) as connection:
            return _ask(_Asking(options, password, deadline), connection, survey=survey)
    except psycopg.Error as error:
        return told(error, password)


class _Asking:
    """What is being learned from one server."""

    def __init__(self, options: PostgresqlOptions, password: str, deadline: float) -> None:
        self.options = options
        self.password = password
        self.deadline = deadline
        self.rows: dict[str, list[Row]] = {}
        self.problems: list[str] = []
        self.unseen: list[str] = []

    def take(self, name: str, connection: Connection, statement: LiteralString) -> None:
        """Keep the rows of a statement, or why there are none. Raises psycopg.Error where the connection broke."""
        try:
            self.rows[name] = self.fetch(connection, statement)
        except psycopg.Error as error:
            if connection.broken:
                raise
            self.problems.append(f"{name} cannot be told: {told(error, self.password)}")

    def fetch(self, connection: Connection, statement: LiteralString, **values: object) -> list[Row]:
        """The rows of a statement, which may take half of the time that is left: the others shall have some too."""
        left = max(1, round(500 * (self.deadline - time.monotonic())))
        connection.execute("SELECT set_config('statement_timeout', %s, false)", [str(left)])
        return connection.execute(statement, values or None).fetchall()


Connection = psycopg.Connection[Row]


def _ask(asking: _Asking, connection: Connection, *, survey: bool) -> Answer:
    version = connection.info.server_version
    if version < OLDEST:
        raise CheckError(f"PostgreSQL {version // 10000} is too old: {OLDEST // 10000} or later is needed")
    asking.rows["instance"] = asking.fetch(connection, INSTANCE)
    asking.take("sessions", connection, SESSIONS)
    asking.take("databases", connection, DATABASES)
    asking.take("replicas", connection, REPLICAS)
    asking.take("slots", connection, SLOTS)
    if asking.rows["instance"][0]["standby"]:
        asking.take("standby", connection, STANDBY)
    asking.take("archiver", connection, ARCHIVER)
    asking.take("checkpoints", connection, CHECKPOINTS_17 if version >= SEPARATE_CHECKPOINTER else CHECKPOINTS)
    if survey:
        asking.take("sizes", connection, SIZES)
        _look_at_tables(asking)
    return Answer(rows=asking.rows, problems=asking.problems, surveyed=survey, unseen=asking.unseen)


def _look_at_tables(asking: _Asking) -> None:
    """Of the largest databases, each through a connection of its own: a session sees the tables of one."""
    options = asking.options
    if not options.tables_max:
        return
    sizes = {row["database"]: row["size"] for row in asking.rows.get("sizes", [])}
    names = [
        row["database"]
        for row in asking.rows.get("databases", [])
        if row["open"] and is_chosen(row["database"], options.databases, options.exclude)
    ]
    names.sort(key=lambda name: sizes.get(name, 0.0), reverse=True)
    asking.rows["tables"] = []
    for name in names[: options.databases_max]:
        if time.monotonic() > asking.deadline:
            within = format_duration(options.patience)
            asking.unseen.append(f"the tables of {name} and others could not be seen within {within}")
            break
        try:
            with _connected(options, asking.password, name, asking.deadline) as connection:
                tables = asking.fetch(connection, TABLES, limit=options.tables_max)
        except psycopg.Error as error:
            asking.unseen.append(f"the tables of database {name} cannot be seen: {told(error, asking.password)}")
        else:
            asking.rows["tables"] += [{"database": name, **table} for table in tables]


@contextmanager
def _connected(options: PostgresqlOptions, password: str, database: str, deadline: float) -> Iterator[Connection]:
    """A session that can change nothing. Nothing is taken from a file of passwords that the user may have."""
    connection = psycopg.connect(
        host=options.host,
        port=options.port,
        user=options.user,
        password=password or None,
        dbname=database,
        sslmode=options.sslmode,
        sslrootcert=options.ca_file or None,
        gssencmode="disable",
        passfile="/nonexistent",
        application_name="hostward",
        connect_timeout=max(1, int(deadline - time.monotonic())),
        options="-c default_transaction_read_only=on -c lock_timeout=1000 -c client_min_messages=error",
        autocommit=True,
        row_factory=dict_row,
        prepare_threshold=None,
    )
    try:
        yield connection
    finally:
        connection.close()
