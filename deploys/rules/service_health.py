"""Whether a service is up, by systemd and by the agent's checks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from wire.status import Status


def stands(properties: str) -> Literal["active", "failed", "waits"]:
    """Of lines `ActiveState=…` and more, as `systemctl show` has them."""
    found = dict(line.partition("=")[::2] for line in properties.splitlines())
    match found.get("ActiveState"):
        case "active":
            return "active"
        case "failed":
            return "failed"
    return "waits"


def failing(status: Status, names: Sequence[str], since: float) -> str:
    """What is amiss with one of the checks; '' where all are ok.

    A check counts once it ran after `since`, seconds since the epoch on its clock.
    """
    if not status.agent.running:
        return "the agent does not run"
    checks = {check.name: check for check in status.checks}
    for name in names:
        check = checks.get(name)
        if check is None:
            return f"the agent has no check {name}"
        if check.time <= since:
            return f"the agent has not run the check {name} since"
        if check.state != "ok":
            return f"the check {name} is {check.state}: {check.message}"
    return ""
