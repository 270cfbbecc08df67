"""PostgreSQL: connections, what runs too long, locks, replication, growth, vacuum, wraparound, archiving.

What is asked, and how, is in postgresql_session.py, which loads the driver; this file says what the answers mean.
"""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

import msgspec

from agent.checks.contract import (
    Check,
    CheckOptions,
    Context,
    Every,
    Finding,
    Floor,
    Measurement,
    Rule,
    Sample,
    Threshold,
    remembered,
)
from agent.checks.counters import rates
from agent.checks.drivers import Trend, largest, missing
from agent.checks.patterns import is_chosen
from kit.units import Duration, format_duration

Row = dict[str, Any]

WRAPAROUND = 2**31
"""Transactions (and multixacts) after which an id means the future: the server stops writing shortly before."""
SERIES_MAX = 50
"""Replicas, and replication slots, of which there are readings."""
_WRAPAROUND_PHRASE = "database {database} is {value} on the way to the wraparound of its transaction ids"


class PostgresqlOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A PostgreSQL server, through a role that is a member of `pg_monitor`."""

    every: Every = Duration(60)
    host: Annotated[
        str,
        msgspec.Meta(
            description="Name or address, or the folder of the Unix socket, where a role without a password is "
            "known by the user of the agent (peer).",
            min_length=1,
            examples=["db.example.com"],
        ),
    ] = "/var/run/postgresql"
    port: Annotated[int, msgspec.Meta(description="Port number.", ge=1, le=65535, examples=[5433])] = 5432
    user: Annotated[str, msgspec.Meta(description="The role.", min_length=1, examples=["monitor"])] = "hostward"
    password_file: Annotated[
        str,
        msgspec.Meta(
            description="The file that holds the role's password, or `credential:NAME`; empty for none.",
            examples=["/etc/hostward/postgresql.password"],
        ),
    ] = ""
    database: Annotated[
        str, msgspec.Meta(description="The database to connect to.", min_length=1, examples=["shop"])
    ] = "postgres"
    sslmode: Annotated[
        Literal["disable", "prefer", "require", "verify-ca", "verify-full"],
        msgspec.Meta(
            description="Whether to use TLS, and what of the server's certificate to verify, as libpq has it.",
            examples=["verify-full"],
        ),
    ] = "prefer"
    ca_file: Annotated[
        str,
        msgspec.Meta(
            description="Certificates of the authorities that `verify-ca` and `verify-full` trust, PEM.",
            examples=["/etc/ssl/certs/ca-certificates.crt"],
        ),
    ] = ""
    databases: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="Databases to look at (* and ? as in file names).", examples=[["shop", "billing*"]]),
    ] = ("*",)
    exclude: Annotated[
        tuple[str, ...], msgspec.Meta(description="Databases to leave out.", examples=[["test_*"]])
    ] = ("template*",)
    databases_max: Annotated[
        int,
        msgspec.Meta(
            description="Of how many databases, the largest, there are readings.", ge=1, le=50, examples=[10]
        ),
    ] = 20
    tables_max: Annotated[
        int,
        msgspec.Meta(
            description="Of how many tables of each database, those with most dead rows, there are readings; with 0 "
            "only the database itself is connected to.",
            ge=0,
            le=10,
            examples=[0],
        ),
    ] = 3
    survey_every: Annotated[
        Duration,
        msgspec.Meta(
            description="How often sizes are measured and tables looked at.",
            examples=["1h"],
            extra={"minimum": Duration(1)},
        ),
    ] = Duration(600)
    dead_rows_min: Annotated[
        int, msgspec.Meta(description="A table with fewer dead rows is not looked at.", ge=0, examples=[100_000])
    ] = 10_000
    connections: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the connections used, in percent of those for ordinary roles.")
    ] = Threshold(warning=80, critical=95, hysteresis=2)
    query: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the longest running query, in seconds.", examples=[{"warning": 600}]),
    ] = Threshold()
    transaction: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the longest open transaction, in seconds.")
    ] = Threshold(warning=3600, critical=6 * 3600)
    idle_in_transaction: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of how long a session does nothing within a transaction, in seconds."),
    ] = Threshold(warning=600, critical=3600)
    blocked: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the number of sessions that wait for a lock.")
    ] = Threshold(warning=10, for_=Duration(120))
    blocked_time: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the seconds that a session has waited for a lock.")
    ] = Threshold(warning=60, critical=600)
    lag: Annotated[Threshold, msgspec.Meta(description="Bounds of replication's delay, in seconds.")] = Threshold(
        warning=60, critical=600
    )
    lag_bytes: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of what a replica has not replayed, in bytes.", examples=[{"warning": 1_000_000_000}]
        ),
    ] = Threshold()
    replicas: Annotated[
        Floor, msgspec.Meta(description="Bounds of the number of streaming replicas.", examples=[{"critical": 0}])
    ] = Floor()
    slot_retained: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the log that a replication slot keeps back, in bytes.")
    ] = Threshold(warning=16 * 2**30, critical=64 * 2**30)
    slots_inactive: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the number of replication slots that nobody reads.")
    ] = Threshold(warning=1, for_=Duration(1800))
    size: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the size of a database, in bytes.", examples=[{"warning": 50_000_000_000}]
        ),
    ] = Threshold()
    growth: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the growth of a database, in bytes a day.", examples=[{"warning": 5_000_000_000}]
        ),
    ] = Threshold()
    dead_rows: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the dead rows of a table, in percent of all its rows.")
    ] = Threshold(warning=40, for_=Duration(3600))
    wraparound: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the way to the wraparound of transaction and multixact ids, in percent."),
    ] = Threshold(warning=40, critical=60)
    deadlocks: Annotated[Threshold, msgspec.Meta(description="Bounds of deadlocks a second.")] = Threshold(
        warning=0.1, for_=Duration(300)
    )
    rollbacks: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the transactions that are rolled back, in percent.", examples=[{"warning": 20}]
        ),
    ] = Threshold()
    temporary: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the bytes a second that go to temporary files.",
            examples=[{"warning": 100_000_000}],
        ),
    ] = Threshold()

    def __post_init__(self) -> None:
        verifies = self.sslmode.startswith("verify")
        if verifies and not self.ca_file:
            raise ValueError(f'sslmode = "{self.sslmode}" needs a ca_file')
        if self.ca_file and not verifies:
            raise ValueError(f'sslmode = "{self.sslmode}" reads no ca_file: expected "verify-ca" or "verify-full"')


class Survey(msgspec.Struct, frozen=True):
    """What is looked at less often."""

    time: float
    sizes: dict[str, float] = {}
    due: dict[str, int] = {}
    """Per database, the tables that autovacuum should have come to."""
    tables: list[tuple[str, str, float, float]] = []
    """Database, table, dead and live rows."""
    problems: list[str] = []


class Memory(msgspec.Struct, frozen=True):
    """What the next run is given."""

    survey: Survey | None = None
    trends: dict[str, Trend] = {}
    counters: dict[str, list[float]] = {}
    checkpoints: list[float] = []


class Postgresql(Check[PostgresqlOptions]):
    """A PostgreSQL server."""

    Options = PostgresqlOptions
    runs = "job"
    lasting = True

    def rules(self) -> list[Rule]:
        """In the order in which an administrator would look."""
        options = self.options
        return [
            Rule("postgresql_connections_used_percent", options.connections, "{value} of the connections used"),
            Rule("postgresql_query_longest_seconds", options.query, "a query has been running for {value}"),
            Rule("postgresql_transaction_longest_seconds", options.transaction, "a transaction is open for {value}"),
            Rule(
                "postgresql_idle_in_transaction_seconds",
                options.idle_in_transaction,
                "a session is idle in its transaction for {value}",
            ),
            Rule("postgresql_blocked_sessions", options.blocked, "{value} sessions wait for locks"),
            Rule("postgresql_blocked_longest_seconds", options.blocked_time, "a session waits {value} for a lock"),
            Rule("postgresql_standby_lag_seconds", options.lag, "this standby is {value} behind"),
            Rule("postgresql_replica_lag_seconds", options.lag, "replica {replica} at {address} is {value} behind"),
            Rule(
                "postgresql_replica_lag_bytes", options.lag_bytes, "replica {replica} at {address} is {value} behind"
            ),
            Rule("postgresql_replicas", options.replicas, "{value} replicas are streaming"),
            Rule("postgresql_slot_retained_bytes", options.slot_retained, "slot {slot} keeps {value} of log"),
            Rule("postgresql_slots_inactive", options.slots_inactive, "{value} replication slots have no reader"),
            Rule("postgresql_database_size_bytes", options.size, "database {database} has {value}"),
            Rule(
                "postgresql_database_growth_bytes_per_day", options.growth, "database {database} grows {value} a day"
            ),
            Rule(
                "postgresql_table_dead_rows_percent", options.dead_rows, "{value} of {database} {table} are dead rows"
            ),
            Rule("postgresql_transaction_id_age_percent", options.wraparound, _WRAPAROUND_PHRASE),
            Rule("postgresql_multixact_id_age_percent", options.wraparound, f"{_WRAPAROUND_PHRASE} (multixacts)"),
            Rule("postgresql_deadlocks_per_second", options.deadlocks, "{value} deadlocks in {database}"),
            Rule("postgresql_rollbacks_percent", options.rollbacks, "{value} of {database}'s transactions roll back"),
            Rule("postgresql_temporary_bytes_per_second", options.temporary, "{database} spills {value} to files"),
        ]

    def collect(self, context: Context) -> Sample:
        """Ask, derive. What is surveyed less often is asked for when its time has come."""
        deadline = time.monotonic() + self.options.patience
        # 24 MB and a tenth of a second: only the child that asks pays for it.
        try:
            from agent.checks.postgresql_session import ask
        except ImportError:
            raise missing("postgresql") from None

        before = remembered(context.previous, Memory)
        answer = ask(self.options, deadline, survey=is_due(before.survey, context.now, self.options.survey_every))
        if isinstance(answer, str):
            # What is counted until the next answer took longer than from this run to that one.
            kept = msgspec.structs.replace(before, counters={}, checkpoints=[])
            return Sample([Measurement("postgresql_up", 0)], [Finding("critical", answer)], memory=kept)
        return derive(self.options, answer, before, now=context.now, elapsed=context.elapsed)


class Answer(msgspec.Struct, kw_only=True):
    """The rows that a server gave, by what was asked, and what it could not tell."""

    rows: dict[str, list[Row]]
    problems: list[str]
    surveyed: bool
    """Whether `sizes` and `tables` were asked for."""
    unseen: list[str]
    """Databases whose tables could not be seen, and why."""


def is_due(survey: Survey | None, now: float, every: float) -> bool:
    """Whether to survey again. One from the future is from before somebody set the clock."""
    return survey is None or not 0 <= now - survey.time < every


def derive(
    options: PostgresqlOptions, answer: Answer, before: Memory, *, now: float, elapsed: float | None
) -> Sample:
    """What the rows mean."""
    (instance,) = answer.rows["instance"]
    survey = _surveyed(answer, now) if answer.surveyed else before.survey or Survey(time=now)
    chosen = [row for row in answer.rows.get("databases", []) if _is_meant(options, row["database"])]
    databases, findings = largest(
        chosen, lambda row: survey.sizes.get(row["database"], 0.0), options.databases_max, "databases"
    )
    findings += [Finding("unknown", problem) for problem in [*answer.problems, *survey.problems]]
    measurements = [
        Measurement("postgresql_up", 1),
        Measurement(
            "postgresql_info",
            1,
            labels={"version": instance["version"], "role": "standby" if instance["standby"] else "primary"},
        ),
        Measurement("postgresql_uptime_seconds", instance["uptime"], "seconds"),
    ]
    names = {row["database"] for row in databases}
    measurements += _sessions(answer.rows.get("sessions"), names, instance["slots"], findings)
    measurements += _replication(answer.rows, findings)
    # Of a server of thousands only those that are shown are remembered.
    survey = msgspec.structs.replace(
        survey, sizes={name: size for name, size in survey.sizes.items() if name in names}
    )
    trends = before.trends
    if answer.surveyed:
        trends = {name: trends.get(name, Trend()).add(now, size) for name, size in survey.sizes.items()}
    counters: dict[str, list[float]] = {}
    for row in databases:
        counters[row["database"]] = [float(row[name]) for name in COUNTERS]
        measurements += _database(row, survey, trends.get(row["database"]))
        measurements += _activity(row["database"], before.counters, counters, elapsed)
        if row["checksums"]:
            text = f"{row['checksums']} pages of database {row['database']} failed their checksums"
            findings.append(Finding("critical", text))
    for database, table, dead, live in survey.tables:
        if database in names and dead >= max(1, options.dead_rows_min):
            labels = {"database": database, "table": table}
            percent = 100 * dead / (dead + live)
            measurements.append(Measurement("postgresql_table_dead_rows_percent", percent, "percent", labels))
    checkpoints = [float(row[kind]) for row in answer.rows.get("checkpoints", []) for kind in ("timed", "requested")]
    for kind, rate in zip(
        ("timed", "requested"), rates(before.checkpoints, checkpoints, elapsed) or (), strict=False
    ):
        measurements.append(Measurement("postgresql_checkpoints_per_second", rate, "1/s", {"kind": kind}))
    for row in answer.rows.get("archiver", []):
        measurements.append(Measurement("postgresql_archiver_failing", float(row["failing"])))
        if row["failing"]:
            ago = format_duration(max(0.0, row["age"]))
            findings.append(Finding("critical", f"archiving {row['file']} failed {ago} ago, and nothing was since"))
    return Sample(
        measurements,
        findings,
        _summary(instance, answer.rows.get("sessions", [])),
        memory=Memory(survey=survey, trends=trends, counters=counters, checkpoints=checkpoints),
    )


def _is_meant(options: PostgresqlOptions, database: str) -> bool:
    return is_chosen(database, options.databases, options.exclude)


def _surveyed(answer: Answer, now: float) -> Survey:
    tables = answer.rows.get("tables", [])
    return Survey(
        time=now,
        sizes={row["database"]: float(row["size"]) for row in answer.rows.get("sizes", [])},
        due={row["database"]: int(row["due"]) for row in tables},
        tables=[(row["database"], row["name"], row["dead"], row["live"]) for row in tables],
        problems=answer.unseen,
    )


def _sessions(rows: list[Row] | None, names: set[str], slots: int, findings: list[Finding]) -> list[Measurement]:
    """Of the sessions of clients, without our own. None where the server could not tell."""
    if rows is None:
        return []
    if hidden := sum(row["hidden"] for row in rows):
        findings.append(Finding("unknown", f"{hidden} sessions hide what they do: GRANT pg_monitor to the role"))

    def longest(column: str, rows: list[Row] = rows) -> float:
        return max((row[column] for row in rows if row[column] is not None), default=0.0)

    count = sum(row["count"] for row in rows)
    idle = [row for row in rows if row["state"].startswith("idle in transaction")]
    measurements = [
        # Our own session takes a connection as well.
        Measurement("postgresql_connections_used_percent", 100 * (count + 1) / max(1, slots), "percent"),
        Measurement("postgresql_connections_max", slots),
        Measurement("postgresql_query_longest_seconds", max(0.0, longest("query")), "seconds"),
        Measurement("postgresql_transaction_longest_seconds", max(0.0, longest("transaction")), "seconds"),
        Measurement("postgresql_idle_in_transaction_sessions", sum(row["count"] for row in idle)),
        Measurement("postgresql_idle_in_transaction_seconds", max(0.0, longest("idle", idle)), "seconds"),
        Measurement("postgresql_blocked_sessions", sum(row["blocked"] for row in rows)),
        Measurement("postgresql_blocked_longest_seconds", max(0.0, longest("waiting")), "seconds"),
    ]
    return measurements + [
        Measurement(
            "postgresql_connections", row["count"], labels={"database": row["database"], "state": row["state"]}
        )
        for row in rows
        if row["database"] in names
    ]


def _replication(rows: dict[str, list[Row]], findings: list[Finding]) -> list[Measurement]:
    """As one that others follow, as one that follows, and the slots."""
    measurements: list[Measurement] = []
    if (replicas := rows.get("replicas")) is not None:
        streaming = sum(row["state"] == "streaming" for row in replicas)
        measurements.append(Measurement("postgresql_replicas", streaming))
        # Two of one name at one address are one series: the one that is further behind.
        by_place: dict[tuple[str, str], tuple[float, float]] = {}
        for row in replicas:
            place = row["replica"], row["address"]
            lag = row["seconds"], row["bytes"]
            by_place[place] = max(by_place.get(place, lag), lag)
        shown, remarks = largest(by_place, lambda place: by_place[place][1], SERIES_MAX, "replicas")
        findings += remarks
        for replica, address in shown:
            seconds, behind = by_place[replica, address]
            labels = {"replica": replica, "address": address}
            measurements += [
                Measurement("postgresql_replica_lag_seconds", seconds, "seconds", labels),
                Measurement("postgresql_replica_lag_bytes", max(0.0, behind), "bytes", labels),
            ]
    if (slots := rows.get("slots")) is not None:
        measurements.append(Measurement("postgresql_slots_inactive", sum(not row["active"] for row in slots)))
        shown_slots, remarks = largest(slots, lambda row: float(row["retained"]), SERIES_MAX, "replication slots")
        findings += remarks
        for row in shown_slots:
            labels = {"slot": row["slot"]}
            measurements += [
                Measurement("postgresql_slot_retained_bytes", max(0.0, row["retained"]), "bytes", labels),
                Measurement("postgresql_slot_active", float(row["active"]), labels=labels),
            ]
            if row["status"] == "lost":
                text = f"slot {row['slot']} is lost: its reader was too far behind and must be set up anew"
                findings.append(Finding("critical", text))
    for row in rows.get("standby", []):
        behind = 0.0 if row["streaming"] and row["replayed"] else max(0.0, row["age"])
        measurements += [
            Measurement("postgresql_standby_streaming", float(row["streaming"])),
            Measurement("postgresql_standby_lag_seconds", behind, "seconds"),
        ]
        if row["wanted"] and not row["streaming"]:
            findings.append(Finding("critical", "this standby receives nothing from its primary"))
    return measurements


def _database(row: Row, survey: Survey, trend: Trend | None) -> list[Measurement]:
    """Of one database: what it holds and how old its ids are."""
    name = row["database"]
    labels = {"database": name}
    measurements = [
        Measurement("postgresql_transaction_id_age_percent", 100 * row["xid_age"] / WRAPAROUND, "percent", labels),
        Measurement(
            "postgresql_multixact_id_age_percent", 100 * row["multixact_age"] / WRAPAROUND, "percent", labels
        ),
    ]
    if (size := survey.sizes.get(name)) is not None:
        measurements.append(Measurement("postgresql_database_size_bytes", size, "bytes", labels))
        if trend is not None and (growth := trend.per_day(survey.time, size)) is not None:
            measurements.append(Measurement("postgresql_database_growth_bytes_per_day", growth, "bytes", labels))
    if name in survey.due:
        measurements.append(Measurement("postgresql_tables_due_for_vacuum", survey.due[name], labels=labels))
    return measurements


COUNTERS = ("commits", "rollbacks", "deadlocks", "temporary", "hits", "reads")


def _activity(
    name: str, before: dict[str, list[float]], counters: dict[str, list[float]], elapsed: float | None
) -> list[Measurement]:
    """Of one database: what happened since the last run."""
    found = rates(before.get(name), counters[name], elapsed)
    if found is None:
        return []
    commits, rollbacks, deadlocks, temporary, hits, reads = found
    labels = {"database": name}
    measurements = [
        Measurement("postgresql_transactions_per_second", commits + rollbacks, "1/s", labels),
        Measurement("postgresql_deadlocks_per_second", deadlocks, "1/s", labels),
        Measurement("postgresql_temporary_bytes_per_second", temporary, "bytes/s", labels),
    ]
    if commits + rollbacks > 0:
        percent = 100 * rollbacks / (commits + rollbacks)
        measurements.append(Measurement("postgresql_rollbacks_percent", percent, "percent", labels))
    if hits + reads > 0:
        percent = 100 * hits / (hits + reads)
        measurements.append(Measurement("postgresql_cache_hits_percent", percent, "percent", labels))
    return measurements


def _summary(instance: Row, sessions: list[Row]) -> str:
    role = "standby, " if instance["standby"] else ""
    count = sum(row["count"] for row in sessions) + 1
    return f"PostgreSQL {instance['version']}, {role}{count} of {instance['slots']} connections"
