"""Whether something keeps the host's clock in step, and how far off it may be: by the kernel's own word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

from agent.checks.contract import (
    Check,
    CheckError,
    CheckOptions,
    Context,
    Every,
    Floor,
    Measurement,
    Rule,
    Sample,
    Threshold,
)
from agent.checks.thresholds import say
from agent.paths import System
from agent.timex import STA_UNSYNC, read_timex
from kit.units import Duration


class TimeOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The host's clock: in step or not, and how far off."""

    every: Every = Duration(60)
    synchronized: Annotated[
        Floor,
        msgspec.Meta(
            description="Bounds of 1 for a clock that is kept in step, and 0 for one that is not: after a boot it "
            "takes a while until it is.",
        ),
    ] = Floor(warning=0, for_=Duration(900))
    offset: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the seconds that the kernel knows the clock to be off, either way."),
    ] = Threshold(warning=0.1, critical=1, for_=Duration(300))
    max_error: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the seconds that the clock may be off at most; they grow between the answers of a "
            "server.",
            examples=[{"warning": 1}],
        ),
    ] = Threshold()


@dataclass(frozen=True, slots=True)
class Clock:
    """What the kernel says of its clock, in seconds."""

    synchronized: bool
    offset: float
    """What is left to make up for; the clock is behind where it is positive."""
    max_error: float
    estimated_error: float


class Time(Check[TimeOptions]):
    """The host's clock."""

    Options = TimeOptions

    @classmethod
    def default(cls, system: System) -> TimeOptions | None:
        """Everywhere but in containers, whose clock is their host's."""
        # systemd writes the first; the others are Docker's and Podman's.
        marks = (("run", "systemd", "container"), (".dockerenv",), ("run", ".containerenv"))
        return None if any(system.path(*mark).exists() for mark in marks) else TimeOptions()

    def rules(self) -> list[Rule]:
        """In step, offset, largest error."""
        return [
            Rule("time_synchronized", self.options.synchronized, "nothing keeps the clock in step"),
            Rule("time_offset_seconds", self.options.offset, "the clock is off by {value}"),
            Rule("time_max_error_seconds", self.options.max_error, "the clock may be off by {value}"),
        ]

    def collect(self, context: Context) -> Sample:
        """Ask the kernel."""
        try:
            _, timex = read_timex()
        except PermissionError:
            raise CheckError(
                "the kernel may not be asked: adjtimex(2) is forbidden here, by ProtectClock= or SystemCallFilter="
            ) from None
        return derive(
            Clock(
                synchronized=not timex.status & STA_UNSYNC,
                offset=timex.offset * timex.unit,
                max_error=timex.maxerror * 1e-6,
                estimated_error=timex.esterror * 1e-6,
            )
        )


def derive(clock: Clock) -> Sample:
    """The readings. The errors of a clock that is not kept in step are no figures: the kernel lets them grow."""
    measurements = [Measurement("time_synchronized", float(clock.synchronized))]
    if not clock.synchronized:
        return Sample(measurements, summary="nothing keeps the clock in step")
    measurements += [
        Measurement("time_offset_seconds", abs(clock.offset), "seconds"),
        Measurement("time_max_error_seconds", clock.max_error, "seconds"),
        Measurement("time_estimated_error_seconds", clock.estimated_error, "seconds"),
    ]
    return Sample(measurements, summary=f"in step, off by {say(clock.max_error, 'seconds')} at most")
