"""The agent under its real unit on real hosts, and a real home across the bridge."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

from tests.collector.support import RealHome
from tests.faults.books import committed, opened
from tests.fleet.fleet import Fleet
from tests.fleet.homes import UNIT, BridgeHome, assert_nothing_lost, at_home, enroll, settle, start, state, until
from tests.fleet.host import Host

JOBS = """\
[home]
interval = "1s"

[jobs.deaf]
command = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
every = "1s"

[jobs.obedient]
command = ["sleep", "1000"]
every = "1s"
"""


SHARED = {"cpu", "disk", "disk_io", "memory", "pressure"}
"""Checks of what all hosts of one machine have in common, and what else runs there decides."""


def shown(host: Host, name: str) -> str:
    """A property of the agent's unit."""
    return host.run(f"systemctl show --value -p {name} {UNIT}").stdout.strip()


def drop_in(host: Host, options: str) -> None:
    """Change options of the agent's unit, as `systemctl edit` does."""
    host.write(f"/etc/systemd/system/{UNIT}.service.d/test.conf", f"[Service]\n{options}\n")
    host.run("systemctl daemon-reload")


def restarted(host: Host, before: str) -> bool:
    """Whether the agent runs, as another process than `before`."""
    return shown(host, "ActiveState") == "active" and shown(host, "MainPID") != before


def reports(home: RealHome, host: Host) -> bool:
    """Whether home has heard of a host's checks."""
    found = at_home(home, host)
    return bool(found["checks"]) and found["host"]["state"] not in ("pending", "down")


def test_three_hosts_enrol_and_are_well_at_home(fleet: Fleet, hosts: list[Host], tmp_path: Path) -> None:
    """Without any configuration: each checks what it has, says that it is well, and its readings arrive."""
    bridge = BridgeHome(fleet, tmp_path)
    with bridge.serving() as home:
        for host in hosts:
            enroll(host, home, configuration="")
        start(*hosts)
        for host in hosts:
            until(lambda: reports(home, host), f"home hears of {host.name}")  # noqa: B023
            checks = {check["name"]: check for check in at_home(home, host)["checks"]}
            assert {"config", "network", "systemd", *SHARED - {"pressure"}} <= checks.keys()
            assert [check for name, check in checks.items() if check["state"] != "ok" and name not in SHARED] == []
            assert (shown(host, "User"), shown(host, "NRestarts")) == ("hostward", "0")
            assert home.url in host.run("hostward status").stdout
        settle(*hosts)
    assert assert_nothing_lost(bridge.folder, *hosts)["readings"] > 0


def test_killed_agents_come_back_and_lose_nothing(fleet: Fleet, hosts: list[Host], tmp_path: Path) -> None:
    """SIGKILL at moments that nobody chose: systemd starts them again, and both sides' books agree to the item."""
    bridge = BridgeHome(fleet, tmp_path)
    with bridge.serving() as home:
        for host in hosts:
            enroll(host, home)
        start(*hosts)
        for number in range(2):
            until(lambda: all(reports(home, host) for host in hosts), "all report")
            time.sleep(random.uniform(0, 2))
            before = [shown(host, "MainPID") for host in hosts]
            for host in hosts:
                host.run(f"systemctl kill -s KILL {UNIT}")
            for host, killed in zip(hosts, before, strict=True):
                until(lambda: restarted(host, killed), f"{host.name}'s agent is back")  # noqa: B023
                assert shown(host, "NRestarts") == str(number + 1)
        for host in hosts:
            assert_work_goes_on(host)
        settle(*hosts)
    taken = assert_nothing_lost(bridge.folder, *hosts)
    assert min(taken[what] for what in ("readings", "events", "job_results")) > 0


def assert_work_goes_on(host: Host) -> None:
    """An agent that is there also does something: its job runs once more."""

    def count() -> int:
        return committed(state(host)).job_results.total()

    before = count()
    until(lambda: count() > before, f"the job on {host.name} goes on")


def test_a_hung_agent_is_started_anew(fleet: Fleet, host: Host, tmp_path: Path) -> None:
    """SIGSTOP, as a loop that hangs for good: the watchdog ends it, and what it had kept gets home.

    The unit waits a minute; a drop-in makes that three seconds here.
    """
    bridge = BridgeHome(fleet, tmp_path)
    with bridge.serving() as home:
        enroll(host, home)
        drop_in(host, "WatchdogSec=3")
        start(host)
        until(lambda: reports(home, host), "the host reports")
        before = shown(host, "MainPID")
        host.run(f"systemctl kill --kill-whom=main -s STOP {UNIT}")
        until(lambda: restarted(host, before), "the agent is started anew")
        assert "Watchdog timeout" in host.run(f"journalctl --no-pager -u {UNIT}").stdout
        assert_work_goes_on(host)
        settle(host)
    assert_nothing_lost(bridge.folder, host)


def test_after_a_reboot_the_host_is_the_same_in_a_new_boot(fleet: Fleet, host: Host, tmp_path: Path) -> None:
    """The agent starts by itself and goes on with its numbers; home shows the new boot, and hears of the start.

    A container's kernel does not boot; its new boot id is a mount of nspawn's, which two options of the unit hide.
    They are off here.
    """
    bridge = BridgeHome(fleet, tmp_path)
    with bridge.serving() as home:
        enroll(host, home)
        drop_in(host, "ProtectControlGroups=false\nProtectKernelTunables=false")
        start(host)
        until(lambda: reports(home, host), "the host reports")
        before = at_home(home, host)
        first = numbered(state(host))
        host.reboot()
        after = until(
            lambda: (found := at_home(home, host))["boot"] != before["boot"] and found, "home hears of the new boot"
        )
        assert after["boot"] == host.boot_id()
        assert after["host"]["id"] == before["host"]["id"]
        started = [event for event in after["events"] if event["kind"] == "agent.started"]
        assert len(started) == 2
        assert [event["kind"] for event in after["events"]].count("agent.stopped") == 1
        again = numbered(state(host))
        assert again[0] == first[0]
        assert again[1] > first[1]
        # A check that was in its state before the boot is in it since then.
        since = {check["name"]: check["since"] for check in before["checks"]}
        assert {check["name"]: check["since"] for check in after["checks"]}["memory"] == since["memory"]
        settle(host)
    assert_nothing_lost(bridge.folder, host)


def numbered(folder: Path) -> tuple[str, int]:
    """The epoch of a state database, and the last number that it gave."""
    with opened(folder / "agent.db") as connection:
        (sequence,) = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'spool'").fetchone()
        (epoch,) = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
    return epoch, sequence


def test_a_stop_under_load_is_in_order_and_in_time(fleet: Fleet, host: Host, tmp_path: Path) -> None:
    """With jobs that do not listen and a busy host, `systemctl stop` ends all of it, and home hears of the end."""
    bridge = BridgeHome(fleet, tmp_path)
    with bridge.serving() as home:
        enroll(host, home, configuration=JOBS)
        start(host)
        until(lambda: {"deaf", "obedient"} <= running(host), "both jobs run")
        host.run("for _ in 1 2 3 4; do systemd-run --quiet sh -c 'while :; do :; done'; done")
        host.run(f"systemctl stop {UNIT}")
        assert (shown(host, "Result"), shown(host, "ExecMainStatus")) == ("success", "0")
        assert host.run(f"pgrep -u {shown(host, 'User')}", check=False).stdout == ""
        assert (
            "SIGKILL" not in host.run(f"journalctl --no-pager -u {UNIT} --grep 'Killing process'", check=False).stdout
        )
        outcomes = host.run("hostward jobs --json").stdout
        assert {job["name"]: job["last_run"]["outcome"] for job in json.loads(outcomes)["jobs"]} == {
            "deaf": "killed",
            "obedient": "killed",
        }
        kinds = [event["kind"] for event in at_home(home, host)["events"]]
        assert "agent.stopped" in kinds
        settle(host)
    assert_nothing_lost(bridge.folder, host)


def running(host: Host) -> set[str]:
    """The jobs that run."""
    jobs = json.loads(host.run("hostward jobs --json").stdout)["jobs"]
    return {job["name"] for job in jobs if job["running_since"] is not None}
