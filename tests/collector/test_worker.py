"""A host that is quiet for three intervals is down, by a clock that nobody can set."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from collector.worker import forever
from tests.collector import support
from tests.collector.support import Home, Host


def state_becomes(home: Home, state: str, *, name: str = "web1") -> dict[str, Any]:
    """The host's detail once it is in `state`; the worker looks each second."""
    deadline = time.monotonic() + 20
    while (detail := home.host(name))["host"]["state"] != state:
        assert time.monotonic() < deadline, f"still {detail['host']['state']}"
        time.sleep(0.05)
    return detail


def worker_looks_twice() -> None:
    """Long enough for the worker to have seen what there is now."""
    time.sleep(2.2)


def test_a_quiet_host_goes_down_and_comes_back_when_it_reports(home: Home, host: Host) -> None:
    """Both are state changes of the host."""
    host.send()
    home.clock.now += 46
    home.ticks.now += 46  # by which it is down: home's worker may look at any time
    detail = state_becomes(home, "down")
    assert detail["host"]["since"] == home.clock()
    assert "3 intervals of 15s" in detail["host"]["message"]
    assert {one["state"] for one in detail["host"]["highlights"]} == {"unknown"}
    home.clock.now += 5
    host.send()
    detail = home.host()
    assert (detail["host"]["state"], detail["host"]["since"]) == ("ok", home.clock())
    assert [(one["check"], one["before"], one["after"]) for one in detail["changes"]] == [
        ("", "down", "ok"),
        ("", "ok", "down"),
        ("", "pending", "ok"),
    ]


def test_setting_homes_clock_puts_nobody_down(home: Home, host: Host) -> None:
    """A jump of a day, either way, is not silence."""
    host.send()
    home.clock.now += 86400
    worker_looks_twice()
    assert home.host()["host"]["state"] == "ok"


def test_a_host_that_never_reported_is_pending_and_not_down(home: Home, host: Host) -> None:
    """It has no interval to be late by."""
    home.ticks.now += 10_000
    worker_looks_twice()
    assert home.host()["host"]["state"] == "pending"


def test_a_home_that_starts_gives_every_host_three_intervals(tmp_path: Path) -> None:
    """While it was not there, nobody could report."""
    with support.home(tmp_path) as first:
        host = Host(first.client, first.clock)
        host.enroll(first.token())
        host.send()
    with support.home(tmp_path) as second:
        second.clock.now += 86400
        worker_looks_twice()
        assert second.host()["host"]["state"] == "ok"
        second.ticks.now += 46
        state_becomes(second, "down")
    with support.home(tmp_path) as third:
        worker_looks_twice()
        assert third.host()["host"]["state"] == "down"


def test_a_database_that_is_away_is_told_once_and_so_is_its_return(caplog: pytest.LogCaptureFixture) -> None:
    """However often it is tried meanwhile; what else it says then is told, too."""
    outcomes = iter(["", "refused", "refused", "refused", "starting up", "", ""])

    async def step() -> None:
        if (said := next(outcomes, None)) is None:
            raise asyncio.CancelledError
        if said:
            raise OperationalError("", None, Exception(said))

    with caplog.at_level(logging.INFO, "collector.worker"), pytest.raises(asyncio.CancelledError):
        asyncio.run(forever(0, step))
    assert [record.getMessage() for record in caplog.records if record.exc_info is None] == [
        "the database cannot be used: refused",
        "the database cannot be used: starting up",
        "the database can be used again",
    ]
