"""What disks read and write, and how busy they are."""

from __future__ import annotations

from typing import Annotated

import msgspec
import psutil

from agent.checks.contract import Check, CheckOptions, Context, Finding, Measurement, Rule, Sample, Threshold
from agent.checks.counters import is_chosen, named, rates
from agent.checks.procfs import look_at
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
        return options if _counters(system, options) else None

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
    look_at(system)
    devices = psutil.disk_io_counters(perdisk=True, nowrap=False)
    blocks = system.path("sys", "block")
    only_whole = blocks.is_dir()
    return {
        device: [c.read_count, c.write_count, c.read_bytes, c.write_bytes, c.busy_time]
        for device, c in devices.items()
        if is_chosen(device, options.devices, options.exclude)
        # A slash in a device's name is written as an exclamation mark there.
        and (not only_whole or device in options.devices or (blocks / device.replace("/", "!")).exists())
    }
