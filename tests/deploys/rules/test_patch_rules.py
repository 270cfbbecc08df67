"""What is judged before and after a patch."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from deploys.facts.services import Stale, parse_services, parse_stale
from deploys.rules.backups import Backup, due
from deploys.rules.preconditions import excluded
from deploys.rules.restart_order import Restarts, plan
from deploys.rules.services import Service, expected, failed, missing
from deploys.rules.soak import worse
from wire.report import SEVERITY, State

states = st.dictionaries(st.sampled_from("abc"), st.sampled_from(SEVERITY))


@settings(max_examples=40)
@given(states, states)
def test_a_check_is_worse_only_when_it_is_more_severe_than_before(
    before: dict[str, State], after: dict[str, State]
) -> None:
    """One that was not there was well."""
    more = [name for name in after if SEVERITY.index(after[name]) > SEVERITY.index(before.get(name, "ok"))]
    assert [line.partition(":")[0] for line in worse(before, after)] == sorted(more)
    assert worse(after, after) == []
    assert worse(before, after, ["*"]) == []


def test_services_are_missed_that_ran_and_do_not_and_those_that_newly_fail() -> None:
    """What is started when it is needed may rest."""
    running = Service("active", "running", "enabled")
    before = {
        "web.service": running,
        "byhand.service": Service("active", "running", "disabled"),
        "socket.service": Service("active", "running", "enabled", triggered=True),
        "bus.service": Service("active", "running", "static"),
        "old.service": Service("failed", "failed", "enabled"),
    }
    ran = expected(before)
    assert ran == {"byhand.service": False, "web.service": True}
    assert failed(before) == ["old.service"]
    assert missing(ran, failed(before), before, rebooted=False) == []
    now = {
        "web.service": Service("activating", "auto-restart", "enabled"),
        "old.service": Service("failed", "failed", "enabled"),
        "new.service": Service("failed", "failed", "static"),
    }
    assert missing(ran, failed(before), now, rebooted=False) == [
        "byhand.service is inactive",
        "new.service is failed",
        "web.service is activating",
    ]
    assert missing(ran, failed(before), {"web.service": running}, rebooted=True) == []


def test_services_are_restarted_in_the_administrators_order() -> None:
    """What would take the host with it waits for a reboot; what is to be kept is; sessions end by themselves."""
    units = [
        "web.service",
        "db.service",
        "cache.service",
        "dbus.service",
        "user@0.service",
        "session-3.scope",
        "vpn.service",
    ]
    assert plan(units, ["db*", "cache*"], ["vpn*"]) == Restarts(
        ("db.service", "cache.service", "web.service"), ("dbus.service",), ("vpn.service",)
    )


def test_backups_are_due_that_are_old_or_unverified() -> None:
    """Verified ones count only where that is wanted."""
    fresh = Backup("fresh", True, None, 95.0, 95.0)
    unverified = Backup("unverified", True, None, 95.0, None)
    old = Backup("old", True, None, 80.0, 95.0)
    jobs = [fresh, unverified, old]
    assert due(jobs, now=100.0, max_age=10.0, verified=True) == ["unverified", "old"]
    assert due(jobs, now=100.0, max_age=10.0, verified=False) == ["old"]


def test_a_package_that_is_excluded_and_changes_all_the_same_is_told() -> None:
    """For another one needs it newer."""
    assert excluded(["shop", "libshop"], ["lib*"]) == [
        "libshop is excluded, and what shall be installed needs a newer one"
    ]


def test_what_systemd_and_processes_say_is_read() -> None:
    """Blocks of systemctl show; lines of /proc/PID/cgroup."""
    said = "Id=a.service\nActiveState=active\nSubState=running\nUnitFileState=enabled\nTriggeredBy=a.socket"
    said += "\n\nId=b.service\n"
    assert parse_services(said.splitlines()) == {
        "a.service": Service("active", "running", "enabled", triggered=True),
        "b.service": Service("", ""),
    }
    lines = ["0::/system.slice/web.service", "0::/user.slice/user-0.slice/session-1.scope", "0::/", "reboot"]
    assert parse_stale(lines) == Stale(("session-1.scope", "web.service"), reboot=True)
    assert parse_stale([]) == Stale((), reboot=False)
    kernels = "kernels 5.14.0-284.el9_2.x86_64 vmlinuz-5.14.0-362.8.1.el9_3.x86_64"
    assert parse_stale([kernels]) == Stale((), reboot=True)
    assert parse_stale(["kernels", "kernels 6.1.0-18-amd64 vmlinuz-6.1.0-9-amd64"]) == Stale((), reboot=False)
