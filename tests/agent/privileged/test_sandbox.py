"""The sandbox is closed, and each entry of the table opens one thing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent.config.load import load
from agent.privileged.options import Privileged
from agent.privileged.sandbox import FOR_SNAPSHOTS, for_snapshots, properties, systemd_run, unit_name
from kit.errors import ConfigurationError
from tests.require import require_program


def found(**options: Any) -> dict[str, str]:
    """The properties with these entries of the table."""
    return properties(Privileged(**options), timeout=60)


def opened(**options: Any) -> dict[str, str]:
    """What is another with these entries than with none."""
    closed = found()
    return {key: value for key, value in found(**options).items() if closed.get(key) != value}


def test_the_empty_table_opens_nothing() -> None:
    """Root without a capability, a network, a device or a place to write."""
    closed = found()
    assert closed["User"] == "root"
    assert closed["CapabilityBoundingSet"] == closed["AmbientCapabilities"] == ""
    assert closed["ProtectSystem"] == "strict"
    assert closed["PrivateNetwork"] == closed["PrivateDevices"] == closed["NoNewPrivileges"] == "yes"
    assert closed["RestrictAddressFamilies"] == "AF_UNIX"
    assert "ReadWritePaths" not in closed


def test_each_entry_opens_what_it_names() -> None:
    """And nothing beside it."""
    assert opened(user="postgres") == {"User": "postgres"}
    assert opened(writable=("/var/log", "/srv/a")) == {"ReadWritePaths": "/var/log /srv/a"}
    assert opened(tasks_max=9) == {"TasksMax": "9"}
    assert opened(devices=("/dev/sda",)) == {"PrivateDevices": "no"}
    assert opened(network=True) == {
        "PrivateNetwork": "no",
        "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    }
    assert opened(capabilities=("CAP_CHOWN",)) == {"CapabilityBoundingSet": "CAP_CHOWN"}


def test_another_user_is_given_the_capabilities() -> None:
    """The bounding set alone would leave it without."""
    both = opened(user="backup", capabilities=("CAP_DAC_READ_SEARCH",))
    assert both["AmbientCapabilities"] == both["CapabilityBoundingSet"] == "CAP_DAC_READ_SEARCH"


def test_a_capability_is_of_use() -> None:
    """What would take it away again is opened with it, and the system calls that it is for."""
    clock = opened(capabilities=("CAP_SYS_TIME",))
    assert clock["ProtectClock"] == "no"
    assert clock["SystemCallFilter"] == "@system-service @clock"
    becoming = opened(capabilities=("CAP_SETUID", "CAP_SETGID"))
    assert becoming == {"CapabilityBoundingSet": "CAP_SETUID CAP_SETGID CAP_KILL"}, "what it started is ended by it"
    mounting = opened(capabilities=("CAP_SYS_ADMIN",))
    assert mounting["RestrictNamespaces"] == "mnt" and "@mount" in mounting["SystemCallFilter"]


def test_a_jobs_limits_are_the_units() -> None:
    """They hold for all of its processes together."""
    made = properties(Privileged(), timeout=0.5, nice=7, idle_io=True, memory_max=2**26)
    assert made["Nice"] == "7"
    assert made["IOSchedulingClass"] == "idle"
    assert made["MemoryMax"] == "67108864"
    assert int(made["RuntimeMaxSec"]) > 0.5


def test_a_unit_has_one_name_for_all_runs() -> None:
    """So systemd refuses a second one; an instance's @ would make it another kind of unit."""
    assert unit_name("job", "rotate") == "hostward-job-rotate.service"
    assert unit_name("check", "pg@main") == r"hostward-check-pg\x40main.service"
    escape = shutil.which("systemd-escape")
    if escape:
        told = subprocess.run([escape, "pg@main"], capture_output=True, text=True, check=True).stdout.strip()
        assert unit_name("check", "pg@main") == f"hostward-check-{told}.service"


@pytest.mark.parametrize("freezes", [False, True])
def test_systemd_knows_every_property(tmp_path: Path, freezes: bool) -> None:
    """Written as a unit's file it has nothing to complain of."""
    program = require_program("systemd-analyze")
    capabilities = ("CAP_SYS_TIME", "CAP_SYS_ADMIN", "CAP_NET_RAW", "CAP_MKNOD", "CAP_SYS_MODULE", "CAP_SYS_RAWIO")
    table = Privileged(writable=("/var",), network=True, devices=("/dev/null",), capabilities=capabilities)
    table = for_snapshots(table) if freezes else table
    made = properties(table, timeout=60, nice=5, idle_io=True, memory_max=2**26)
    made.update(FOR_SNAPSHOTS if freezes else {})
    lines = [f"{key}={value}" for key, value in made.items()]
    lines += [f"DeviceAllow={device} rw" for device in table.devices]
    unit = tmp_path / "hostward-job-all.service"
    unit.write_text("[Service]\nType=exec\nExecStart=/bin/true\n" + "\n".join(lines) + "\n")
    done = subprocess.run([str(program), "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_ties_the_run_to_who_asked() -> None:
    """When that unit ends, this one does; what is run stands behind everything that systemd-run could take for its
    own."""
    words = systemd_run("hostward-job-a.service", "caller@1.service", found(), ["/dev/sda"], ["python", "-I"])
    assert "--property=BindsTo=caller@1.service" in words
    assert "--property=After=caller@1.service" in words
    assert "--property=DeviceAllow=/dev/sda rw" in words
    assert words[words.index("--") :] == ["--", "python", "-I"]


@pytest.mark.parametrize(
    "entry",
    [
        'user = "Root User"',
        'user = "0"',
        'writable = ["var/log"]',
        'writable = ["/var/log /etc"]',
        'writable = ["/var/%n"]',
        'writable = ["-/var/log"]',
        'devices = ["/etc/passwd"]',
        'capabilities = ["chown"]',
        'capabilities = ["CAP_CHOWN CAP_SYS_ADMIN"]',
        "tasks_max = 1",
        'network = "yes"',
        'properties = ["User=root"]',
    ],
)
def test_what_systemd_could_misread_is_a_mistake(tmp_path: Path, entry: str) -> None:
    """Of the configuration, with its place."""
    file = tmp_path / "agent.toml"
    file.write_text(f'[jobs.a]\ncommand = ["id"]\nevery = "1h"\n[jobs.a.privileged]\n{entry}\n')
    with pytest.raises(ConfigurationError, match=r"agent\.toml:5"):
        load(file)
