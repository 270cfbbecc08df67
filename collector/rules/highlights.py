"""The few figures that tell a host at a glance, from the newest readings that carry them.

The names of the measurements are the agent's: cpu_used_percent, memory_used_percent, disk_used_percent{mount},
systemd_units_failed, backup_drill_overdue_seconds{drill}.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from collector.api.shapes import Highlight, HighlightKey, HostState
from wire.report import CheckState, Reading

MOST_DRILLS = 200
"""Of a host."""


class Figure(msgspec.Struct, frozen=True, array_like=True):
    """A value and the check that measured it."""

    check: str
    value: float
    label: str = ""
    """The mount, for a disk."""


class Vitals(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The newest of the figures that the highlights are made from. Of the mounts of a check only the fullest counts:
    so a host's vitals are bounded by its checks, whatever it calls its mounts."""

    cpu: Figure | None = None
    memory: Figure | None = None
    disks: list[Figure] = []
    services: Figure | None = None
    drills: list[Figure] = []
    """By its label a drill that has a timetable, whether it was ever run or not. The value is since when it is due,
    by the host's clock; 0.0 where it is not."""


def take_vitals(
    before: Vitals, readings: Sequence[Reading], checks: Iterable[CheckState], time: float = 0.0
) -> Vitals:
    """The figures after a report of `time`: new ones replace old ones; those of a check that is gone go."""
    cpu, memory, services = before.cpu, before.memory, before.services
    disks: dict[str, tuple[float, Figure]] = {}
    drills: dict[str, Figure] = {}
    for reading in readings:
        if reading.name == "cpu_used_percent":
            cpu = Figure(reading.check, reading.value)
        elif reading.name == "memory_used_percent":
            memory = Figure(reading.check, reading.value)
        elif reading.name == "systemd_units_failed":
            services = Figure(reading.check, reading.value)
        elif reading.name == "disk_used_percent":
            # A run of a disk check lists all of its mounts: one that its newest run does not list was unmounted.
            run, fullest = disks.get(reading.check, (reading.time, None))
            if fullest is None or (reading.time, reading.value) > (run, fullest.value):
                figure = Figure(reading.check, reading.value, reading.labels.get("mount", ""))
                disks[reading.check] = reading.time, figure
        elif reading.name == "backup_drill_overdue_seconds" and len(drills) < MOST_DRILLS:
            due = max((reading.time or time) - reading.value, 1.0) if reading.value > 0 else 0.0
            name = reading.labels.get("drill", "")
            drills[name] = Figure(reading.check, due, name)
    names = {check.name for check in checks}
    return Vitals(
        cpu=_kept(cpu, names),
        memory=_kept(memory, names),
        services=_kept(services, names),
        disks=[
            *(figure for figure in before.disks if figure.check in names and figure.check not in disks),
            *(figure for check, (_, figure) in disks.items() if check in names),
        ],
        # A run of the check lists all of them.
        drills=[figure for figure in (drills.values() or before.drills) if figure.check in names],
    )


def planned_drills(vitals: Vitals) -> dict[str, float]:
    """Drills with a timetable to since when each is due, as Vitals has it."""
    return {figure.label: figure.value for figure in vitals.drills}


def highlights(vitals: Vitals, checks: Mapping[str, CheckState], state: HostState) -> list[Highlight]:
    """Always the same four, in this order; `checks` by name. What a host that is down measured is unknown now."""
    fullest = max(vitals.disks, key=lambda figure: figure.value, default=None)
    return [
        _percent("cpu", vitals.cpu, checks, state),
        _percent("memory", vitals.memory, checks, state),
        _percent("disk", fullest, checks, state),
        _services(vitals.services, checks, state),
    ]


def short(value: float) -> str:
    """A whole number, `43`; in powers of ten, `1e+308`, where nobody would read the digits."""
    return f"{value:.0f}" if abs(value) < 1e6 else f"{value:.0e}"


def _kept(figure: Figure | None, names: set[str]) -> Figure | None:
    return figure if figure is not None and figure.check in names else None


def _nothing(key: HighlightKey) -> Highlight:
    return Highlight(key=key, state="unknown", value=None, text="none", message="Nothing measures it.")


def _percent(
    key: HighlightKey, figure: Figure | None, checks: Mapping[str, CheckState], state: HostState
) -> Highlight:
    if figure is None:
        return _nothing(key)
    text = f"{short(figure.value)} %"
    return _highlight(key, figure, f"{figure.label} {text}".strip(), checks, state)


def _services(figure: Figure | None, checks: Mapping[str, CheckState], state: HostState) -> Highlight:
    if figure is None:
        return _nothing("services")
    return _highlight("services", figure, f"{short(figure.value)} failed", checks, state)


def _highlight(
    key: HighlightKey, figure: Figure, text: str, checks: Mapping[str, CheckState], state: HostState
) -> Highlight:
    check = checks.get(figure.check)
    return Highlight(
        key=key,
        state="unknown" if check is None or state == "down" else check.state,
        value=figure.value,
        text=text,
        message="" if check is None else check.message,
    )
