"""Installing with a driver and uninstalling, where systemd runs the units."""

from __future__ import annotations

from pathlib import Path

from tests.fleet import layers
from tests.fleet.homes import UNIT, until
from tests.fleet.host import Host

SOURCE = "/usr/src/hostward"
UNITS = "for kind in units unit-files; do systemctl list-$kind --all --plain --no-legend 'hostward-*'; done; true"
DRIVERS = 'for name in redis psycopg pymysql dns; do {python} -c "import $name" 2>/dev/null && echo $name; done; true'


def test_what_was_installed_and_ran_is_gone_when_it_is_uninstalled(host: Host, repository: Path) -> None:
    """With one driver alone; units, programs, links and processes go, and what is the administrator's stays."""
    version, prefix = layers.version(repository), f"/{layers.PREFIX}"
    layers.copy(repository, host.root / SOURCE.lstrip("/"))
    uninstall = f"cd {SOURCE} && ./systemd/uninstall.sh {prefix}"
    host.run(uninstall)
    assert host.run(UNITS).stdout == ""

    host.run(layers.install(SOURCE, version, ["redis"]), timeout=300)
    assert host.read(f"{prefix}/current/extras") == "redis\n"
    assert host.run(DRIVERS.format(python=f"{prefix}/current/bin/python")).stdout.split() == ["redis"]
    host.write(
        "/etc/hostward/agent.toml", '[jobs.long]\ncommand = ["sleep", "9881"]\nevery = "1s"\nprivileged = {}\n'
    )
    host.run(f"systemctl enable --now hostward-jobs.socket {UNIT}", timeout=120)
    until(lambda: host.run("pgrep -f 'sleep 9881$'", check=False).returncode == 0, "the privileged job runs")

    said = host.run(uninstall, timeout=120).stdout
    assert "hostward is uninstalled" in said
    until(lambda: host.run(UNITS).stdout == "", "the last units are gone")
    assert host.run("pgrep -f '[s]leep 9881|/opt/[h]ostward'", check=False).stdout == ""
    for gone in (prefix, "/usr/local/bin/hostward", "/run/hostward-jobs.sock"):
        assert host.run(["test", "-e", gone], check=False).returncode == 1, gone
    assert host.run("find /etc/systemd/system -name '*hostward*'").stdout == ""
    for kept in ("/etc/hostward/agent.toml", "/var/lib/hostward/agent.db"):
        host.run(["test", "-e", kept])
    assert host.run(uninstall).returncode == 0, "doing it again is no mistake"
