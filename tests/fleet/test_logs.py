"""Logs and backups are watched under a real systemd, in the sandboxes of their units."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec

from agent.logs.watch.status import Status
from tests.fleet.homes import until
from tests.fleet.host import Host

CONFIGURATION = """
[[logs]]
name = "shop"
paths = ["/var/log/shop/*.log"]
size = "64KiB"
budget = "1GiB"
units = ["shop.service"]
owner = "www-data"
then = { reload = "shop.service" }

[[logs]]
name = "elsewhere"
paths = ["/srv/elsewhere.log"]
size = "64KiB"
"""
ARCHIVE = """
[[logs]]
name = "kept"
paths = ["/srv/kept/a.log"]
count = 0
archive = "archive"
[backups.archive]
repository = "/srv/archive"
password_file = "/etc/hostward/password"
paths = ["/etc/hostname"]
"""
SHOP = """\
[Service]
ExecStart=/bin/sh -c 'while :; do echo the shop is open; sleep 0.1; done'
ExecReload=/usr/bin/touch /run/shop.reloaded
"""
FILL = "yes 0123456789012345678901234567890123456789 | head -c 100000 >> {path}"
STATUS = "/var/lib/hostward-logs/status.json"


def told(host: Host) -> Status:
    done = host.run(f"cat {STATUS}", check=False)
    return msgspec.json.decode(done.stdout, type=Status) if done.stdout else Status()


def test_logs_are_rotated_by_the_unit(host: Host, repository: Path) -> None:
    """By size, with the rights and the programs that this takes; elsewhere it may not write, and says so, which the
    agent tells. Where it may, it archives, too. The journal's part is known by unit."""
    host.run("systemctl start hostward-logs")
    assert host.run("systemctl is-active hostward-logs", check=False).stdout == "inactive\n", "there is no rule"
    host.write("/etc/hostward/agent.toml", CONFIGURATION)
    host.write("/etc/systemd/system/shop.service", SHOP)
    host.run("systemctl daemon-reload && systemctl start shop")
    host.run("mkdir /var/log/shop && echo begun > /var/log/shop/shop.log")
    enabled, *usage = commands(repository)
    host.run(enabled)
    assert host.run("systemctl is-active hostward-logs").stdout == "active\n"

    host.run(FILL.format(path="/var/log/shop/shop.log"))
    packed = "ls /var/log/shop/shop.log-*.zst"
    until(lambda: host.run(packed, check=False).returncode == 0, "the old log is compressed")
    assert host.run("stat -c '%U %s' /var/log/shop/shop.log").stdout == "www-data 0\n"
    assert host.run("test -e /run/shop.reloaded").returncode == 0
    until(lambda: told(host).rules["shop"].rotations == 1, "it is told")
    until(lambda: told(host).rules["shop"].journal.get("shop.service", 0) > 0, "the journal was read")

    host.run(FILL.format(path="/srv/elsewhere.log"))
    until(lambda: "Read-only file system" in told(host).rules["elsewhere"].trouble, "it may not write there")
    host.run("systemctl start hostward-agent", timeout=120)
    until(lambda: check(host).startswith("elsewhere: "), "the agent tells of it")
    host.write("/etc/systemd/system/hostward-logs.service.d/srv.conf", "[Service]\nReadWritePaths=/srv\n")
    host.write("/etc/hostward/agent.toml", CONFIGURATION + ARCHIVE)
    host.write("/etc/hostward/password", "secret\n", 0o600)
    host.run("hostward backup init --job archive", timeout=120)
    host.run("mkdir /srv/kept && touch /srv/kept/a.log && echo old > /srv/kept/a.log-20260101-000000.zst")
    host.run("systemctl daemon-reload && systemctl restart hostward-logs")
    until(lambda: told(host).rules["elsewhere"].rotations == 1, "now it may write there")
    until(lambda: host.run("ls /srv/kept").stdout == "a.log\n", "the old log went into the archive")
    assert len(host.run("ls /srv/archive/snapshots").stdout.split()) == 1
    for command in usage:
        shown = host.run(command.partition(" | ")[0]).stdout
    found = json.loads(shown)
    assert found["units"]["shop.service"] > 0
    assert found["journal"] >= sum(found["units"].values())

    said = host.run("systemd-analyze security --no-pager hostward-logs", check=False).stdout
    score = re.search(r"Overall exposure level for hostward-logs.service: ([0-9.]+)", said)
    assert score is not None, said
    assert float(score[1]) <= 2.2
    host.run("systemctl reload hostward-logs && systemctl stop hostward-logs")
    assert host.run("systemctl show -P Result hostward-logs").stdout == "success\n"


def commands(repository: Path) -> list[str]:
    """Those of docs/logs.md on watching, block by block."""
    page = (repository / "docs/logs.md").read_text()
    section = page.partition("\n## By event\n")[2].partition("\n## ")[0]
    enable, usage = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return [enable, *usage.splitlines()]


def check(host: Host) -> str:
    """What the agent says of the rotation."""
    done = host.run("hostward status --json", check=False)
    found = {one["name"]: one for one in json.loads(done.stdout)["checks"]} if done.stdout else {}
    return str(found.get("rotation", {}).get("message", ""))


def test_a_backup_s_folders_are_watched_by_the_unit(host: Host) -> None:
    """A run asks it, and scans only what changed."""
    host.write("/etc/hostward/password", "secret\n", 0o600)
    host.write(
        "/etc/hostward/agent.toml",
        '[backups.etc]\nrepository = "/srv/backup"\npassword_file = "/etc/hostward/password"\n'
        'paths = ["/etc"]\nwatch = true\n',
    )
    host.run("hostward backup init --job etc && systemctl start hostward-backup-watch@etc", timeout=120)
    assert host.run("systemctl is-active hostward-backup-watch@etc").stdout == "active\n"
    host.run("hostward backup run etc", timeout=120)
    host.run("echo new > /etc/hostward/new")
    done = host.run("hostward backup run etc", timeout=120)
    assert re.search("^scanning [1-9][0-9]* folders in which something changed", done.stdout), done.stdout
    host.run("systemctl stop hostward-backup-watch@etc")
    assert host.run("systemctl show -P Result hostward-backup-watch@etc").stdout == "success\n"
