"""File systems, as df sees them."""

from __future__ import annotations

import math
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from agent.checks.contract import Context, Finding, Sample
from agent.checks.disk import Disk, DiskOptions, RemoteDisk, RemoteDiskOptions, ask_in_threads, choose, fuller
from agent.checks.mounts import Mount, parse_mountinfo
from agent.checks.runner import Plan, judge
from agent.paths import System
from tests.agent.checks.test_mounts import MOUNTINFO
from tests.agent.checks.tree import NOW, collect, said, tree, values
from tests.require import require, require_program, require_root


def mountinfo(*lines: str) -> dict[str, str]:
    return {"proc/self/mountinfo": "".join(f"{number} 1 {line}\n" for number, line in enumerate(lines, start=20))}


def test_the_figures_are_those_of_df() -> None:
    """Use% and IUse% of the root, which df rounds up."""
    df = require_program("df")
    found = values(collect(Disk(DiskOptions(mounts=("/",)))))
    (space,) = [value for name, value in found.items() if name.startswith("disk_used_percent / ")]
    output = subprocess.run([df, "--output=pcent", "/"], capture_output=True, text=True, check=True).stdout
    assert abs(math.ceil(space) - int(output.split()[-1].rstrip("%"))) <= 1  # somebody may write meanwhile
    (total,) = [value for name, value in found.items() if name.startswith("disk_total_bytes")]
    output = subprocess.run([df, "-B1", "--output=size", "/"], capture_output=True, text=True, check=True).stdout
    assert total == int(output.split()[-1])


def test_every_host_has_a_root() -> None:
    """By default the root is among the readings, with labels, and nothing is wrong with the mount table."""
    assert isinstance(Disk.default(System()), DiskOptions)
    sample = collect(Disk(DiskOptions()))
    roots = [m for m in sample.measurements if m.labels["mount"] == "/" and m.name == "disk_used_percent"]
    assert len(roots) == 1
    assert set(roots[0].labels) == {"mount", "device", "fstype"}


@pytest.mark.parametrize(
    ("patterns", "exclude", "expected"),
    [
        (("*",), ("/var*", "/mnt/*"), ["/", "/home", "/pool", "/twice"]),
        (("/", "/p*"), (), ["/", "/pool"]),
        (("/run",), (), ["/run"]),
        (("/var/www", "/"), (), ["/", "/var/www"]),
    ],
)
def test_patterns_choose(patterns: tuple[str, ...], exclude: tuple[str, ...], expected: list[str]) -> None:
    """A name without wildcards means its mount, whatever that is."""
    chosen, findings = choose(parse_mountinfo(MOUNTINFO), patterns, exclude, remote=False)
    assert [mount.point for mount in chosen] == expected
    assert findings == []


def test_a_named_mount_must_be_mounted_and_of_the_right_check() -> None:
    """Else the check says so, instead of watching less than was asked for."""
    mounts = parse_mountinfo(MOUNTINFO)
    _, findings = choose(mounts, ("/", "/backup"), (), remote=False)
    assert findings == [Finding("critical", "/backup is not mounted")]
    _, findings = choose(mounts, ("/srv/nfs",), (), remote=False)
    assert findings == [Finding("unknown", "/srv/nfs is of type nfs4, which only remote_disk watches")]
    chosen, findings = choose(mounts, ("*",), (), remote=True)
    assert [mount.point for mount in chosen] == ["/mnt/far", "/srv/nfs"]


READ_ONLY = mountinfo("8:1 / / rw - ext4 /dev/sda1 ro")
WRITABLE = mountinfo("8:1 / / rw - ext4 /dev/sda1 rw")


@pytest.mark.parametrize(
    ("fstab", "expected"),
    [
        ("/dev/sda1 / ext4 errors=remount-ro 0 1", [("critical", "/ is mounted read-only")]),
        ("/dev/sda1 / ext4 ro 0 1", []),
        ("", []),
    ],
)
def test_read_only_is_critical_where_fstab_asks_for_writable(
    tmp_path: Path, fstab: str, expected: list[tuple[str, str]]
) -> None:
    """A kernel that met errors turns a file system read-only, and every program on it breaks."""
    sample = collect(Disk(DiskOptions()), tree(tmp_path, READ_ONLY | {"etc/fstab": fstab}))
    assert said(sample) == expected
    assert values(sample)["disk_read_only / /dev/sda1 ext4"] == 1


def test_without_a_line_in_fstab_what_was_writable_before_must_stay_so(tmp_path: Path) -> None:
    """And stays critical for as long as it lasts."""
    check = Disk(DiskOptions())
    first = collect(check, tree(tmp_path, WRITABLE))
    second = collect(check, tree(tmp_path, READ_ONLY), after=first)
    third = collect(check, tree(tmp_path, READ_ONLY), after=second)
    assert said(first) == []
    assert said(second) == said(third) == [("critical", "/ is mounted read-only")]


def test_of_two_mounts_that_are_as_full_the_real_one_is_named() -> None:
    """A folder that is mounted a second time is as full as the file system that it is of."""
    real = Mount("/srv", "/dev/sdb", "ext4", "8:16", "/", False)
    bound = Mount("/zz", "/dev/sdb", "ext4", "0:99", "/data", False)
    assert fuller(fuller(None, (80.0, bound)), (80.0, real)) == (80.0, real)
    assert fuller((80.0, real), (80.0, bound)) == (80.0, real)
    assert fuller((80.0, real), (81.0, bound)) == (81.0, bound)


def test_a_mount_that_vanishes_is_gone_without_a_word(tmp_path: Path) -> None:
    """Between reading the table and asking; and nothing that cannot be stored is remembered of odd names."""
    lines = mountinfo(f"8:1 / {tmp_path}/gone rw - ext4 /dev/sda1 rw", "8:2 / / rw - ext4 /dev/sda2 rw")
    system = tree(tmp_path, {})
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_bytes(
        lines["proc/self/mountinfo"].encode() + b"22 1 8:3 / /\xff\xfe rw - ext4 /dev/sda3 rw\n"
    )
    sample = collect(Disk(DiskOptions()), system)
    assert said(sample) == []
    assert {m.labels["mount"] for m in sample.measurements} == {"/"}
    collect(Disk(DiskOptions()), system, after=sample)


def test_a_mount_that_cannot_be_asked_is_unknown(tmp_path: Path) -> None:
    """With the reason."""
    (tmp_path / "file").touch()
    lines = mountinfo(f"8:1 / {tmp_path}/file/x rw - ext4 /dev/sda1 rw")
    sample = collect(Disk(DiskOptions()), tree(tmp_path, lines))
    assert said(sample) == [("unknown", f"{tmp_path}/file/x cannot be read: Not a directory")]


def test_a_single_file_that_is_mounted_is_no_disk(tmp_path: Path) -> None:
    """Containers have their /etc/hosts so; a folder of the same file system is one."""
    (tmp_path / "hosts").touch()
    lines = mountinfo(
        f"8:1 /containers/x/hosts {tmp_path}/hosts rw - ext4 /dev/sda1 rw",
        f"8:1 /data {tmp_path} rw - ext4 /dev/sda1 rw",
    )
    sample = collect(Disk(DiskOptions()), tree(tmp_path, lines))
    assert {m.labels["mount"] for m in sample.measurements} == {str(tmp_path)}


def test_kernel_interfaces_are_not_disks(tmp_path: Path) -> None:
    """A file system without blocks has no readings, even when it is named."""
    lines = mountinfo("0:3 / /proc rw - proc proc rw")
    sample = collect(Disk(DiskOptions(mounts=("/proc",))), tree(tmp_path, lines))
    assert (list(sample.measurements), said(sample)) == ([], [])


def test_remote_disk_is_a_default_where_one_is_mounted_or_wanted(tmp_path: Path) -> None:
    """And nowhere else."""
    system = tree(tmp_path, {"proc/self/mountinfo": MOUNTINFO})
    assert isinstance(RemoteDisk.default(system), RemoteDiskOptions)
    tree(tmp_path, WRITABLE)
    assert RemoteDisk.default(system) is None
    tree(tmp_path, {"etc/fstab": "home:/export /srv/nfs nfs4 defaults 0 0"})
    assert isinstance(RemoteDisk.default(system), RemoteDiskOptions)
    assert RemoteDisk(RemoteDiskOptions()).runs == "job"


def test_remote_disks_are_asked_like_local_ones(tmp_path: Path) -> None:
    """The same readings, from a mount that answers."""
    lines = mountinfo(f"0:30 / {tmp_path} rw - nfs4 home:/export rw")
    sample = collect(RemoteDisk(RemoteDiskOptions()), tree(tmp_path, lines))
    assert values(sample)[f"disk_total_bytes {tmp_path} home:/export nfs4"] > 0


def test_one_that_hangs_is_named_and_keeps_nobody_from_being_heard() -> None:
    """The answers of the others are there in time."""
    release = threading.Event()

    def ask(point: str) -> os.statvfs_result:
        if point == "/hangs":
            release.wait(60)
        return os.statvfs("/")

    answers = ask_in_threads(["/hangs", "/a", "/b"], ask, 0.5)
    release.set()
    assert answers["/hangs"] is None
    assert isinstance(answers["/a"], os.statvfs_result)
    assert isinstance(answers["/b"], os.statvfs_result)


def test_no_answer_in_time_is_critical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lies on that file system hangs too."""
    monkeypatch.setattr(RemoteDisk, "ask", lambda self, mounts: {mount.point: None for mount in mounts})
    lines = mountinfo("0:30 / /srv/nfs rw - nfs4 home:/export rw")
    sample = collect(RemoteDisk(RemoteDiskOptions()), tree(tmp_path, lines))
    assert said(sample) == [("critical", "/srv/nfs (nfs4) does not answer within 9s")]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A small real file system, mounted."""
    require_root()
    point = tmp_path / "mounted"
    point.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", point], capture_output=True, check=False)
    require(done.returncode == 0, f"the right to mount ({done.stderr.decode().strip()})")
    yield point
    subprocess.run(["umount", point], check=True)


@pytest.mark.root
def test_a_real_file_system_that_fills_up_and_turns_read_only(mounted: Path) -> None:
    """Full at 100 % as root sees it; remounted read-only it is critical, for it was writable before."""
    check = Disk(DiskOptions(mounts=(str(mounted),)))
    first = collect(check)
    label = f"{mounted} small tmpfs"
    assert values(first)[f"disk_used_percent {label}"] == 0
    (mounted / "file").write_bytes(bytes(1 << 20))
    second = collect(check, after=first)
    assert values(second)[f"disk_used_percent {label}"] == 100
    assert values(second)[f"disk_read_only {label}"] == 0
    subprocess.run(["mount", "-o", "remount,ro", mounted], check=True)
    third = collect(check, after=second)
    assert values(third)[f"disk_read_only {label}"] == 1
    assert said(third) == [("critical", f"{mounted} is mounted read-only")]


@pytest.mark.root
def test_a_read_only_view_of_a_writable_file_system_is_not_read_only(mounted: Path, tmp_path: Path) -> None:
    """That is how systemd's sandboxes show the host to a service."""
    view = tmp_path / "view"
    view.mkdir()
    subprocess.run(["mount", "--bind", mounted, view], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", view], check=True)
        sample = collect(Disk(DiskOptions(mounts=(str(view),))))
        assert values(sample)[f"disk_read_only {view} small tmpfs"] == 0
    finally:
        subprocess.run(["umount", view], check=True)


def test_mounts_may_have_any_name() -> None:
    """Labels are plain text, so a mount point full of wildcards is matched as a name by itself."""
    mount = Mount("/a[b]*", "/dev/sda1", "ext4", "8:1", "/", read_only=False)
    chosen, findings = choose([mount], ("*",), (), remote=False)
    assert (chosen, findings) == ([mount], [])


def answer(used: int, *, blocks: int = 1000, kept: int = 50) -> os.statvfs_result:
    """Of a file system with `blocks` of a MiB, of which `kept` are for root."""
    free = blocks - used
    return os.statvfs_result((2**20, 2**20, blocks, free, max(0, free - kept), 1000, 900, 900, 0, 255))


class Growing(Disk):
    """A disk of which the test says what is used."""

    used = 0
    blocks = 1000

    def ask(self, mounts: Sequence[Mount]) -> Mapping[str, os.statvfs_result]:
        return {mount.point: answer(self.used, blocks=self.blocks) for mount in mounts}


def test_days_until_full_come_from_how_the_disk_filled(tmp_path: Path) -> None:
    """Ten MiB an hour, and 240 left for programs, are a day; over a boot the history stays, and a disk that was
    resized begins anew."""
    system = tree(tmp_path, mountinfo("8:1 / / rw - ext4 /dev/sda1 rw"))
    check = Growing(DiskOptions())
    sample: Sample | None = None
    for hour in range(0, 49, 3):
        check.used = 230 + 10 * hour
        previous = None if sample is None else msgspec.msgpack.decode(msgspec.msgpack.encode(sample.memory))
        elapsed = None if hour in (0, 24) else 3 * 3600.0
        context = Context(system=system, now=NOW + hour * 3600, previous=previous, elapsed=elapsed)
        sample = check.collect(context)
        assert ("disk_full_days / /dev/sda1 ext4" in values(sample)) == (hour >= 24)
    assert sample is not None
    assert values(sample)["disk_full_days / /dev/sda1 ext4"] == pytest.approx((1000 - 710 - 50) / 240)
    plan = Plan("disk", "disk", check, check.options)
    memory = None
    for ticks in range(0, 3601, 15):
        judged = judge(plan, sample, memory, now=NOW, ticks=ticks, duration=0)
        memory = judged.memory
    assert judged.state.message == "/ is full in 1 days, critical at or below 1 days for 1h"
    check.blocks = 2000
    assert "disk_full_days / /dev/sda1 ext4" not in values(collect(check, system, after=sample))


def test_what_was_writable_before_a_boot_may_be_read_only_after_it(tmp_path: Path) -> None:
    """It may have been mounted so on purpose; how it filled is remembered all the same."""
    writable = tree(tmp_path / "1", mountinfo("8:1 / / rw - ext4 /dev/sda1 rw"))
    first = collect(Growing(DiskOptions()), writable)
    system = tree(tmp_path / "2", mountinfo("8:1 / / ro - ext4 /dev/sda1 ro"))
    previous = msgspec.msgpack.decode(msgspec.msgpack.encode(first.memory))
    booted = Growing(DiskOptions()).collect(Context(system=system, now=NOW + 60, previous=previous))
    assert said(booted) == []
    assert booted.memory.trends == first.memory.trends
    assert said(collect(Growing(DiskOptions()), system, after=first)) == [("critical", "/ is mounted read-only")]


def test_memory_of_another_version_is_nothing() -> None:
    """As it was before there were trends: a list."""
    assert said(collect(Disk(DiskOptions()), after=Sample(memory=["'/'"]))) == []
