"""MySQL and MariaDB: connections, what runs too long, locks, replication, growth, rates.

What is asked, and how, is in mysql_session.py, which loads the driver; this file says what the answers mean.
"""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec

from agent.checks.contract import (
    Check,
    CheckOptions,
    Context,
    Every,
    Finding,
    Measurement,
    Rule,
    Sample,
    Threshold,
    remembered,
)
from agent.checks.counters import rates
from agent.checks.drivers import Trend, largest, missing
from agent.checks.patterns import is_chosen
from kit.units import Duration

Row = dict[str, Any]

CHANNELS_MAX = 20
SYSTEM = ("information_schema", "mysql", "performance_schema", "sys")
COUNTERS = (
    "Queries",
    "Aborted_connects",
    "Slow_queries",
    "Innodb_buffer_pool_read_requests",
    "Innodb_buffer_pool_reads",
    "Innodb_row_lock_waits",
)


class MysqlOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A MySQL or MariaDB server."""

    every: Every = Duration(60)
    host: Annotated[str, msgspec.Meta(description="Name or address.", min_length=1, examples=["db.example.com"])] = (
        "127.0.0.1"
    )
    port: Annotated[int, msgspec.Meta(description="Port number.", ge=1, le=65535, examples=[3307])] = 3306
    socket: Annotated[
        str,
        msgspec.Meta(
            description="The Unix socket, instead of host and port; there a role may be known by the user of the "
            "agent, without a password.",
            examples=["/run/mysqld/mysqld.sock"],
        ),
    ] = ""
    user: Annotated[str, msgspec.Meta(description="The account.", min_length=1, examples=["monitor"])] = "hostward"
    password_file: Annotated[
        str,
        msgspec.Meta(
            description="The file that holds the account's password, or `credential:NAME`; empty for none.",
            examples=["/etc/hostward/mysql.password"],
        ),
    ] = ""
    tls: Annotated[
        bool,
        msgspec.Meta(
            description="Whether to use TLS; without it anybody on the way can get the password.",
            examples=[True],
        ),
    ] = False
    verify: Annotated[
        bool, msgspec.Meta(description="false takes any TLS certificate: anybody may answer.", examples=[False])
    ] = True
    ca_file: Annotated[
        str,
        msgspec.Meta(
            description="Certificates of the authorities to trust, PEM; empty for those of the system.",
            examples=["/etc/ssl/example-ca.pem"],
        ),
    ] = ""
    databases: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="Databases to look at (* and ? as in file names).", examples=[["shop", "billing*"]]),
    ] = ("*",)
    exclude: Annotated[
        tuple[str, ...], msgspec.Meta(description="Databases to leave out.", examples=[["test_*"]])
    ] = SYSTEM
    databases_max: Annotated[
        int,
        msgspec.Meta(
            description="Of how many databases, the largest, there are readings.", ge=1, le=200, examples=[50]
        ),
    ] = 20
    survey_every: Annotated[
        Duration,
        msgspec.Meta(description="How often sizes are measured.", examples=["1h"], extra={"minimum": Duration(1)}),
    ] = Duration(600)
    connections: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the connections used, in percent of `max_connections`.")
    ] = Threshold(warning=80, critical=95, hysteresis=2)
    query: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the longest running statement, in seconds.", examples=[{"warning": 600}]),
    ] = Threshold()
    transaction: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the longest open transaction, in seconds.")
    ] = Threshold(warning=3600, critical=6 * 3600)
    waiting: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the number of transactions that wait for a lock.")
    ] = Threshold(warning=10, for_=Duration(120))
    waiting_time: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the seconds that a transaction has waited for a lock.")
    ] = Threshold(warning=30, critical=300)
    lag: Annotated[Threshold, msgspec.Meta(description="Bounds of replication's delay, in seconds.")] = Threshold(
        warning=60, critical=600
    )
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
    aborted: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the attempts to connect that failed, a second.")
    ] = Threshold(warning=1, for_=Duration(300))
    slow: Annotated[
        Threshold, msgspec.Meta(description="Bounds of slow queries a second.", examples=[{"warning": 1}])
    ] = Threshold()

    def __post_init__(self) -> None:
        if (self.ca_file or not self.verify) and not self.tls:
            raise ValueError("ca_file and verify are only read with tls = true")
        if self.tls and self.socket:
            raise ValueError("tls is for host and port; a Unix socket needs none")


class Memory(msgspec.Struct, frozen=True):
    """What the next run is given."""

    surveyed: float | None = None
    """When sizes were measured, in seconds since the epoch."""
    sizes: dict[str, float] = {}
    """Of the databases that are shown."""
    trends: dict[str, Trend] = {}
    remarks: list[Finding] = []
    """Of those that are not."""
    counters: list[float] = []


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """One primary that this server follows."""

    name: str
    """Empty for the only one."""
    receiving: bool
    applying: bool
    lag: float | None
    """Seconds; None where the server does not know."""
    receive_error: str = ""
    apply_error: str = ""


class Answer(msgspec.Struct, kw_only=True):
    """What a server said; None for what was not asked, or could not be told."""

    version: str
    connections_max: float
    status: dict[str, float]
    sessions: Row | None = None
    transactions: Row | None = None
    channels: list[Channel] | None = None
    sizes: dict[str, float] | None = None
    problems: list[str] = []


class Mysql(Check[MysqlOptions]):
    """A MySQL or MariaDB server."""

    Options = MysqlOptions
    runs = "job"
    lasting = True

    def rules(self) -> list[Rule]:
        """In the order in which an administrator would look."""
        options = self.options
        return [
            Rule("mysql_connections_used_percent", options.connections, "{value} of the connections used"),
            Rule("mysql_query_longest_seconds", options.query, "a statement has been running for {value}"),
            Rule("mysql_transaction_longest_seconds", options.transaction, "a transaction is open for {value}"),
            Rule("mysql_lock_waits", options.waiting, "{value} transactions wait for locks"),
            Rule("mysql_lock_wait_longest_seconds", options.waiting_time, "a transaction waits {value} for a lock"),
            Rule("mysql_replication_lag_seconds", options.lag, "replication {channel} is {value} behind"),
            Rule("mysql_database_size_bytes", options.size, "database {database} has {value}"),
            Rule("mysql_database_growth_bytes_per_day", options.growth, "database {database} grows {value} a day"),
            Rule("mysql_aborted_connects_per_second", options.aborted, "{value} attempts to connect fail"),
            Rule("mysql_slow_queries_per_second", options.slow, "{value} queries are slow"),
        ]

    def collect(self, context: Context) -> Sample:
        """Connect, ask, derive."""
        options = self.options
        deadline = time.monotonic() + options.patience
        # 18 MB and a tenth of a second: only the child that asks pays for it.
        try:
            from agent.checks.mysql_session import ask
        except ImportError:
            raise missing("mysql") from None

        before = remembered(context.previous, Memory)
        due = before.surveyed is None or not 0 <= context.now - before.surveyed < options.survey_every
        answer = ask(options, deadline, survey=due)
        if isinstance(answer, str):
            # What is counted until the next answer took longer than from this run to that one.
            kept = msgspec.structs.replace(before, counters=[])
            return Sample([Measurement("mysql_up", 0)], [Finding("critical", answer)], memory=kept)
        return derive(options, answer, before, now=context.now, elapsed=context.elapsed)


def derive(options: MysqlOptions, answer: Answer, before: Memory, *, now: float, elapsed: float | None) -> Sample:
    """What the answers mean."""
    findings = [Finding("unknown", problem) for problem in answer.problems]
    status = answer.status
    connected = status["Threads_connected"]
    measurements = [
        Measurement("mysql_up", 1),
        Measurement("mysql_info", 1, labels={"version": answer.version}),
        Measurement("mysql_uptime_seconds", status["Uptime"], "seconds"),
        Measurement("mysql_connections", connected),
        Measurement("mysql_connections_max", answer.connections_max),
        Measurement("mysql_connections_used_percent", 100 * connected / max(1, answer.connections_max), "percent"),
        Measurement("mysql_threads_running", status["Threads_running"]),
    ]
    if answer.sessions is not None:
        longest = float(answer.sessions["longest"])
        measurements.append(Measurement("mysql_query_longest_seconds", max(0.0, longest), "seconds"))
    if (found := answer.transactions) is not None:
        measurements += [
            Measurement("mysql_transaction_longest_seconds", max(0.0, float(found["longest"])), "seconds"),
            Measurement("mysql_lock_waits", float(found["waiting"])),
            Measurement("mysql_lock_wait_longest_seconds", max(0.0, float(found["waited"])), "seconds"),
        ]
    channels, remarks = largest(
        answer.channels or [], lambda channel: channel.lag or 0.0, CHANNELS_MAX, "replication channels"
    )
    findings += remarks
    for channel in channels:
        measurements += _replication(channel, findings)
    kept = before
    if answer.sizes is not None:
        meant = {name: size for name, size in answer.sizes.items() if _is_meant(options, name)}
        # Of a server of thousands only those that are shown are remembered.
        databases, remarks = largest(meant, lambda name: meant[name], options.databases_max, "databases")
        kept = Memory(
            surveyed=now,
            sizes={name: meant[name] for name in databases},
            trends={name: before.trends.get(name, Trend()).add(now, meant[name]) for name in databases},
            remarks=remarks,
        )
    findings += kept.remarks
    databases = [name for name in kept.sizes if _is_meant(options, name)]  # the options may be others than then
    for database in databases:
        size, labels = kept.sizes[database], {"database": database}
        measurements.append(Measurement("mysql_database_size_bytes", size, "bytes", labels))
        growth = kept.trends[database].per_day(kept.surveyed or now, size) if database in kept.trends else None
        if growth is not None:
            measurements.append(Measurement("mysql_database_growth_bytes_per_day", growth, "bytes", labels))
    counters = [status[name] for name in COUNTERS]
    measurements += _activity(rates(before.counters, counters, elapsed))
    return Sample(
        measurements,
        findings,
        f"{answer.version}, {connected:.0f} of {answer.connections_max:.0f} connections",
        memory=msgspec.structs.replace(kept, counters=counters),
    )


def _is_meant(options: MysqlOptions, database: str) -> bool:
    return is_chosen(database, options.databases, options.exclude)


def _replication(channel: Channel, findings: list[Finding]) -> list[Measurement]:
    """Of one channel by which this server follows another. While one of its threads stands still, or while the
    primary cannot be reached, nobody knows how far it is behind."""
    named = f" {channel.name}" if channel.name else ""
    labels = {"channel": channel.name}
    for thread, state, error in (
        ("receives nothing from its primary", channel.receiving, channel.receive_error),
        ("does not apply what it receives", channel.applying, channel.apply_error),
    ):
        if not state:
            findings.append(Finding("critical", f"replication{named} {thread}" + (f": {error}" if error else "")))
    measurements = [
        Measurement("mysql_replication_running", float(channel.receiving and channel.applying), labels=labels)
    ]
    if channel.lag is not None:
        measurements.append(Measurement("mysql_replication_lag_seconds", channel.lag, "seconds", labels))
    return measurements


def _activity(found: list[float] | None) -> list[Measurement]:
    """What happened since the last run."""
    if found is None:
        return []
    queries, aborted, slow, requests, reads, waits = found
    measurements = [
        Measurement("mysql_queries_per_second", queries, "1/s"),
        Measurement("mysql_aborted_connects_per_second", aborted, "1/s"),
        Measurement("mysql_slow_queries_per_second", slow, "1/s"),
        Measurement("mysql_row_lock_waits_per_second", waits, "1/s"),
    ]
    if requests > 0:
        hits = max(0.0, 100 * (requests - reads) / requests)
        measurements.append(Measurement("mysql_buffer_pool_hits_percent", hits, "percent"))
    return measurements
