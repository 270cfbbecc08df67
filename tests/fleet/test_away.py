"""A day without home."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.faults.books import undelivered
from tests.fleet import a_day, layers
from tests.fleet.fleet import Fleet
from tests.fleet.homes import BridgeHome, assert_nothing_lost, enroll, settle, start, state, until
from tests.fleet.host import Host

DAY = 86400
INTERVAL = 60
"""Seconds between reports; 15 by default, which would be four times the work for this machine."""


def test_a_day_without_home_gets_home(fleet: Fleet, host: Host, tmp_path: Path) -> None:
    """All reports of the day, 1,440 at one a minute, wait on the host and get home in one go, each item once.

    The day itself is simulated: hosts have this machine's clock, so the agent's own code writes the day's reports as
    the agent's user with the times that they would have had. What is real: the spool and its size, the agent that
    finds it, runs without a home and then delivers it, and a home that takes so much of one host only at its pace.
    """
    bridge = BridgeHome(fleet, tmp_path)
    with bridge.serving() as home:
        enroll(host, home, configuration=f'[home]\ninterval = "{INTERVAL}s"\n')
    host.write("/usr/src/a_day.py", Path(a_day.__file__).read_text())
    now = int(time.time())
    script = f"/{layers.PREFIX}/current/bin/python /usr/src/a_day.py /var/lib/hostward {now - DAY} {now} {INTERVAL}"
    host.run(f"runuser -u hostward -- {script}", timeout=300)
    assert undelivered(state(host)) == DAY // INTERVAL

    start(host)
    shown = until(lambda: (found := status(host))["home"]["error"] and found, "the agent misses its home")
    assert shown["home"]["waiting"]["reports"] >= DAY // INTERVAL
    assert shown["home"]["waiting"]["oldest"] == now - DAY
    assert shown["agent"]["running"]
    assert shown["gaps"] == []

    with bridge.serving() as home:
        until(lambda: undelivered(state(host)) < 3, "the day has got home", patience=600)
        settle(host)
    taken = assert_nothing_lost(bridge.folder, host)
    assert taken["readings"] > DAY // INTERVAL * a_day.READINGS
    assert taken["events"] > DAY // a_day.HOUR


def status(host: Host) -> dict[str, dict[str, object]]:
    """What `hostward status` says."""
    found: dict[str, dict[str, object]] = json.loads(host.run("hostward status --json").stdout)
    return found
