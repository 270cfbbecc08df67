"""Units that failed, and units that must be active."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated

import msgspec

from agent.checks.contract import (
    CheckError,
    CheckOptions,
    Command,
    CommandCheck,
    Context,
    Every,
    Finding,
    Finished,
    Measurement,
    Sample,
)
from agent.paths import System
from kit.units import Duration

PROPERTIES = ("Id", "Names", "LoadState", "ActiveState", "SubState")

_TYPES = ("service", "socket", "target", "timer", "mount", "automount", "path", "slice", "scope", "swap", "device")


class SystemdOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Failed units, and units that must be active."""

    every: Every = Duration(60)
    units: Annotated[
        tuple[
            Annotated[
                str,
                msgspec.Meta(
                    pattern=r"\A[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*\Z",
                    max_length=255,
                    extra={"words": "the name of a unit, without wildcards"},
                ),
            ],
            ...,
        ],
        msgspec.Meta(
            description="Units that must be active, else the check is critical. `.service` may be left out.",
            examples=[["nginx", "postgresql@15-main.service"]],
        ),
    ] = ()
    ignore: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Units that may fail (* and ? as in file names).", examples=[["systemd-networkd-wait-*"]]
        ),
    ] = ()


class Systemd(CommandCheck[SystemdOptions]):
    """The units of the system's service manager. A failed unit is a warning; one that `units` names is critical."""

    Options = SystemdOptions

    @classmethod
    def default(cls, system: System) -> SystemdOptions | None:
        """Where systemd runs the host (sd_booted(3))."""
        return SystemdOptions() if system.path("run", "systemd", "system").is_dir() else None

    def command(self, context: Context) -> Command:
        """Wildcards stand for the units in the state asked for; names stand for themselves whatever their state."""
        return Command(
            ["systemctl", "show", "--state=failed", f"--property={','.join(PROPERTIES)}", "--", "*", *self.named]
        )

    @property
    def named(self) -> list[str]:
        """`units` with their types."""
        return [unit if unit.rpartition(".")[2] in _TYPES else f"{unit}.service" for unit in self.options.units]

    def parse(self, context: Context, finished: Finished) -> Sample:
        """Blocks of properties, one for each unit."""
        if finished.exit_code != 0:
            said = next((line for line in finished.error.splitlines() if line.strip()), "it did not say why")
            raise CheckError(f"systemctl failed: {said}")
        units = parse_units(finished.output)
        by_name = {name: unit for unit in units for name in unit.get("Names", unit["Id"]).split()}
        named = {unit: by_name.get(unit) for unit in self.named}
        measurements: list[Measurement] = []
        findings: list[Finding] = []
        for unit, found in named.items():
            measurements.append(Measurement("systemd_unit_active", float(_is_active(found)), labels={"unit": unit}))
            if found is None or found.get("LoadState") == "not-found":
                findings.append(Finding("critical", f"there is no unit {unit}"))
            elif not _is_active(found):
                state = found.get("ActiveState", "unknown")
                passing = state in ("activating", "deactivating", "maintenance")
                sub = found.get("SubState", "")
                detail = f" ({sub})" if sub not in ("", state) else ""
                findings.append(Finding("warning" if passing else "critical", f"{unit} is {state}{detail}"))
        ids = {found["Id"] for found in named.values() if found}
        failed = sorted({unit["Id"] for unit in units if unit.get("ActiveState") == "failed"})
        others = [
            unit for unit in failed if unit not in ids and not any(fnmatchcase(unit, p) for p in self.options.ignore)
        ]
        findings += [Finding("warning", f"{unit} has failed") for unit in others]
        if finished.truncated:
            findings.append(Finding("unknown", "systemctl printed more than can be read"))
        count = len(others) + sum(unit in ids for unit in failed)
        measurements.append(Measurement("systemd_units_failed", count))
        active = ", ".join(named) if len(named) == 1 else f"{len(named)} named units"
        summary = f"active: {active}; no unit has failed" if named else "no unit has failed"
        return Sample(measurements, findings, summary)


def parse_units(text: str) -> list[dict[str, str]]:
    """The units in the output of `systemctl show`: `Name=value` lines, a blank line between units.

    A block that has no Id, as where output was cut off, is left out.
    """
    units: list[dict[str, str]] = []
    for block in text.split("\n\n"):
        lines = (line.partition("=") for line in block.splitlines())
        unit = {name: value for name, separator, value in lines if separator}
        if unit.get("Id"):
            units.append(unit)
    return units


def _is_active(unit: dict[str, str] | None) -> bool:
    return unit is not None and unit.get("ActiveState") in ("active", "reloading", "refreshing")
