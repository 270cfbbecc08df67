"""Hosts switch from logrotate to us and back."""

from __future__ import annotations

from tests.deploys.conftest import Run
from tests.deploys.support import changes
from tests.fleet.host import Host

STATE = "/var/lib/logrotate/status"
MISTAKE = "/etc/logrotate.d/mistake"
RULE = """\
[[logs]]
name = "shop"
paths = ["/var/log/shop/*.log"]
"""


def rotates(host: Host) -> str:
    """What the unit starts."""
    return host.run("systemctl show --property=ExecStart --value logrotate.service").stdout


def result(host: Host) -> str:
    """How its last run ended."""
    return host.run("systemctl show --property=Result --value logrotate.service").stdout.strip()


def test_a_host_switches_to_us_and_back_with_its_state(served: Host, on_served: Run) -> None:
    """Each way twice, and a run of ours that was killed is finished before logrotate takes over."""
    host = served
    host.run(f"systemctl start logrotate.service && sed -i 's/2026-[0-9-]*:/2026-1-2-3:/' {STATE}")
    known = host.run(f"cut -d '\"' -f 2 {STATE} | sort").stdout
    assert changes(on_served("logs", {})) == 1
    assert "hostward logrotate" in rotates(host)
    assert result(host) == "success"
    assert set(known.split()) <= set(host.run(f"cut -d '\"' -f 2 {STATE}").stdout.split())
    assert changes(on_served("logs", {})) == 0

    host.write("/etc/hostward/agent.d/logs.toml", RULE)
    try:
        assert changes(on_served("logs", {"watch": True})) == 1
        assert host.run("systemctl is-active hostward-logs.service").stdout == "active\n"
        assert changes(on_served("logs", {"watch": True})) == 0
        host.run("touch /var/lib/logrotate/status.journal")
        back = {"rotated_by": "logrotate", "watch": False}
        assert changes(on_served("logs", back)) == 2
        assert "/usr/sbin/logrotate" in rotates(host)
        assert result(host) == "success"
        host.run("test ! -e /var/lib/logrotate/status.journal")
        assert host.run("systemctl is-active hostward-logs.service", check=False).stdout == "inactive\n"
        assert changes(on_served("logs", back)) == 0
    finally:
        host.run("rm -f /etc/hostward/agent.d/logs.toml")


def test_a_host_that_cannot_switch_stays_with_who_rotated_before(served: Host, on_served: Run) -> None:
    """A mistake in the configuration is found first; a unit that fails with us is given back."""
    host = served
    on_served("logs", {"rotated_by": "logrotate"})
    host.write(MISTAKE, "/var/log/syslog {\n    rotate never\n}\n")
    try:
        done = on_served("logs", {}, check=False)
    finally:
        host.run(f"rm {MISTAKE}")
    assert done.returncode == 1
    assert "/etc/logrotate.conf cannot be taken over as it is: error: " in done.stdout + done.stderr
    assert "(left alone)" in done.stdout + done.stderr

    # What comes after our drop-in in systemd's order is not ours to outdo.
    later = "/etc/systemd/system/logrotate.service.d/zz.conf"
    host.write(later, "[Service]\nExecStart=\nExecStart=/bin/false\n")
    try:
        done = on_served("logs", {}, check=False)
    finally:
        host.run(f"rm {later} && systemctl daemon-reload")
    assert done.returncode == 1
    assert "logrotate rotates as before (rolled back)" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "/usr/sbin/logrotate" in rotates(host)
