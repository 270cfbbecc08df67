"""How long work stood still for lack of CPU, memory or I/O: the kernel's pressure stall information.

Format and meaning: https://docs.kernel.org/accounting/psi.html
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec

from agent.checks.contract import Check, CheckError, CheckOptions, Context, Measurement, Rule, Sample, Threshold
from agent.checks.counters import rates
from agent.paths import System
from kit.units import Duration

RESOURCES = ("cpu", "memory", "io")
WINDOWS = {"avg10": "10s", "avg60": "1m", "avg300": "5m"}
MICROSECONDS = 1e6


class PressureOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Time that work stood still for lack of CPU, memory or I/O."""

    cpu: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the time in which some tasks waited for a CPU, in percent.")
    ] = Threshold()
    memory: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the time in which some tasks waited for memory, in percent.")
    ] = Threshold()
    memory_full: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the time in which all tasks that had work waited for memory, in percent."
        ),
    ] = Threshold(warning=20, critical=50, for_=Duration(120))
    io: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the time in which some tasks waited for I/O, in percent.")
    ] = Threshold()
    io_full: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the time in which all tasks that had work waited for I/O, in percent."),
    ] = Threshold()


class Line(NamedTuple):
    """One line of a file of /proc/pressure."""

    averages: dict[str, float]
    """Window, such as `10s`, to percent."""
    total: float
    """Microseconds since the boot."""


class Pressure(Check[PressureOptions]):
    """The host's pressure stall information."""

    Options = PressureOptions
    rates = True

    @classmethod
    def default(cls, system: System) -> PressureOptions | None:
        """Where the kernel counts it: one that has it may have it turned off (psi=0), and says so only when read."""
        try:
            system.path("proc", "pressure", "memory").read_bytes()
        except OSError:
            return None
        return PressureOptions()

    def rules(self) -> list[Rule]:
        """What the time since the sample before came to."""
        bounds = {
            ("cpu", "some"): self.options.cpu,
            ("memory", "some"): self.options.memory,
            ("memory", "full"): self.options.memory_full,
            ("io", "some"): self.options.io,
            ("io", "full"): self.options.io_full,
        }
        return [
            Rule(
                "pressure_stalled_percent",
                threshold,
                f"{'all' if share == 'full' else 'some'} tasks waited for {resource} {{value}} of the time",
                {"resource": resource, "share": share},
            )
            for (resource, share), threshold in bounds.items()
        ]

    def collect(self, context: Context) -> Sample:
        """Read the three files. That all tasks wait for a CPU means nothing for a whole host, and is left out."""
        measurements: list[Measurement] = []
        totals: dict[str, float] = {}
        for resource in RESOURCES:
            text = context.system.path("proc", "pressure", resource).read_text()
            for share, line in parse_pressure(text).items():
                if (resource, share) == ("cpu", "full"):
                    continue
                labels = {"resource": resource, "share": share}
                totals[f"{resource} {share}"] = line.total
                measurements += [
                    Measurement("pressure_average_percent", value, "percent", labels | {"window": window})
                    for window, value in line.averages.items()
                ]
        before = context.previous or {}
        stalled = {}
        if before.keys() == totals.keys():
            grown = rates(list(before.values()), [totals[key] for key in before], context.elapsed)
            stalled = dict(zip(before, grown or [], strict=False))
        for key, microseconds in stalled.items():
            resource, share = key.split()
            percent = min(100.0, 100 * microseconds / MICROSECONDS)
            labels = {"resource": resource, "share": share}
            measurements.append(Measurement("pressure_stalled_percent", percent, "percent", labels))
        some = [
            f"{resource} {min(100.0, 100 * stalled[f'{resource} some'] / MICROSECONDS):.1f} %"
            for resource in RESOURCES
            if f"{resource} some" in stalled
        ]
        return Sample(measurements, summary=f"stalled: {', '.join(some)}" if some else "", memory=totals)


def parse_pressure(text: str) -> dict[str, Line]:
    """`some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and `full` with the same. Raises CheckError."""
    lines = {}
    for row in text.splitlines():
        share, *fields = row.split() or [""]
        values = dict(field.partition("=")[::2] for field in fields)
        try:
            averages = {window: float(values[name]) for name, window in WINDOWS.items()}
            lines[share] = Line(averages, float(int(values["total"])))
        except (KeyError, ValueError, OverflowError):
            raise CheckError(f"/proc/pressure has a line that is not understood: {row[:80]!r}") from None
    if "some" not in lines or lines.keys() - {"some", "full"}:
        raise CheckError("/proc/pressure has other lines than `some` and `full`")
    return lines
