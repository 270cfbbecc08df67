"""Hosts are patched, and put back."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from tests.deploys.apt import STARTS_NOT, WORKS, Package, Repository
from tests.deploys.support import BIN, REPOSITORY, by_sudo, changes, connection, deploy, environment, inventory
from tests.fleet.fleet import Fleet
from tests.fleet.host import Host

FOLDER = "/var/lib/hostward-deploys/patch"
AGENT = """\
[checks.systemd]
every = "1s"

[backups.files]
repository = "/srv/backup"
init = true
password_file = "/etc/hostward/backup.password"
paths = ["/etc/hostward"]
verify = true
"""
PATCH = {
    "select": "all",
    # What the load of the machine under the hosts decides is left out.
    "ignore_checks": ["updates", "network", "backup*", "cpu", "memory", "pressure", "disk*"],
    "soak": {"samples": 2, "every": 0.5, "limit": 60.0},
}

NAPPER = """\
cp /bin/sleep /usr/bin/napper
printf '[Service]\\nExecStart=/usr/bin/napper infinity\\n' >/etc/systemd/system/napper.service
systemctl daemon-reload && systemctl start napper
cp /bin/sleep /usr/bin/napper.new && mv /usr/bin/napper.new /usr/bin/napper
"""
"""A service whose program was replaced since it was started."""


@pytest.fixture
def host(fleet: Fleet) -> Iterator[Host]:
    """A host whose agent runs and has a backup job that never ran."""
    with fleet.hosts(1) as [host]:
        host.write("/etc/hostward/agent.toml", AGENT)
        host.write("/etc/hostward/backup.password", "secret\n", 0o600)
        host.run("systemctl enable --now hostward-agent", timeout=120)
        yield host


@pytest.fixture
def packages(tmp_path: Path) -> Repository:
    """With the packages that `install` installs, and no newer ones."""
    made = Repository(tmp_path / "repository")
    for package in (
        Package("shop", "1.0", service=WORKS),
        Package("library", "1.0"),
        Package("held", "1.0"),
        Package("slow", "1.0"),
        Package("settings", "1.0", conffiles={"/etc/settings.ini": "a = 1\n"}),
    ):
        made.add(package)
    return made


def install(host: Host, packages: Repository) -> None:
    """Give the host the first versions; one is held, a file of one is changed."""
    packages.give(host)
    host.run("apt-get install -qq shop library held slow settings && apt-mark hold held && apt-mark auto library")
    host.write("/etc/settings.ini", "a = mine\n")


def versions(host: Host) -> dict[str, str]:
    """Of the packages of ours, whatever state they are in, which is told for those that are not whole."""
    words = (
        "dpkg-query -W -f '${Package} ${db:Status-Abbrev}${Version}\\n' shop library held slow settings dependency"
    )
    found = dict(line.split(maxsplit=1) for line in host.run(words, check=False).stdout.splitlines())
    return {name: version.removeprefix("ii ").removeprefix("hi ") for name, version in found.items()}


def last(host: Host) -> dict[str, Any]:
    """What is on record on the host of its last patch."""
    found: dict[str, Any] = json.loads(host.read(f"{FOLDER}/last.json"))
    return found


def test_a_host_is_backed_up_patched_rebooted_and_soaks(host: Host, packages: Repository, tmp_path: Path) -> None:
    """Held packages and those of a later phase stay, changed files are kept, a plan changes nothing, and neither does
    a second run.
    """
    install(host, packages)
    packages.add(Package("shop", "1.1", service=WORKS, depends="dependency"), suite="stable-security")
    packages.add(Package("dependency", "1.0"))
    packages.add(Package("library", "1.1", postinst="touch /run/reboot-required"))
    packages.add(Package("held", "1.1"))
    packages.add(Package("held", "1.0.1"), suite="stable-security")
    packages.add(Package("settings", "1.0.1", conffiles={"/etc/settings.ini": "a = 1\n"}), suite="stable-security")
    # Of a hundred hosts one would have it at 0 % already.
    host.write("/etc/apt/apt.conf.d/90machine", f'APT::Machine-ID "{"1" * 32}";\n')
    packages.add(Package("slow", "1.1", phased=0))
    packages.add(Package("settings", "1.1", conffiles={"/etc/settings.ini": "a = 2\n"}))
    packages.give(host)
    before = versions(host)
    hosts = inventory(tmp_path / "inventory.py", [host], data={"patch": PATCH})

    planned = deploy(hosts, "patch", "--dry", "--data", "patch.select=security")
    # Also what a newer version hides that is not for security.
    assert "to update: dependency none to 1.0, settings 1.0 to 1.0.1, shop 1.0 to 1.1" in planned.stderr
    assert "library" not in planned.stderr
    assert versions(host) == before
    assert host.run(["test", "-e", FOLDER], check=False).returncode == 1

    boot = host.boot_id()
    done = deploy(hosts, "patch", "--data", "patch.reboot=true")
    assert changes(done) == 1
    for line in ("held, and stays as it is: held", "not yet for this host: slow", "backup files", "soak 2 of 2"):
        assert line in done.stderr
    after = {"shop": "1.1", "library": "1.1", "held": "1.0", "slow": "1.0", "settings": "1.1", "dependency": "1.0"}
    assert versions(host) == after
    assert host.boot_id() != boot
    assert host.read("/etc/settings.ini") == "a = mine\n"
    assert host.run("systemctl is-active shop").stdout == "active\n"
    assert host.run("apt-mark showauto library dependency shop").stdout.split() == ["dependency", "library"]
    jobs = json.loads(host.run("hostward backup status --json").stdout)["jobs"]
    assert jobs[0]["last_verified"] is not None
    assert last(host)["outcome"] == "done"
    assert last(host)["before"]["dependency"] is None

    again = deploy(hosts, "patch", "--data", "patch.reboot=true")
    assert changes(again) == 0


def test_a_host_is_put_back_as_it_was(host: Host, packages: Repository, tmp_path: Path) -> None:
    """When a package cannot be configured, when a service does not come back; and when the machine of the
    administrator is killed, a rerun brings to its end what went on without it.
    """
    install(host, packages)
    before = versions(host)
    wanted = {**PATCH, "backup": {"jobs": []}}
    hosts = inventory(tmp_path / "inventory.py", [host], data={"patch": wanted})

    packages.add(Package("library", "1.1", postinst="echo is not good; exit 1", depends="dependency"))
    packages.add(Package("dependency", "1.0"))
    packages.add(Package("settings", "1.1", depends="library (>= 1.1)"))
    packages.give(host)
    refused = deploy(hosts, "patch", "--data", 'patch.free={"/": 1000000000000000}', check=False)
    assert "is left alone: / has " in refused.stderr
    assert refused.returncode == 1
    assert host.run(["test", "-e", FOLDER], check=False).returncode == 1
    failed = deploy(hosts, "patch", check=False)
    assert failed.returncode == 1
    assert "dpkg: error processing package library (--configure): installed library package post" in failed.stderr
    assert "(rolled back)" in failed.stderr
    assert versions(host) == before
    assert host.run("dpkg --audit; apt-mark showauto library").stdout == "library\n"
    assert host.read("/etc/settings.ini") == "a = mine\n"
    assert last(host)["outcome"] == "rolled_back"
    for name in ("library", "settings"):
        packages.remove(name, "1.1")

    packages.add(Package("shop", "1.1", service=STARTS_NOT))
    packages.give(host)
    failed = deploy(hosts, "patch", check=False)
    assert "shop.service is failed" in failed.stderr, failed.stderr
    assert "(rolled back)" in failed.stderr, failed.stderr
    assert versions(host) == before
    assert host.run("systemctl is-active shop").stdout == "active\n"
    packages.remove("shop", "1.1")

    host.run(NAPPER)
    packages.add(Package("library", "1.2", postinst="while [ ! -e /run/go-on ]; do sleep 0.1; done"))
    packages.give(host)
    killed = start(hosts)
    try:
        until(host, "systemctl is-active hostward-patch")
        refused = deploy(hosts, "patch", check=False)
        assert "is left alone: somebody else is at work on it: patch by " in refused.stderr
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    other = {**connection(host), "patch": {**wanted, "refresh": False}}
    host.run("touch /run/go-on")
    resumed = deploy(inventory(tmp_path / "again.py", [host], each={host.name: other}), "patch")
    assert "finds a patch that is installing" in resumed.stderr
    assert "restarts napper.service" in resumed.stderr
    assert "(deleted)" not in host.run("ls -l /proc/$(systemctl show --value -p MainPID napper)/exe").stdout
    assert versions(host) == {**before, "library": "1.2"}
    assert last(host)["outcome"] == "done"
    assert host.run(["test", "-e", f"{FOLDER}/record.json"], check=False).returncode == 1


def test_a_lock_that_is_held_and_connections_that_are_lost(host: Host, packages: Repository, tmp_path: Path) -> None:
    """Another package manager is waited for, and then left to its work; what was begun goes on without us.
    By a user who becomes root by sudo, twice."""
    install(host, packages)
    before = versions(host)
    wanted = {**PATCH, "backup": {"jobs": []}, "lock_wait": 3}
    hosts = inventory(tmp_path / "hosts.py", [host], data={"patch": wanted}, each={host.name: by_sudo(host)})
    packages.add(Package("library", "1.1", postinst="while [ ! -e /run/go-on ]; do sleep 0.1; done"))
    packages.give(host)
    host.run(f"systemd-run --quiet --unit=another python3 -c {shlex.quote(HOLDS_LOCK)}; sleep 1")
    held = deploy(hosts, "patch", check=False)
    assert "is another process using it? (left alone)" in held.stderr
    assert versions(host) == before
    host.run("systemctl stop another")
    lost = tmp_path / "said"
    with lost.open("wb") as log, start(hosts, log) as going:
        until(host, "systemctl is-active hostward-patch")
        host.run("systemd-run --quiet sh -c 'sleep 0.3; pkill -f \"sshd: admin@\"'", check=False)
        assert going.wait(120) == 1
    assert "the connection was lost: " in lost.read_text()
    until(host, "touch /run/go-on")
    again = deploy(hosts, "patch")
    assert "finds a patch that is installing" in again.stderr
    assert versions(host) == {**before, "library": "1.1"}
    assert changes(deploy(hosts, "patch")) == 0


HOLDS_LOCK = """
import fcntl, time
lock = open("/var/lib/dpkg/lock-frontend", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
time.sleep(600)
"""


def start(hosts: Path, log: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    """Patch the hosts in a process of its own, with all that it starts."""
    return subprocess.Popen(
        [str(BIN / "pyinfra"), str(hosts), "deploys/patch.py", "-y"],
        cwd=REPOSITORY,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=log or subprocess.DEVNULL,
        stderr=log or subprocess.DEVNULL,
        start_new_session=True,
    )


def until(host: Host, line: str) -> None:
    """Wait until a line of sh succeeds on the host."""
    end = time.monotonic() + 60
    while host.run(line, check=False).returncode != 0:
        assert time.monotonic() < end, line
        time.sleep(0.1)
