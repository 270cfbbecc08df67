"""Redis, and Valkey, which tells the same: memory, evictions, replication, what is saved, and the lengths of queues.

What is asked, and how, is in redis_session.py, which loads the driver; this file says what the answers mean.
The fields of INFO: https://redis.io/docs/latest/commands/info/.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Annotated

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
from agent.checks.drivers import largest, missing
from kit.units import Duration

QUEUES_MAX = 100
GROUPS_MAX = 20
REPLICAS_MAX = 50
COUNTERS = (
    "total_commands_processed",
    "evicted_keys",
    "expired_keys",
    "rejected_connections",
    "keyspace_hits",
    "keyspace_misses",
)


class RedisOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Redis or Valkey server, and keys that are queues."""

    every: Every = Duration(60)
    host: Annotated[
        str, msgspec.Meta(description="Name or address.", min_length=1, examples=["cache.example.com"])
    ] = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(description="Port number.", ge=1, le=65535, examples=[6380])] = 6379
    socket: Annotated[
        str,
        msgspec.Meta(
            description="The Unix socket, instead of host and port.", examples=["/run/redis/redis-server.sock"]
        ),
    ] = ""
    user: Annotated[
        str, msgspec.Meta(description="The ACL's user; empty for the default one.", examples=["hostward"])
    ] = ""
    password_file: Annotated[
        str,
        msgspec.Meta(
            description="The file that holds the password, or `credential:NAME`; empty for none.",
            examples=["/etc/hostward/redis.password"],
        ),
    ] = ""
    tls: Annotated[
        bool,
        msgspec.Meta(description="Whether to use TLS; without it a password travels in the clear.", examples=[True]),
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
    database: Annotated[
        int, msgspec.Meta(description="The number of the database that holds the queues.", ge=0, examples=[1])
    ] = 0
    queues: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=256)], ...],
        msgspec.Meta(
            description="Keys whose lengths are read: lists, streams, sets and sorted sets.",
            max_length=QUEUES_MAX,
            examples=[["celery", "orders"]],
        ),
    ] = ()
    length: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the length of a queue; `overrides` by the label `queue` for single ones.",
            examples=[{"warning": 1000}],
        ),
    ] = Threshold()
    pending: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of what a stream's group has been given and not acknowledged.",
            examples=[{"warning": 1000}],
        ),
    ] = Threshold()
    lag: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of what a stream's group has not been given yet.", examples=[{"warning": 100}]
        ),
    ] = Threshold()
    memory: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the memory used, in percent of `maxmemory`, where there is one."),
    ] = Threshold()
    evictions: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the keys a second that went because memory was full.", examples=[{"warning": 10}]
        ),
    ] = Threshold()
    clients: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the connections used, in percent of `maxclients`.")
    ] = Threshold(warning=80, critical=95, hysteresis=2)
    rejected: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the connections refused a second, because there were too many."),
    ] = Threshold(warning=0.01)
    replica_lag: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the seconds since primary and replica heard of each other.")
    ] = Threshold(warning=30, critical=120)
    save_age: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the seconds since the last snapshot was saved (RDB).",
            examples=[{"warning": 86400}],
        ),
    ] = Threshold()

    def __post_init__(self) -> None:
        if (self.ca_file or not self.verify) and not self.tls:
            raise ValueError("ca_file and verify are only read with tls = true")
        if self.tls and self.socket:
            raise ValueError("tls is for host and port; a Unix socket needs none")
        if self.user and not self.password_file:
            raise ValueError("user needs a password_file")


class Group(msgspec.Struct, frozen=True):
    """A group of consumers that reads a stream."""

    name: str
    pending: int
    lag: int | None
    """None where the server does not know: before version 7, and where entries were deleted."""


class Queue(msgspec.Struct, frozen=True):
    """A key that is a queue. Where there is none it is empty: Redis keeps no empty lists."""

    key: str
    length: int
    groups: list[Group] = []


class Answer(msgspec.Struct, kw_only=True):
    """What a server said."""

    info: dict[str, str]
    queues: list[Queue] = []
    problems: list[str] = []


class Memory(msgspec.Struct, frozen=True):
    """What the next run is given."""

    counters: list[float] = []


class Redis(Check[RedisOptions]):
    """A Redis or Valkey server."""

    Options = RedisOptions
    runs = "job"

    def rules(self) -> list[Rule]:
        """In the order in which an administrator would look."""
        options = self.options
        return [
            Rule("redis_memory_used_percent", options.memory, "{value} of maxmemory used"),
            Rule("redis_evictions_per_second", options.evictions, "{value} keys evicted"),
            Rule("redis_clients_used_percent", options.clients, "{value} of the connections used"),
            Rule("redis_connections_rejected_per_second", options.rejected, "{value} connections refused"),
            Rule("redis_replica_lag_seconds", options.replica_lag, "replica {replica} was heard {value} ago"),
            Rule("redis_primary_silent_seconds", options.replica_lag, "the primary was heard {value} ago"),
            Rule("redis_save_age_seconds", options.save_age, "the last snapshot was saved {value} ago"),
            Rule("redis_queue_length", options.length, "{value} in {queue}"),
            Rule("redis_stream_pending", options.pending, "group {group} has not acknowledged {value} of {queue}"),
            Rule("redis_stream_lag", options.lag, "group {group} has not read {value} of {queue}"),
        ]

    def collect(self, context: Context) -> Sample:
        """Connect, ask, derive."""
        deadline = time.monotonic() + self.options.patience
        # 21 MB and a tenth of a second: only the child that asks pays for it.
        try:
            from agent.checks.redis_session import ask
        except ImportError:
            raise missing("redis") from None

        answer = ask(self.options, deadline)
        if isinstance(answer, str):
            return Sample([Measurement("redis_up", 0)], [Finding("critical", answer)])
        before = remembered(context.previous, Memory)
        return derive(answer, before, now=context.now, elapsed=context.elapsed)


def parse_info(text: str) -> dict[str, str]:
    """INFO as it travels: lines `field:value`, and `# Section` between them. What has no colon is passed over."""
    lines = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, separator, value in lines if separator}


def fields(text: str) -> dict[str, str]:
    """A value of INFO that is several: `ip=10.0.0.2,port=6379,state=online`."""
    return {name: value for name, _, value in (part.partition("=") for part in text.split(","))}


def number(text: str | None) -> float:
    """What INFO gives as a number; 0 where it is none, or is not told by this version."""
    found = re.match(r"-?[0-9]{1,18}(\.[0-9]{1,9})?", text or "")
    return float(found[0]) if found else 0.0


def derive(answer: Answer, before: Memory, *, now: float, elapsed: float | None) -> Sample:
    """What the answers mean."""
    info = answer.info
    findings = [Finding("unknown", problem) for problem in answer.problems]
    used, limit = number(info.get("used_memory")), number(info.get("maxmemory"))
    clients, slots = number(info.get("connected_clients")), number(info.get("maxclients"))
    version = info.get("valkey_version") or info.get("redis_version", "unknown")
    role = "replica" if info.get("role") == "slave" else "primary"
    measurements = [
        Measurement("redis_up", 1),
        Measurement("redis_info", 1, labels={"version": version, "role": role}),
        Measurement("redis_uptime_seconds", number(info.get("uptime_in_seconds")), "seconds"),
        Measurement("redis_memory_used_bytes", used, "bytes"),
        Measurement("redis_clients", clients),
        Measurement("redis_clients_blocked", number(info.get("blocked_clients"))),
        Measurement(
            "redis_keys", sum(number(fields(info[name]).get("keys")) for name in info if _DB.fullmatch(name))
        ),
    ]
    if limit > 0:
        measurements.append(Measurement("redis_memory_used_percent", 100 * used / limit, "percent"))
    if slots > 0:
        measurements.append(Measurement("redis_clients_used_percent", 100 * clients / slots, "percent"))
    measurements += _persistence(info, findings, now)
    measurements += _replication(info, findings)
    for queue in answer.queues:
        measurements += _queue(queue, findings)
    counters = [number(info.get(name)) for name in COUNTERS]
    measurements += _activity(rates(before.counters, counters, elapsed))
    name = "Valkey" if "valkey_version" in info else "Redis"
    return Sample(
        measurements,
        findings,
        f"{name} {version}, {role}, {clients:.0f} clients",
        memory=Memory(counters=counters),
    )


_DB = re.compile(r"db[0-9]+")


def _persistence(info: Mapping[str, str], findings: list[Finding], now: float) -> list[Measurement]:
    """Snapshots (RDB) and the log of writes (AOF)."""
    if info.get("loading") == "1":
        findings.append(Finding("critical", "the server is still loading its data, and answers nothing else"))
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        findings.append(Finding("critical", "the last snapshot could not be saved"))
    measurements = [Measurement("redis_unsaved_changes", number(info.get("rdb_changes_since_last_save")))]
    if (saved := number(info.get("rdb_last_save_time"))) > 0:
        measurements.append(Measurement("redis_save_age_seconds", max(0.0, now - saved), "seconds"))
    measurements.append(Measurement("redis_aof_enabled", number(info.get("aof_enabled"))))
    if info.get("aof_last_write_status", "ok") != "ok":
        findings.append(Finding("critical", "the log of writes (AOF) cannot be written"))
    if info.get("aof_last_bgrewrite_status", "ok") != "ok":
        findings.append(Finding("warning", "the log of writes (AOF) could not be rewritten"))
    return measurements


def _replication(info: Mapping[str, str], findings: list[Finding]) -> list[Measurement]:
    """As one that others follow, and as one that follows."""
    offset = number(info.get("master_repl_offset"))
    replicas = [fields(value) for name, value in info.items() if re.fullmatch(r"slave[0-9]+", name)]
    measurements = [Measurement("redis_replicas", sum(replica.get("state") == "online" for replica in replicas))]
    shown, remarks = largest(replicas, lambda replica: number(replica.get("lag")), REPLICAS_MAX, "replicas")
    findings += remarks
    for replica in shown:
        name = f"{replica.get('ip', '')}:{replica.get('port', '')}"
        if replica.get("state") != "online":
            findings.append(Finding("warning", f"replica {name} is not online: {replica.get('state', '')}"))
            continue
        behind = max(0.0, offset - number(replica.get("offset")))
        measurements += [
            Measurement("redis_replica_lag_seconds", number(replica.get("lag")), "seconds", {"replica": name}),
            Measurement("redis_replica_lag_bytes", behind, "bytes", {"replica": name}),
        ]
    if info.get("role") == "slave":
        up = info.get("master_link_status") == "up"
        measurements.append(Measurement("redis_primary_link_up", float(up)))
        if up:
            silent = max(0.0, number(info.get("master_last_io_seconds_ago")))
            measurements.append(Measurement("redis_primary_silent_seconds", silent, "seconds"))
        elif info.get("master_sync_in_progress") == "1":
            findings.append(Finding("warning", "this replica is copying its primary anew"))
        else:
            findings.append(Finding("critical", "this replica has no link to its primary"))
    return measurements


def _queue(queue: Queue, findings: list[Finding]) -> list[Measurement]:
    measurements = [Measurement("redis_queue_length", queue.length, labels={"queue": queue.key})]
    groups, remarks = largest(queue.groups, lambda group: group.pending, GROUPS_MAX, f"groups of {queue.key}")
    findings += remarks
    for group in groups:
        labels = {"queue": queue.key, "group": group.name}
        measurements.append(Measurement("redis_stream_pending", group.pending, labels=labels))
        if group.lag is not None:
            measurements.append(Measurement("redis_stream_lag", group.lag, labels=labels))
    return measurements


def _activity(found: list[float] | None) -> list[Measurement]:
    """What happened since the last run."""
    if found is None:
        return []
    commands, evicted, expired, rejected, hits, misses = found
    measurements = [
        Measurement("redis_commands_per_second", commands, "1/s"),
        Measurement("redis_evictions_per_second", evicted, "1/s"),
        Measurement("redis_expirations_per_second", expired, "1/s"),
        Measurement("redis_connections_rejected_per_second", rejected, "1/s"),
    ]
    if hits + misses > 0:
        measurements.append(Measurement("redis_hits_percent", 100 * hits / (hits + misses), "percent"))
    return measurements
