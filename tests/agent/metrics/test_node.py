"""The host under node_exporter's names, beside the real node_exporter."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import pytest

from agent.metrics import registry
from agent.metrics.files import NoDataError
from agent.metrics.node import filesystem, mdadm, netdev, os_release
from agent.metrics.scrape import Scraper
from agent.metrics.text import encode
from agent.metrics.told import Told
from agent.paths import System
from tests.agent.checks.tree import tree
from tests.agent.metrics.exporter import Shown, families, node_exporter
from tests.agent.metrics.host import furnished

STILL = {
    *("node_boot_time_seconds", "node_memory_MemTotal_bytes", "node_filesystem_size_bytes", "node_uname_info"),
    *("node_os_info", "node_os_version", "node_disk_info", "node_network_info", "node_network_mtu_bytes"),
    *("node_filesystem_readonly", "node_filesystem_files", "node_filesystem_device_error", "node_network_flags"),
    *("node_time_clocksource_current_info", "node_timex_tick_seconds", "node_timex_status", "node_filefd_maximum"),
    *("node_time_zone_offset_seconds", "node_selinux_enabled", "node_nf_conntrack_entries_limit"),
}
"""Gauges that nothing moves between two scrapes."""
SLACK = 1.0
"""By which idle and iowait may go back: the kernel reckons them, and node_exporter hides that."""
OURS_ALONE = ("hostward_", "process_", "node_scrape_")
OTHER = ("go_", "process_", "promhttp_", "node_exporter_", "node_scrape_", "node_textfile_")


def shown(system: System, folder: Path) -> dict[str, Shown]:
    """Ours, without what is about the agent."""
    text = encode(Scraper().scrape(Told(system, folder, "1"))).decode()
    return {
        name: each for name, each in families(text).items() if not name.startswith((*OURS_ALONE, "node_textfile"))
    }


def test_all_that_node_exporter_shows_of_this_host_is_shown_as_it_shows_it(tmp_path: Path) -> None:
    """The same families, types, help and series; each counter between two scrapes of the real one."""
    with node_exporter(tmp_path) as exporter:
        before = families(exporter.text())
        ours = shown(System(), tmp_path)
        after = families(exporter.text())
    expected = {name for name in before.keys() & after.keys() if not name.startswith(OTHER)}
    assert expected <= ours.keys()
    assert ours.keys() <= before.keys() | after.keys()
    assert len(expected) > 200
    for name in sorted(expected):
        first, found, last = before[name], ours[name], after[name]
        assert (found.type, found.help) == (first.type, first.help), name
        assert first.values.keys() & last.values.keys() <= found.values.keys(), name
        assert found.values.keys() <= first.values.keys() | last.values.keys(), name
        for series in first.values.keys() & last.values.keys():
            value = found.values[series]
            if found.type == "counter":
                assert first.values[series] - SLACK <= value <= last.values[series] + SLACK, series
            elif name in STILL:
                assert value == first.values[series], series


def test_a_host_with_rare_hardware_is_shown_as_node_exporter_shows_it(tmp_path: Path) -> None:
    """RAID in all its states, bonds, sensors, throttling, udev, NVMe, memory errors: each value, label and help."""
    root = tmp_path / "root"
    root.mkdir()
    paths = (f"--path.procfs={root}/proc", f"--path.sysfs={root}/sys", f"--path.udev.data={root}/run/udev/data")
    ours = shown(furnished(root), tmp_path)
    with node_exporter(tmp_path, *paths, f"--path.rootfs={root}") as exporter:
        theirs = families(exporter.text())
    moving = ("node_time_seconds", "node_timex_")
    # It asks the kernel for the network's counters whatever the path.
    expected = {
        name for name in theirs if not name.startswith((*OTHER, "node_network_receive", "node_network_transmit"))
    }
    assert ours.keys() == expected
    assert {"node_md_disks", "node_hwmon_temp_celsius", "node_bonding_active", "node_nvme_info"} <= expected
    for name in sorted(expected):
        assert (ours[name].type, ours[name].help) == (theirs[name].type, theirs[name].help), name
        assert ours[name].values.keys() == theirs[name].values.keys(), name
        if not name.startswith(moving):
            for series, value in theirs[name].values.items():
                assert math.isclose(ours[name].values[series], value, rel_tol=1e-12), series


@pytest.mark.parametrize("name", registry.NODE)
def test_a_host_that_lacks_everything_costs_a_collector_nothing_but_its_success(name: str, tmp_path: Path) -> None:
    """It says so by the error of a file that is not there, or that there is no data."""
    with contextlib.suppress(NoDataError, FileNotFoundError):
        assert all(family.name.startswith("node_") for family in registry.node(name)(System(tmp_path)))


def test_a_file_system_that_may_hang_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is shown as one whose figures cannot be had; its neighbours have theirs."""
    asked: list[str] = []
    real = filesystem.os.statvfs

    def statvfs(path: Path) -> object:
        asked.append(str(path))
        return real(tmp_path)

    monkeypatch.setattr(filesystem.os, "statvfs", statvfs)
    mounts = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:40 / /srv rw - nfs4 server:/export rw\n"
    found = {family.name: family for family in filesystem.collect(tree(tmp_path, {"proc/1/mountinfo": mounts}))}
    errors = {each.labels["mountpoint"]: each.value for each in found["node_filesystem_device_error"].samples}
    assert errors == {"/": 0, "/srv": 1}
    assert asked == [str(tmp_path)]
    assert [each.labels["mountpoint"] for each in found["node_filesystem_size_bytes"].samples] == ["/"]


def test_a_sandbox_adds_no_file_systems() -> None:
    """A folder that a unit's sandbox mounts over itself is a part of one that is there as a whole."""
    table = (
        "1 0 8:1 / / ro - ext4 /dev/sda1 rw\n2 1 8:1 /var/lib/hostward /var/lib/hostward rw - ext4 /dev/sda1 rw\n"
        "3 1 0:30 /@home /home rw - btrfs /dev/sdb rw\n4 1 0:31 / /tmp rw - tmpfs tmpfs rw\n"
        "5 1 0:5 / /proc rw - proc proc rw\n"
    )
    mounts = filesystem.parse_mountinfo(table)
    assert [each.point for each in filesystem.chosen(mounts, own_view=True)] == ["/", "/home", "/tmp"]
    assert len(filesystem.chosen(mounts, own_view=False)) == 4
    assert not filesystem.chosen(mounts, own_view=True)[0].read_only


def test_an_interface_with_a_colon_in_its_name() -> None:
    """An alias is told apart from its counts."""
    assert netdev.parse("a\nb\n eth0:1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n") == {"eth0:1": [*range(1, 17)]}


def test_quotes_of_os_release() -> None:
    """As a shell reads them; a line that it would refuse is left out."""
    text = 'NAME="Some \\"OS\\""\nID=\'x\'\nVERSION_ID=22.04\nBAD="\n# NAME=y\n'
    assert os_release.parse(text) == {"NAME": 'Some "OS"', "ID": "x", "VERSION_ID": "22.04"}


def test_an_array_in_the_middle_of_nothing() -> None:
    """A line of mdstat that is none of what is known takes nothing away."""
    assert mdadm.parse("Personalities :\nnonsense\n  below\nunused devices: <none>\n") == []
