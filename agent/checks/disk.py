"""File systems: space and inodes used, when they will be full, and those that turned read-only.

Local ones answer at once, so `disk` asks them in the loop. Network and FUSE file systems can keep a caller waiting
for ever, so `remote_disk` asks them in a child of its own, each in its own thread, and says which does not answer.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec

from agent.checks.contract import (
    Check,
    CheckOptions,
    Context,
    Every,
    Finding,
    Floor,
    Measurement,
    Rule,
    Sample,
    Threshold,
    remembered,
)
from agent.checks.mounts import Mount, once_each, parse_fstab, parse_mountinfo, rank
from agent.checks.patterns import is_chosen, named
from agent.checks.trend import Trend, followed, seconds_until_gone
from agent.paths import System
from kit.units import Duration, format_duration

DAY = 86400.0
FORESEEN = 365.0
"""Days. What is further away is not said: nothing grows that evenly."""

Answer = os.statvfs_result | OSError | None
"""What a file system said; None for one that did not answer in time."""


class DiskOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Local file systems: space, inodes, read-only."""

    mounts: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Which mount points (* and ? as in file names). One without either must be mounted, "
            "and is watched whatever its kind.",
            examples=[["/", "/srv/*"]],
        ),
    ] = ("*",)
    exclude: Annotated[
        tuple[str, ...], msgspec.Meta(description="Mount points to leave out.", examples=[["/media/*"]])
    ] = ()
    used: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the space used, in percent, reckoned as df does.")
    ] = Threshold(warning=80, critical=95, hysteresis=1)
    inodes: Annotated[Threshold, msgspec.Meta(description="Bounds of the inodes used, in percent.")] = Threshold(
        warning=80, critical=95, hysteresis=1
    )
    full: Annotated[
        Floor,
        msgspec.Meta(
            description="Bounds of the days until there is no space left, by how it was used in the last seven days."
        ),
    ] = Floor(warning=3, critical=1, for_=Duration(3600))


class DiskMemory(msgspec.Struct):
    """What one run leaves to the next. Mount points are written in ASCII, whatever bytes they are."""

    writable: list[str] = []
    """Those that were writable since the boot."""
    trends: dict[str, tuple[int, Trend]] = {}
    """The size of each file system, and how much of it was used."""


class RemoteDiskOptions(DiskOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Network and FUSE file systems: whether they answer, space, inodes, read-only."""

    every: Every = Duration(60)


class Disk(Check[DiskOptions]):
    """Local file systems."""

    Options: ClassVar[type[DiskOptions]] = DiskOptions
    lasting = True
    remote: ClassVar[bool] = False

    @classmethod
    def default(cls, system: System) -> DiskOptions | None:
        """Every host has a root."""
        return DiskOptions()

    def rules(self) -> list[Rule]:
        """Space now and to come, and inodes."""
        return [
            Rule("disk_used_percent", self.options.used, "{mount} {value} used"),
            Rule("disk_inodes_used_percent", self.options.inodes, "{mount} {value} of its inodes used"),
            Rule("disk_full_days", self.options.full, "{mount} is full in {value}"),
        ]

    def collect(self, context: Context) -> Sample:
        """Read the mount table, ask each file system, compare with /etc/fstab."""
        mounts = parse_mountinfo(_text(context.system.path("proc", "self", "mountinfo")))
        mounts = [mount for mount in mounts if _is_folder(mount)]
        chosen, findings = choose(mounts, self.options.mounts, self.options.exclude, remote=self.remote)
        answers = self.ask(chosen)
        wanted = parse_fstab(_text(context.system.path("etc", "fstab"), missing=""))
        memory = remembered(context.previous, DiskMemory)
        seen_writable = set() if context.elapsed is None else set(memory.writable)
        trends: dict[str, tuple[int, Trend]] = {}
        measurements: list[Measurement] = []
        fullest: tuple[float, Mount] | None = None
        shown = 0
        for mount in chosen:
            answer = answers.get(mount.point)
            if isinstance(answer, os.statvfs_result):
                found = measure(mount, answer)
                if found:
                    known = memory.trends.get(ascii(mount.point))
                    trends[ascii(mount.point)] = kept = follow(known, answer, context.now)
                    found += foresee(mount, answer, kept[1])
                measurements += found
                shown += bool(found)
                for measurement in found:
                    if measurement.name == "disk_used_percent":
                        fullest = fuller(fullest, (measurement.value, mount))
                asked = (
                    wanted[mount.point].read_only
                    if mount.point in wanted
                    else ascii(mount.point) not in seen_writable
                )
                if found and mount.read_only and not asked:
                    findings.append(Finding("critical", f"{mount.point} is mounted read-only"))
            elif answer is None:
                limit = format_duration(self.options.patience)
                findings.append(Finding("critical", f"{mount.point} ({mount.fstype}) does not answer within {limit}"))
            elif not isinstance(answer, FileNotFoundError):  # that one was unmounted, or is hidden, since
                findings.append(Finding("unknown", f"{mount.point} cannot be read: {answer.strerror}"))
        names = {ascii(mount.point): mount for mount in chosen}  # which can be stored, whatever bytes they are
        seen_writable = {name for name, m in names.items() if not m.read_only or name in seen_writable}
        summary = "nothing is mounted"
        if fullest:
            summary = f"{fullest[1].point} {fullest[0]:.0f} % used"
            summary += f", the fullest of {shown}" if shown > 1 else ""
        # What could not be asked now may answer again.
        trends |= {name: memory.trends[name] for name in names.keys() & memory.trends.keys() if name not in trends}
        return Sample(measurements, findings, summary, DiskMemory(sorted(seen_writable), trends))

    def ask(self, mounts: Sequence[Mount]) -> Mapping[str, Answer]:
        """Each mount point's answer."""
        return {mount.point: _statvfs(mount.point) for mount in mounts}


class RemoteDisk(Disk):
    """Network and FUSE file systems."""

    Options = RemoteDiskOptions
    remote = True
    runs = "job"

    @classmethod
    def default(cls, system: System) -> DiskOptions | None:
        """Where one is mounted, or should be."""
        mounts = parse_mountinfo(_text(system.path("proc", "self", "mountinfo"), missing=""))
        wanted = parse_fstab(_text(system.path("etc", "fstab"), missing=""))
        expected = [Mount(point, "", line.fstype, "", "/", False) for point, line in wanted.items()]
        return RemoteDiskOptions() if any(m.is_remote for m in [*mounts, *expected]) else None

    def ask(self, mounts: Sequence[Mount]) -> Mapping[str, Answer]:
        """Ask all at once; one that hangs keeps nobody from being heard. The threads end with the child."""
        return ask_in_threads([mount.point for mount in mounts], _statvfs, self.options.patience)


def fuller(one: tuple[float, Mount] | None, other: tuple[float, Mount]) -> tuple[float, Mount]:
    """The one with the larger percentage; of two that are alike, as a folder that is mounted a second time has them,
    the one where more of the file system is seen."""
    if one is None or other[0] > one[0]:
        return other
    return other if other[0] == one[0] and rank(other[1]) < rank(one[1]) else one


def ask_in_threads(points: Sequence[str], ask: Callable[[str], Answer], patience: float) -> dict[str, Answer]:
    """The answers that came within `patience` seconds; None for the others."""
    answers: dict[str, Answer] = dict.fromkeys(points)

    def answer(point: str) -> None:
        answers[point] = ask(point)

    threads = [threading.Thread(target=answer, args=(point,), daemon=True) for point in points]
    deadline = time.monotonic() + patience
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(answers)


def choose(
    mounts: Sequence[Mount], patterns: Sequence[str], exclude: Sequence[str], *, remote: bool
) -> tuple[list[Mount], list[Finding]]:
    """The mounts to ask, and what is to be said of those that are named and cannot be."""
    names = named(patterns)
    chosen = []
    findings = []
    for mount in mounts:
        if mount.point in names:
            if mount.is_remote and not remote:
                findings.append(
                    Finding("unknown", f"{mount.point} is of type {mount.fstype}, which only remote_disk watches")
                )
            else:
                chosen.append(mount)
        elif mount.is_storage and mount.is_remote == remote and is_chosen(mount.point, patterns, exclude):
            chosen.append(mount)
    missing = names - {mount.point for mount in mounts}
    findings += [Finding("critical", f"{point} is not mounted") for point in sorted(missing)]
    return once_each(chosen, keep=names), findings


def measure(mount: Mount, answer: os.statvfs_result) -> list[Measurement]:
    """The readings of one file system. None for one without blocks: it keeps nothing.

    Percentages are df's: used / (used + available), where blocks kept for root are in neither.
    """
    if answer.f_blocks <= 0:
        return []
    labels = _labels(mount)
    used = answer.f_blocks - answer.f_bfree
    reachable = used + answer.f_bavail
    found = [
        Measurement("disk_used_percent", 100 * used / reachable if reachable > 0 else 100.0, "percent", labels),
        Measurement("disk_total_bytes", answer.f_blocks * answer.f_frsize, "bytes", labels),
        Measurement("disk_used_bytes", used * answer.f_frsize, "bytes", labels),
        Measurement("disk_free_bytes", answer.f_bavail * answer.f_frsize, "bytes", labels),
        Measurement("disk_read_only", float(mount.read_only), "", labels),
    ]
    if answer.f_files > 0:  # btrfs and some network file systems have no fixed number
        inodes = 100 * (answer.f_files - answer.f_ffree) / answer.f_files
        found.append(Measurement("disk_inodes_used_percent", inodes, "percent", labels))
    return found


def follow(known: tuple[int, Trend] | None, answer: os.statvfs_result, now: float) -> tuple[int, Trend]:
    """The size of a file system and the trend of what is used of it; one that was resized begins anew."""
    size = answer.f_blocks * answer.f_frsize
    trend = known[1] if known is not None and known[0] == size else Trend()
    return size, followed(trend, now, (answer.f_blocks - answer.f_bfree) * answer.f_frsize)


def foresee(mount: Mount, answer: os.statvfs_result, trend: Trend) -> list[Measurement]:
    """The days until there is no space left for programs, where that can be told and is near enough."""
    seconds = seconds_until_gone(trend, answer.f_bavail * answer.f_frsize)
    if seconds is None or seconds > FORESEEN * DAY:
        return []
    return [Measurement("disk_full_days", seconds / DAY, "days", _labels(mount))]


def _labels(mount: Mount) -> dict[str, str]:
    return {"mount": mount.point, "device": mount.device, "fstype": mount.fstype}


def _is_folder(mount: Mount) -> bool:
    """Containers have single files of their host mounted; those are no file systems to watch."""
    return mount.root == "/" or mount.is_remote or not Path(mount.point).is_file()


def _statvfs(point: str) -> Answer:
    try:
        return os.statvfs(point)
    except OSError as error:
        return error


def _text(path: os.PathLike[str], *, missing: str | None = None) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        if missing is None:
            raise
        return missing
