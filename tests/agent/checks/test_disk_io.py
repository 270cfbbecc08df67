"""Reads and writes of block devices."""

from __future__ import annotations

from pathlib import Path

from agent.checks.disk_io import DiskIo, DiskIoOptions
from agent.paths import System
from tests.agent.checks.tree import collect, said, tree, values

BEFORE = """\
   8       0 sda 100 0 2000 10 200 0 4000 20 0 1000 30 0 0 0 0
   8       1 sda1 90 0 1900 10 190 0 3900 20 0 900 30 0 0 0 0
   7       0 loop0 10 0 100 1 0 0 0 0 0 1 1 0 0 0 0
 104       0 cciss/c0d0 1 0 2 1 0 0 0 0 0 1 1 0 0 0 0
"""
AFTER = """\
   8       0 sda 150 0 4000 10 220 0 4400 20 0 6000 30 0 0 0 0
   8       1 sda1 95 0 1950 10 195 0 3950 20 0 950 30 0 0 0 0
   7       0 loop0 10 0 100 1 0 0 0 0 0 1 1 0 0 0 0
 104       0 cciss/c0d0 1 0 2 1 0 0 0 0 0 1 1 0 0 0 0
"""
WHOLE = {"sys/block/sda/": "", "sys/block/loop0/": "", "sys/block/cciss!c0d0/": ""}


def test_rates_of_whole_devices(tmp_path: Path) -> None:
    """Sectors are 512 bytes; partitions and loops are left out."""
    check = DiskIo(DiskIoOptions())
    first = collect(check, tree(tmp_path, WHOLE | {"proc/diskstats": BEFORE}))
    assert list(first.measurements) == []
    second = collect(check, tree(tmp_path, {"proc/diskstats": AFTER}), after=first)
    assert values(second) == {
        "disk_reads_per_second sda": 5,
        "disk_writes_per_second sda": 2,
        "disk_read_bytes_per_second sda": 200 * 512,
        "disk_written_bytes_per_second sda": 40 * 512,
        "disk_busy_percent sda": 50,
        "disk_reads_per_second cciss/c0d0": 0,
        "disk_writes_per_second cciss/c0d0": 0,
        "disk_read_bytes_per_second cciss/c0d0": 0,
        "disk_written_bytes_per_second cciss/c0d0": 0,
        "disk_busy_percent cciss/c0d0": 0,
    }
    assert second.summary == "sda 50 % busy, 100KiB/s read, 20KiB/s written"


def test_a_device_that_was_replaced_has_no_rates_for_once(tmp_path: Path) -> None:
    """Its counters began again."""
    check = DiskIo(DiskIoOptions())
    first = collect(check, tree(tmp_path, WHOLE | {"proc/diskstats": AFTER}))
    second = collect(check, tree(tmp_path, {"proc/diskstats": BEFORE}), after=first)
    assert {m.labels["device"] for m in second.measurements} == {"cciss/c0d0"}
    third = collect(check, tree(tmp_path, {"proc/diskstats": AFTER}), after=second)
    assert {m.labels["device"] for m in third.measurements} == {"sda", "cciss/c0d0"}


def test_named_devices_must_be_there_and_may_be_partitions(tmp_path: Path) -> None:
    """One that is missing is critical."""
    check = DiskIo(DiskIoOptions(devices=("sda1", "sdz")))
    system = tree(tmp_path, WHOLE | {"proc/diskstats": BEFORE})
    first = collect(check, system)
    assert said(first) == [("critical", "there is no device sdz")]
    assert {m.labels["device"] for m in collect(check, system, after=first).measurements} == {"sda1"}


def test_it_is_a_default_where_there_are_devices(tmp_path: Path) -> None:
    """A container may have none, or not even the table."""
    system = tree(tmp_path, {"proc/": ""})
    assert DiskIo.default(system) is None
    tree(tmp_path, {"proc/diskstats": ""})
    assert DiskIo.default(system) is None
    tree(tmp_path, {"proc/diskstats": BEFORE})
    assert isinstance(DiskIo.default(system), DiskIoOptions)


def test_on_this_host() -> None:
    """Two samples of the real table give rates of each device, or there is none."""
    check = DiskIo(DiskIoOptions())
    first = collect(check)
    second = collect(check, after=first)
    assert bool(values(second)) == (DiskIo.default(System()) is not None)
