"""Services are restarted in order, and not where one has failed."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from deploys.operations.fail import StepError
from deploys.operations.turns import turn
from tests.deploys.conftest import Run
from tests.deploys.support import changes
from tests.fleet.host import Host

UNIT = "[Service]\nExecStart=/bin/sh -c '{}'\n"
CHECKS = '[checks.first]\ntype = "systemd"\nunits = ["first.service"]\nevery = "1s"\n'
QUICK = {"steady": 0.5, "timeout": 30}


def started(host: Host, unit: str) -> str:
    """When it last became active, by the kernel's clock."""
    return host.run(f"systemctl show --property=ActiveEnterTimestampMonotonic --value {unit}").stdout.strip()


def test_units_are_restarted_in_order_until_one_fails(served: Host, on_served: Run) -> None:
    """Each time that it is asked for. One that ends at once is no success, nor is one with a check that is not ok.
    What comes after it stays as it is."""
    host = served
    host.write("/etc/systemd/system/first.service", UNIT.format("exec sleep infinity"))
    host.write("/etc/systemd/system/second.service", UNIT.format("exec sleep infinity"))
    host.write("/etc/systemd/system/breaks.service", UNIT.format("sleep 0.2; exit 3"))
    host.write("/etc/hostward/agent.d/services.toml", CHECKS)
    host.run("systemctl daemon-reload && systemctl restart hostward-agent first second")
    try:
        before = started(host, "first"), started(host, "second")
        both = {"units": ["first.service", "second.service"], "checks": {"first.service": ["first"]}, **QUICK}
        for _ in range(2):
            assert changes(on_served("services", both)) == 2
            now = started(host, "first"), started(host, "second")
            assert int(before[0]) < int(before[1]) < int(now[0]) < int(now[1])
            before = now

        broken = {"units": ["breaks.service", "second.service"], **QUICK}
        done = on_served("services", broken, check=False)
        assert done.returncode == 1
        assert "breaks.service did not stay up: it failed (broken)" in done.stdout + done.stderr
        lacks = {"units": ["first.service", "second.service"], "checks": {"first.service": ["nothing"]}, **QUICK}
        done = on_served("services", {**lacks, "timeout": 1}, check=False)
        assert "first.service is active, but the agent has no check nothing (broken)" in done.stdout + done.stderr
        done = on_served("services", {"units": ["none.service", "second.service"]}, check=False)
        assert "none.service is not-found here (left alone)" in done.stdout + done.stderr
        host.run(
            "cd /run/hostward-deploys; echo '99999999 patch by ann@desk' >holder; "
            'echo \'{"holder": "patch by ann@desk", "until": 99999999, "boot": ""}\' >lease.json'
        )
        done = on_served("services", {"units": ["second.service"], **QUICK}, check=False)
        assert "somebody else is at work on it: patch by ann@desk (left alone)" in done.stdout + done.stderr
        assert started(host, "second") == before[1]
    finally:
        host.run("rm -f /run/hostward-deploys/lease.json /run/hostward-deploys/holder")
        host.run("rm /etc/hostward/agent.d/services.toml; systemctl stop hostward-agent first second")


def test_hosts_take_turns_until_one_fails() -> None:
    """Never two at one time; after a failure nobody else begins. Another thing has turns of its own."""

    class State:
        pass

    state = State()
    hosts: list[Any] = [SimpleNamespace(name=f"host{number}", state=state) for number in range(4)]
    inside, most, left = 0, 0, []
    busy = threading.Lock()

    def work(host: Any) -> None:
        nonlocal inside, most
        try:
            with turn(host, "web"):
                with busy:
                    inside += 1
                    most = max(most, inside)
                with busy:
                    inside -= 1
                if host is not hosts[0]:
                    raise StepError("it does not start", "broken")
        except StepError as error:
            left.append(str(error))

    work(hosts[0])
    threads = [threading.Thread(target=work, args=(host,)) for host in hosts[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert sorted(left)[0] == "it does not start"
    assert len([text for text in left if text.startswith("web failed on host") and "not touched here" in text]) == 2
    with turn(hosts[0], "mail"):
        pass
    with pytest.raises(StepError, match="not touched here"), turn(hosts[0], "web", at_once=True):
        raise AssertionError
