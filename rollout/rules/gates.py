"""Whether a wave left its hosts no worse than it found them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollout.protocol import Health
from wire import status
from wire.status import Check

SEVERITY = ("ok", "warning", "unknown", "critical")
"""From good to bad, as agents and home have it."""
AT_HOME = (*SEVERITY, "down")
"""States of hosts at home. One that has not reported yet is in none of them."""
NAMED = 3
"""Checks that a reason names."""


def severity(state: str) -> int:
    """A state that nobody knows is as bad as any."""
    return SEVERITY.index(state) if state in SEVERITY else len(SEVERITY)


def worse(before: Health | None, after: Health) -> str:
    """Why the host is worse than before, in a few words; empty where it is not.

    A host without an agent has nothing that could be worse, as long as it can be reached. One that got an agent only
    now must have it running, without a critical check. What the agent complains of itself counts where it is new.
    """
    if not after.reachable:
        return after.problem or "it cannot be reached"
    had = before is not None and before.installed
    if not after.installed:
        return "its agent is gone" if had else ""
    if not after.running:
        return "its agent does not run" if not had or (before is not None and before.running) else ""
    if after.problem and not (had and before is not None and before.problem):
        return after.problem
    was = {check.name: check.state for check in before.checks} if before is not None else {}
    bad = [check for check in after.checks if severity(check.state) > severity(was.get(check.name, "warning"))]
    return _few(bad)


def pending(before: Mapping[str, Health], after: Mapping[str, Sequence[Health]], samples: int) -> dict[str, str]:
    """The hosts whose last `samples` samples are not all as good as before, and why. Empty: the gate is open."""
    found = {}
    for host, seen in after.items():
        reasons = [worse(before.get(host), health) for health in seen[-samples:]]
        if said := next((reason for reason in reversed(reasons) if reason), ""):
            found[host] = said
        elif len(reasons) < samples:
            found[host] = "it was not looked at often enough"
    return found


def unseen(before: Mapping[str, Health], after: Mapping[str, Sequence[Health]], limit: float) -> dict[str, str]:
    """The hosts with checks that have not run since the host was looked at before the deploy, and which these are.

    Their results say nothing of the deploy. A check that did not run in the `limit` seconds before that look runs
    more rarely, and is not waited for.
    """
    found = {}
    for host, seen in after.items():
        then = before.get(host)
        if not seen or then is None or not then.installed:
            continue
        if stale := status.unseen(seen[-1].checks, then.time, limit):
            found[host] = f"{_few_names(stale)} {'has' if len(stale) == 1 else 'have'} not run since the deploy"
    return found


def worse_at_home(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """The hosts that home has in a worse state than before, and why. Who is not known there is no worse."""
    return {
        host: f"home has it as {now}, and had it as {then} before"
        for host, now in after.items()
        if (then := before.get(host)) in AT_HOME and now in AT_HOME and AT_HOME.index(now) > AT_HOME.index(then)
    }


def _few(checks: Sequence[Check]) -> str:
    return _few_names(
        [f"{check.name} is {check.state}" + (f" ({check.message})" if check.message else "") for check in checks]
    )


def _few_names(named: Sequence[str]) -> str:
    more = f", and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return ", ".join(named[:NAMED]) + more
