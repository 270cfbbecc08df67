"""The rotation of logs: whether it goes on, what the logs take, and what went wrong.

It reads what root's watcher of logs (`hostward logs watch`) tells; it looks at no log itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated

import msgspec

from agent.checks.contract import (
    Check,
    CheckError,
    CheckOptions,
    Context,
    Every,
    Finding,
    Measurement,
    Rule,
    Sample,
    Threshold,
)
from agent.logs.watch import status
from agent.logs.watch.status import RuleStatus, Status
from agent.paths import System
from kit.units import Duration, format_duration, format_size

PLACE = "var/lib/hostward-logs/" + status.NAME
REMEMBERED = 3600.0
"""Seconds for which it is said that a log would have filled its disk."""


class RotationOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rotation of logs by `hostward logs watch`."""

    every: Every = Duration(60)
    path: Annotated[
        str,
        msgspec.Meta(
            description="The file in which the watcher tells how it goes.",
            pattern=r"\A/[^\x00]*\Z",
            examples=["/srv/hostward/logs/status.json"],
            extra={"words": "the full path of a file"},
        ),
    ] = "/" + PLACE
    silence: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the seconds since the watcher was last heard of; it tells each minute."),
    ] = Threshold(warning=300, critical=3600)
    failing: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the seconds for which logs of a rule could not be rotated."),
    ] = Threshold(critical=6 * 3600)
    kept: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the bytes that the old logs of a rule take.",
            examples=[{"warning": 20_000_000_000}],
        ),
    ] = Threshold()
    growth: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the bytes that are written into the logs of a rule in a day.",
            examples=[{"warning": 5_000_000_000}],
        ),
    ] = Threshold()


class Rotation(Check[RotationOptions]):
    """Rules for logs."""

    Options = RotationOptions

    @classmethod
    def default(cls, system: System) -> CheckOptions | None:
        """Where a watcher has told something."""
        return RotationOptions() if os.path.lexists(system.path(PLACE)) else None

    def rules(self) -> list[Rule]:
        """Silence, failures, sizes."""
        options = self.options
        return [
            Rule("rotation_silence_seconds", options.silence, "the watcher of logs was last heard of {value} ago"),
            Rule("rotation_failing_seconds", options.failing, "{rule} has failed for {value}"),
            Rule("rotation_kept_bytes", options.kept, "the old logs of {rule} take {value}"),
            Rule("rotation_growth_bytes_per_day", options.growth, "{rule} writes {value} a day"),
        ]

    def collect(self, context: Context) -> Sample:
        """Read what is told."""
        path = context.system.path(self.options.path.lstrip("/"))
        try:
            told = status.read(path, owners=frozenset({0, os.geteuid()}))
        except FileNotFoundError:
            raise CheckError(f"{path} is not there: has hostward-logs.service been started?") from None
        return derive(told, context.now)


def derive(told: Status, now: float) -> Sample:
    """What it comes to."""
    measurements = [Measurement("rotation_silence_seconds", max(0.0, now - told.written), "seconds")]
    findings: list[Finding] = []
    for name, rule in sorted(told.rules.items()):
        measurements += _measure(name, rule, now)
        findings += _judge(name, rule, now)
    logs = sum(rule.logs for rule in told.rules.values())
    size = sum(rule.size + rule.kept_size for rule in told.rules.values())
    rules = f"{len(told.rules)} rule{'s' * (len(told.rules) != 1)}"
    return Sample(
        measurements, findings, f"{rules}, {logs} log{'s' * (logs != 1)}, {format_size(size)} with old ones"
    )


def _measure(name: str, rule: RuleStatus, now: float) -> Iterator[Measurement]:
    labels = {"rule": name}
    yield Measurement("rotation_logs", rule.logs, labels=labels)
    yield Measurement("rotation_size_bytes", rule.size, "bytes", labels)
    yield Measurement("rotation_kept_files", rule.kept, labels=labels)
    yield Measurement("rotation_kept_bytes", rule.kept_size, "bytes", labels)
    if rule.growth is not None:
        yield Measurement("rotation_growth_bytes_per_day", rule.growth, "bytes", labels)
    if rule.success is not None:
        yield Measurement("rotation_success_age_seconds", max(0.0, now - rule.success), "seconds", labels)
    failing = max(0.0, now - rule.failing_since) if rule.failing_since is not None else 0.0
    yield Measurement("rotation_failing_seconds", failing, "seconds", labels)
    yield Measurement("rotation_rotations_total", rule.rotations, labels=labels)
    yield Measurement("rotation_failures_total", rule.failures, labels=labels)
    yield Measurement("rotation_low_disk_total", rule.low_disk, labels=labels)
    yield Measurement("rotation_freed_bytes_total", rule.freed, "bytes", labels)
    if rule.budget:
        yield Measurement("rotation_budget_used_percent", 100 * rule.used / rule.budget, "percent", labels)


def _judge(name: str, rule: RuleStatus, now: float) -> Iterator[Finding]:
    if rule.trouble:
        yield Finding("warning", f"{name}: {rule.trouble}")
    danger = rule.danger
    if danger is not None and 0 <= now - danger.time < REMEMBERED:
        ago = format_duration(max(1.0, now - danger.time))
        left = f"within {format_duration(danger.left)}" if danger.left >= 1 else "at once"
        yield Finding("warning", f"{name}: {danger.path} would have filled its disk {left}: it was rotated {ago} ago")
    if rule.budget is not None and rule.used > rule.budget:
        units = [f"the journal of {unit} {format_size(size)}" for unit, size in sorted(rule.journal.items())]
        parts = ", ".join([f"logs {format_size(rule.size)}", f"old ones {format_size(rule.kept_size)}", *units])
        used, budget = format_size(rule.used), format_size(rule.budget)
        # Removing old logs is not enough then, and journald cannot remove the entries of one unit.
        advice = "; `hostward logs usage` says what helps" if rule.journal else ""
        yield Finding("warning", f"{name} takes {used} of a budget of {budget}: {parts}{advice}")
