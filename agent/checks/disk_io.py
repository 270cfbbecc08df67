"""What disks read and write, and how busy they are."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.checks.contract import Check, CheckOptions, Context, Finding, Measurement, Rule, Sample, Threshold
from agent.checks.counters import rates
from agent.checks.patterns import is_chosen, named
from agent.checks.procfs import psutil_on
from agent.paths import System
from kit.units import format_size


class DiskIoOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Reads and writes of block devices."""

    devices: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Which devices (* and ? as in file names). One without either must be there, and may be a "
            "partition; otherwise whole devices are watched.",
            examples=[["sda", "nvme*"]],
        ),
    ] = ("*",)
    exclude: Annotated[tuple[str, ...], msgspec.Meta(description="Devices to leave out.", examples=[["dm-*"]])] = (
        "loop*",
        "ram*",
        "zram*",
        "sr*",
        "fd*",
    )
    busy: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the time that a device had something to do, in percent.")
    ] = Threshold()


class DiskIo(Check[DiskIoOptions]):
    """The host's block devices."""

    Options = DiskIoOptions
    rates = True

    @classmethod
    def default(cls, system: System) -> DiskIoOptions | None:
        """Where there are block devices: containers may have none."""
        options = DiskIoOptions()
        try:
            lines = system.path("proc", "diskstats").read_text().splitlines()
        except FileNotFoundError:
            return None
        return options if any(_is_watched(line.split()[2], system, options) for line in lines) else None

    def rules(self) -> list[Rule]:
        """How busy."""
        return [Rule("disk_busy_percent", self.options.busy, "{device} {value} busy")]

    def collect(self, context: Context) -> Sample:
        """Read /proc/diskstats."""
        counters = _counters(context.system, self.options)
        before = context.previous or {}
        measurements: list[Measurement] = []
        busiest: tuple[float, str] | None = None
        for device, values in counters.items():
            found = rates(before.get(device), values, context.elapsed)
            if found is None:
                continue
            reads, writes, read, written, busy_ms = found
            labels = {"device": device}
            # The kernel rounds the busy time up to whole ticks of its own.
            busy = min(100.0, busy_ms / 10)
            measurements += [
                Measurement("disk_reads_per_second", reads, "1/s", labels),
                Measurement("disk_writes_per_second", writes, "1/s", labels),
                Measurement("disk_read_bytes_per_second", read, "bytes/s", labels),
                Measurement("disk_written_bytes_per_second", written, "bytes/s", labels),
                Measurement("disk_busy_percent", busy, "percent", labels),
            ]
            text = f"{device} {busy:.0f} % busy, {format_size(read)}/s read, {format_size(written)}/s written"
            busiest = max(busiest or (-1.0, ""), (busy, text))
        missing = sorted(named(self.options.devices) - counters.keys())
        findings = [Finding("critical", f"there is no device {device}") for device in missing]
        summary = busiest[1] if busiest else "" if counters else "no block devices"
        return Sample(measurements, findings, summary, memory=counters)


def _counters(system: System, options: DiskIoOptions) -> dict[str, list[int]]:
    """Reads, writes, bytes read, bytes written, busy milliseconds of each device that is to be watched."""
    if not system.path("proc", "diskstats").exists():
        return {}
    devices = psutil_on(system).disk_io_counters(perdisk=True, nowrap=False)
    return {
        device: [c.read_count, c.write_count, c.read_bytes, c.write_bytes, c.busy_time]
        for device, c in devices.items()
        if _is_watched(device, system, options)
    }


def _is_watched(device: str, system: System, options: DiskIoOptions) -> bool:
    """Whether it is chosen, and a whole device where it is not named in full."""
    if not is_chosen(device, options.devices, options.exclude):
        return False
    blocks = system.path("sys", "block")
    # A slash in a device's name is written as an exclamation mark there.
    return device in options.devices or not blocks.is_dir() or (blocks / device.replace("/", "!")).exists()
