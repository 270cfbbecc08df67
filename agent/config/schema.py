"""Every option of the agent, but those of each kind of check, which stand with the check."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.checks.contract import CheckOptions
from agent.config.backups import BackupOptions
from agent.config.drills import DrillOptions
from agent.config.logs import LogOptions
from agent.config.name import Name
from agent.config.recovery import RecoveryOptions
from agent.metrics.address import DEFAULT, Address, parse
from agent.privileged.options import Privileged
from agent.timetable import Schedule
from kit.units import Duration, Size

CONFIG_CHECK = "config"
"""The agent's own check, which tells whether the configuration in force is the one in the files."""
METRICS_CHECK = "metrics"
"""The agent's own check, which tells whether the metrics are served where the configuration says."""


class AgentOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The agent itself."""

    name: Annotated[
        str,
        msgspec.Meta(
            description="What this host is called at home; empty for the host's own name.",
            max_length=253,
            examples=["web-1"],
        ),
    ] = ""
    default_checks: Annotated[
        bool,
        msgspec.Meta(
            description="Whether the checks that fit this host run without being configured.", examples=[False]
        ),
    ] = True
    history: Annotated[
        int, msgspec.Meta(description="How many runs of each job are kept.", ge=1, le=10_000, examples=[500])
    ] = 100


class HomeOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Reporting home. Where home is, `hostward enroll` has recorded."""

    interval: Annotated[
        Duration,
        msgspec.Meta(
            description="How often a report goes home; home may ask for another interval.",
            examples=["1m"],
            extra={"minimum": Duration(1), "maximum": Duration(3600)},
        ),
    ] = Duration(15)
    timeout: Annotated[
        Duration,
        msgspec.Meta(
            description="How long home may take to answer.",
            examples=["30s"],
            extra={"minimum": Duration(1), "maximum": Duration(600)},
        ),
    ] = Duration(10)
    logs: Annotated[
        bool,
        msgspec.Meta(
            description="Whether home is told once a day what the host's logs say: lines by level, the shapes of "
            "messages, failed logins by address, requests.",
            examples=[False],
        ),
    ] = True
    spool_max_size: Annotated[
        Size,
        msgspec.Meta(
            description="How much is kept for home while it cannot be reached; then the oldest readings go first.",
            examples=["256MiB"],
            extra={"minimum": Size(2**20)},
        ),
    ] = Size(64 * 2**20)
    spool_max_age: Annotated[
        Duration,
        msgspec.Meta(
            description="How long a report is kept for home while it cannot be reached.",
            examples=["2d"],
            extra={"minimum": Duration(60)},
        ),
    ] = Duration(7 * 86400)


class MetricsOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Metrics for Prometheus."""

    listen: Annotated[
        str,
        msgspec.Meta(
            description="Where `/metrics` is served: an address that only this host reaches, and a port. "
            '"auto" is 127.0.0.1:9843 where that is free; "off" for not at all.',
            examples=["127.0.0.1:9843"],
        ),
    ] = "auto"

    def __post_init__(self) -> None:
        if self.listen not in ("auto", "off"):
            try:
                parse(self.listen)
            except ValueError as error:
                raise ValueError(f'listen is "{self.listen}": {error}, "auto" or "off"') from None

    @property
    def address(self) -> Address | None:
        """Where to listen; None for nowhere."""
        if self.listen == "off":
            return None
        return DEFAULT if self.listen == "auto" else parse(self.listen)

    @property
    def is_named(self) -> bool:
        """Whether somebody asked for an address, and so wants to hear when it cannot be had."""
        return self.listen not in ("auto", "off")


class JobOptions(Schedule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program that runs on a timetable, with limits. Exactly one of `every` to `yearly` says when."""

    command: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1)], ...],
        msgspec.Meta(
            description="The program and its arguments, without a shell. Secrets do not belong here: every user "
            "of the host sees them in the list of processes.",
            min_length=1,
            examples=[["/usr/local/bin/dump", "--all"]],
            extra={"words": "an array of text, the program first"},
        ),
    ]
    timeout: Annotated[
        Duration,
        msgspec.Meta(
            description="How long one run may take before it is stopped.",
            examples=["6h"],
            extra={"minimum": Duration(1)},
        ),
    ] = Duration(3600)
    nice: Annotated[
        int,
        msgspec.Meta(
            description="The scheduling priority, from 0, as the agent itself, to 19, the lowest.",
            ge=0,
            le=19,
            examples=[19],
        ),
    ] = 10
    idle_io: Annotated[
        bool,
        msgspec.Meta(description="Whether it reads and writes only while nobody else does.", examples=[True]),
    ] = False
    memory_max: Annotated[
        Size | None,
        msgspec.Meta(
            description="How much memory it may use before it is refused more; no limit by default.",
            examples=["512MiB"],
        ),
    ] = None
    environment: Annotated[
        dict[str, str],
        msgspec.Meta(
            description="Added to a minimal environment (PATH, LANG). Its values are never shown.",
            examples=[{"PGDATABASE": "shop"}],
            extra={"secret": True},  # nosec B105  # no password: shown as a secret
        ),
    ] = {}
    privileged: Annotated[
        Privileged | None,
        msgspec.Meta(
            description="Run by root's half of the agent, with the rights that this table names instead of those of "
            "the agent's user. It counts only in root's own /etc/hostward.",
            examples=[{"writable": ["/var/log"]}],
        ),
    ] = None
    enabled: Annotated[bool, msgspec.Meta(description="false turns it off.", examples=[False])] = True
    description: Annotated[
        str, msgspec.Meta(description="What it is for, in a few words.", examples=["nightly dump of the shop"])
    ] = ""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it. Every table may be left out."""

    agent: Annotated[AgentOptions, msgspec.Meta(description="The agent itself.", examples=[{"name": "web-1"}])] = (
        AgentOptions()
    )
    home: Annotated[HomeOptions, msgspec.Meta(description="Reporting home.", examples=[{"interval": "1m"}])] = (
        HomeOptions()
    )
    metrics: Annotated[
        MetricsOptions,
        msgspec.Meta(description="Metrics for Prometheus.", examples=[{"listen": "127.0.0.1:9843"}]),
    ] = MetricsOptions()
    checks: Annotated[
        dict[Name, CheckOptions],
        msgspec.Meta(
            description="The checks by name. A table that is called as a kind of check changes that check's "
            "defaults; any other name needs a `type`.",
            examples=[{"cpu": {"every": "1m"}, "root": {"type": "disk"}}],
        ),
    ] = {}
    jobs: Annotated[
        dict[Name, JobOptions],
        msgspec.Meta(
            description="Programs that run on a timetable, by name.",
            examples=[{"dump": {"command": ["/usr/local/bin/dump"], "daily": "02:00"}}],
        ),
    ] = {}
    backups: Annotated[
        dict[Name, BackupOptions],
        msgspec.Meta(
            description="What `hostward backup run NAME` saves, and where, by the job's name.",
            examples=[{"etc": {"repository": "/srv/backup", "paths": ["/etc"]}}],
        ),
    ] = {}
    drills: Annotated[
        dict[Name, DrillOptions],
        msgspec.Meta(
            description="Restores of backup jobs that are tried on a timetable, by name.",
            examples=[{"etc": {"backup": "etc", "weekly": "sunday 04:00"}}],
        ),
    ] = {}
    recovery: Annotated[
        RecoveryOptions,
        msgspec.Meta(
            description="What people shall find on the recovery kit.",
            examples=[{"contacts": ["On call: +49 30 1234567"]}],
        ),
    ] = RecoveryOptions()
    logs: Annotated[
        tuple[LogOptions, ...],
        msgspec.Meta(
            description="What `hostward logs` rotates, when, and what it keeps.",
            examples=[[{"name": "nginx", "paths": ["/var/log/nginx/*.log"]}]],
        ),
    ] = ()
