"""CPU time: how much of it was used since the sample before, what it waited for, and the load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from agent.checks.contract import Check, CheckOptions, Context, Measurement, Rule, Sample, Threshold
from agent.checks.procfs import psutil_on
from agent.paths import System
from kit.units import Duration


class CpuOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """CPU time used, waiting for disks, and stolen by the hypervisor."""

    used: Annotated[Threshold, msgspec.Meta(description="Bounds of the CPU time used, in percent of all CPUs.")] = (
        Threshold(warning=70, critical=85, for_=Duration(60), hysteresis=5)
    )
    iowait: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the time that CPUs were idle while a disk had to answer, in percent."),
    ] = Threshold()
    steal: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the time that the hypervisor gave to other machines, in percent."),
    ] = Threshold()


class Cpu(Check[CpuOptions]):
    """The host's processors as one."""

    Options = CpuOptions
    rates = True

    @classmethod
    def default(cls, system: System) -> CpuOptions:
        """Every host has processors."""
        return CpuOptions()

    def rules(self) -> list[Rule]:
        """Used, iowait and steal."""
        return [
            Rule("cpu_used_percent", self.options.used, "CPU {value} used"),
            Rule("cpu_iowait_percent", self.options.iowait, "CPU {value} waiting for disks"),
            Rule("cpu_steal_percent", self.options.steal, "CPU {value} stolen by the hypervisor"),
        ]

    def collect(self, context: Context) -> Sample:
        """Read /proc/stat and /proc/loadavg."""
        psutil = psutil_on(context.system)
        times = psutil.cpu_times()._asdict()
        loads = context.system.path("proc", "loadavg").read_text().split()[:3]
        count = psutil.cpu_count() or 1
        measurements = [Measurement("cpu_count", count)]
        measurements += [
            Measurement("load_average", float(load), labels={"window": window})
            for window, load in zip(("1m", "5m", "15m"), loads, strict=True)
        ]
        summary = f"load {loads[0]} on {count} CPUs"
        if context.previous is not None and (shares := used_shares(context.previous, times)):
            measurements += [Measurement(f"cpu_{kind}_percent", share, "percent") for kind, share in shares.items()]
            summary = f"{shares['used']:.0f} % used, {summary}"
        return Sample(measurements, summary=summary, memory=times)


def used_shares(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Percent of the CPU time between two readings of psutil.cpu_times, as `used`, `iowait` and `steal`.

    Used is what was neither idle nor waiting. Time of guests is left out: the kernel has it in user and nice already.
    iowait may run backwards (proc(5)), which counts as none. Empty where no time has passed.
    """
    passed = {
        kind: max(0.0, value - before.get(kind, 0.0))
        for kind, value in after.items()
        if kind not in ("guest", "guest_nice")
    }
    total = sum(passed.values())
    if total <= 0:
        return {}
    iowait = passed.get("iowait", 0.0)
    parts = {
        "used": total - passed.get("idle", 0.0) - iowait,
        "iowait": iowait,
        "steal": passed.get("steal", 0.0),
    }
    return {kind: min(100.0, max(0.0, 100 * part / total)) for kind, part in parts.items()}
