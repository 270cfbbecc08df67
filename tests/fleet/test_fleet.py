"""The hosts themselves: that they are what other tests take them for."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fleet.fleet import RUNS, Fleet
from tests.fleet.fleet import fleet as another_fleet
from tests.fleet.host import Host


def test_a_host_has_an_init_of_its_own_and_the_agent(host: Host) -> None:
    """systemd is its first process, and the agent is there as `make install` leaves it, not running."""
    assert host.read("/proc/1/comm") == "systemd\n"
    assert host.read("/etc/hostname").strip() == host.run("hostname").stdout.strip() == host.name
    assert host.run("hostward --version").stdout.startswith("hostward ")
    assert host.run("systemctl is-active hostward-agent", check=False).stdout == "inactive\n"
    assert host.run("stat -c '%U %a' /var/lib/hostward").stdout == "hostward 700\n"
    assert host.run("systemctl --failed --quiet").stdout == ""


def test_a_host_reaches_this_machine_and_nothing_else(fleet: Fleet, host: Host) -> None:
    """There is one route, and it leads to the bridge."""
    routes = host.run("ip route").stdout.splitlines()
    assert [route.split()[0] for route in routes] == [fleet.address.removesuffix(".1") + ".0/24"]


def test_hosts_are_apart(hosts: list[Host]) -> None:
    """Each has a machine id, a key and processes of its own; they reach each other by the network alone."""
    for path in ("/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key.pub"):
        assert len({host.read(path) for host in hosts}) == len(hosts)
    one, other, _ = hosts
    one.write("/srv/only/here", "x", 0o600)
    assert one.run("stat -c '%U %a' /srv/only/here").stdout == "root 600\n"
    assert other.run("test -e /srv/only/here", check=False).returncode == 1
    one.run(["python3", "-c", f"import socket; socket.create_connection(('{other.address}', 22), 30)"])


def test_a_host_that_reboots_keeps_what_it_had(host: Host) -> None:
    """It is the same host in a new boot."""
    host.write("/etc/kept", "as it was\n")
    before = host.boot_id(), host.read("/etc/machine-id")
    host.reboot()
    assert host.read("/etc/kept") == "as it was\n"
    assert (host.boot_id() == before[0], host.read("/etc/machine-id") == before[1]) == (False, True)


@contextmanager
def by_hand(repository: Path) -> Iterator[tuple[subprocess.Popen[str], list[str], str]]:
    """What `make fleet HOSTS=1` runs, the command that it shows for its host, and its number."""
    words = [sys.executable, "-m", "tests.fleet", "--hosts", "1"]
    process = subprocess.Popen(words, cwd=repository, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        found = re.fullmatch(r"host1  198\.18\.(\d+)\.11  (ssh .*)\n", first)
        assert found is not None, first
        yield process, shlex.split(found[2]), found[1]
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def left_of(number: str) -> list[str]:
    """What is there of a fleet: its folder, mounts, bridge and control groups."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    groups = [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/hwf{number}-*")]
    links = [path.name for path in Path("/sys/class/net").iterdir()]
    return [
        *(str(path) for path in RUNS.glob(number)),
        *(place for place in mounts if place.startswith(f"{RUNS}/{number}/")),
        *(link for link in links if link == f"hwfleet{number}" or link.startswith(f"vb-hwf{number}-")),
        *groups,
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_fleet_by_hand_is_reached_as_it_says_and_leaves_nothing(
    fleet: Fleet, repository: Path, number: signal.Signals
) -> None:
    """`make fleet` shows a command that opens the host, and removes everything when it is told to end."""
    with by_hand(repository) as (process, ssh, name):
        done = subprocess.run([*ssh, "hostname"], capture_output=True, text=True, timeout=60)
        assert done.stdout == "host1\n", done.stderr
        assert left_of(name) != []
        process.send_signal(number)
        assert process.wait(60) == 0
        assert left_of(name) == []


def test_what_a_killed_fleet_leaves_is_removed_by_the_next(fleet: Fleet, repository: Path) -> None:
    """SIGKILL leaves its hosts running; whoever makes the next fleet ends them."""
    with by_hand(repository) as (process, ssh, name):
        process.kill()
        process.wait()
        assert subprocess.run([*ssh, "true"], timeout=60).returncode == 0
        with another_fleet(repository) as next_one:
            assert str(next_one.number) == name or left_of(name) == []
            assert not (RUNS / name / "host1").exists()
            assert subprocess.run([*ssh, "true"], capture_output=True, timeout=60).returncode == 255
