"""The hosts themselves: that they are what other tests take them for."""

from __future__ import annotations

from tests.fleet.fleet import Fleet
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
    one.run(["python3", "-c", f"import socket; socket.create_connection(('{other.address}', 22), 5)"])


def test_a_host_that_reboots_keeps_what_it_had(host: Host) -> None:
    """It is the same host in a new boot."""
    host.write("/etc/kept", "as it was\n")
    before = host.boot_id(), host.read("/etc/machine-id")
    host.reboot()
    assert host.read("/etc/kept") == "as it was\n"
    assert (host.boot_id() == before[0], host.read("/etc/machine-id") == before[1]) == (False, True)
