"""Whether a service is well."""

from __future__ import annotations

from typing import Any

import pytest

from deploys.rules.service_health import failing, stands
from wire.status import Agent, Check, Status


@pytest.mark.parametrize(
    ("properties", "state"),
    [
        ("ActiveState=active\nSubState=running\n", "active"),
        ("ActiveState=failed\n", "failed"),
        ("ActiveState=activating\nSubState=auto-restart\n", "waits"),
        ("ActiveState=inactive\n", "waits"),
        ("nonsense", "waits"),
    ],
)
def test_what_systemd_says(properties: str, state: str) -> None:
    """Only `active` is up, and only `failed` is given up."""
    assert stands(properties) == state


def status(*, running: bool = True, **check: Any) -> Status:
    web = Check(**{"name": "web", "time": 11.0, "state": "ok", "message": "up", **check})
    return Status(time=12.0, agent=Agent(running), checks=(web,))


def test_a_check_counts_once_it_ran_after_the_restart() -> None:
    """And has to be ok."""
    assert failing(status(), ["web"], 10.0) == ""
    assert failing(status(), [], 10.0) == ""
    assert failing(status(time=10.0), ["web"], 10.0) == "the agent has not run the check web since"
    assert failing(status(state="warning"), ["web"], 10.0) == "the check web is warning: up"
    assert failing(status(), ["web", "db"], 10.0) == "the agent has no check db"
    assert failing(status(running=False), ["web"], 10.0) == "the agent does not run"
