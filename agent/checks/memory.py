"""Memory that programs cannot get any more, and swap."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.checks.contract import Check, CheckError, CheckOptions, Context, Measurement, Rule, Sample, Threshold
from agent.checks.procfs import psutil_on
from agent.paths import System
from kit.units import format_size


class MemoryOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Memory and swap in use."""

    used: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the memory in use, in percent. Caches that the kernel would give up do not count."
        ),
    ] = Threshold(warning=75, critical=90, hysteresis=2)
    swap: Annotated[Threshold, msgspec.Meta(description="Bounds of the swap space in use, in percent.")] = Threshold()


class Memory(Check[MemoryOptions]):
    """The host's memory."""

    Options = MemoryOptions

    @classmethod
    def default(cls, system: System) -> MemoryOptions:
        """Every host has memory."""
        return MemoryOptions()

    def rules(self) -> list[Rule]:
        """Memory and swap."""
        return [
            Rule("memory_used_percent", self.options.used, "memory {value} used"),
            Rule("swap_used_percent", self.options.swap, "swap {value} used"),
        ]

    def collect(self, context: Context) -> Sample:
        """Read /proc/meminfo. What is used is the total less MemAvailable, the kernel's own estimate (proc(5))."""
        psutil = psutil_on(context.system)
        memory = psutil.virtual_memory()
        swap = psutil.swap_memory()
        if memory.total <= 0:
            raise CheckError("/proc/meminfo says that there is no memory")
        used = memory.total - memory.available
        measurements = [
            Measurement("memory_total_bytes", memory.total, "bytes"),
            Measurement("memory_used_bytes", used, "bytes"),
            Measurement("memory_available_bytes", memory.available, "bytes"),
            Measurement("memory_used_percent", 100 * used / memory.total, "percent"),
        ]
        if swap.total > 0:
            measurements += [
                Measurement("swap_used_bytes", swap.total - swap.free, "bytes"),
                Measurement("swap_used_percent", 100 * (swap.total - swap.free) / swap.total, "percent"),
            ]
        return Sample(
            measurements,
            summary=f"{format_size(used)} of {format_size(memory.total)} used ({100 * used / memory.total:.0f} %)",
        )
