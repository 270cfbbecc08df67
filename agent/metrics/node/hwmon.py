"""Sensors of the hardware: temperatures, fans, voltages, currents, power."""

from __future__ import annotations

import os
import re
from pathlib import Path

from agent.metrics.family import Family, Type
from agent.metrics.files import NoDataError, entries, word
from agent.paths import System

SENSORS = frozenset(
    {"vrm", "beep_enable", "update_interval", "in", "cpu", "fan", "pwm", "temp", "curr", "power", "energy"}
    | {"humidity", "intrusion", "freq"}
)
_FILE = re.compile(r"([^0-9]+)([0-9]*)(?:_(.+))?")
_UNFIT = re.compile(r"[^a-z0-9:_]")

Described = tuple[str, str, Type, float]
"""Name, help, type, and what a raw value is multiplied by."""


def collect(system: System) -> list[Family]:
    """/sys/class/hwmon (Documentation/hwmon/sysfs-interface.rst)."""
    root = system.path("sys", "class", "hwmon")
    if not root.is_dir():
        raise NoDataError
    families: dict[str, Family] = {}

    def add(described: Described, raw: float, **labels: str) -> None:
        name, about, kind, unit = described
        families.setdefault(name, Family(name, about, kind)).add(raw * unit, **labels)

    for folder in entries(root):
        chip = _chip(folder)
        if name := word(folder / "name"):
            about = "Annotation metric for human-readable chip names"
            add(("node_hwmon_chip_names", about, "gauge", 1), 1, chip=chip, chip_name=clean(name))
        for sensor, properties in sorted(_sensors(folder).items()):
            if label := properties.pop("label", ""):
                about = "Label for given chip and sensor"
                add(("node_hwmon_sensor_label", about, "gauge", 1), 1, chip=chip, sensor=sensor, label=label)
            kind = _split(sensor)[0]
            for element, value in sorted(properties.items()):
                try:
                    raw = float(value)
                except ValueError:
                    continue
                add(describe(kind, element, alone="" not in properties), raw, chip=chip, sensor=sensor)
    return list(families.values())


def describe(kind: str, element: str, *, alone: bool) -> Described:
    """How node_exporter calls `{kind}1_{element}`; `alone` where no file `{kind}1` stands beside `…_input`."""
    if kind == "beep_enable":
        return "node_hwmon_beep_enabled", "Hardware beep enabled", "gauge", 1
    if kind == "vrm":
        return "node_hwmon_voltage_regulator_version", "Hardware voltage regulator", "gauge", 1
    if kind == "update_interval":
        return "node_hwmon_update_interval_seconds", "Hardware monitor update interval", "gauge", 0.001
    name = f"node_hwmon_{kind}"
    if element == "input":
        name += "" if alone else "_input"
    elif element:
        name += f"_{clean(element)}"
    about = f"Hardware monitor {kind} element {element}"
    if element in ("fault", "alarm"):
        return name, f"Hardware sensor {element} status ({kind})", "gauge", 1
    if element == "beep":
        return f"{name}_enabled", "Hardware monitor sensor has beeping enabled", "gauge", 1
    if kind in ("in", "cpu"):
        return f"{name}_volts", f"Hardware monitor for voltage ({element})", "gauge", 0.001
    if kind == "temp" and element != "type":
        return f"{name}_celsius", f"Hardware monitor for temperature ({element or 'input'})", "gauge", 0.001
    if kind == "curr":
        return f"{name}_amps", f"Hardware monitor for current ({element})", "gauge", 0.001
    if kind == "energy":
        return f"{name}_joule_total", f"Hardware monitor for joules used so far ({element})", "counter", 1e-6
    if kind == "power" and element == "accuracy":
        return name, "Hardware monitor power meter accuracy, as a ratio", "gauge", 1e-6
    if kind == "power" and element.startswith("average_interval"):
        return f"{name}_seconds", f"Hardware monitor power usage update interval ({element})", "gauge", 0.001
    if kind == "power":
        return f"{name}_watt", f"Hardware monitor for power usage in watts ({element})", "gauge", 1e-6
    if kind == "humidity":
        ratio = "as a ratio (multiply with 100.0 to get the humidity as a percentage)"
        return name, f"Hardware monitor for humidity, {ratio} ({element})", "gauge", 1e-6
    if kind == "fan" and element in ("input", "min", "max", "target"):
        return f"{name}_rpm", f"Hardware monitor for fan revolutions per minute ({element})", "gauge", 1
    if kind == "freq" and element == "input":
        return f"{name}_freq_mhz", "Hardware monitor for GPU frequency in MHz", "gauge", 1e-6
    return name, about, "gauge", 1


def clean(text: str) -> str:
    """As a part of a metric's name."""
    return _UNFIT.sub("_", text.lower()).strip("_")


def _split(file: str) -> tuple[str, str, str]:
    match = _FILE.fullmatch(file)
    return (match[1], match[2], match[3] or "") if match else ("", "", "")


def _sensors(folder: Path) -> dict[str, dict[str, str]]:
    """Sensor, as `temp1`, to its properties, as `input`, and their texts; older drivers have them in `device`."""
    found: dict[str, dict[str, str]] = {}
    for file in [*entries(folder), *entries(folder / "device")]:
        kind, number, element = _split(file.name)
        if kind in SENSORS and (value := word(file)) is not None:
            found.setdefault(f"{kind}{int(number or 0)}", {})[element] = value
    return found


def _chip(folder: Path) -> str:
    """A name that stays over boots, for the numbers of hwmon0, hwmon1… do not: where the device is on its bus."""
    if (folder / "device").exists():
        device = Path(os.path.realpath(folder / "device"))
        bus, name = clean(device.parent.name), clean(device.name)
        if named := "_".join(part for part in (bus, name) if part):
            return named
    return clean(word(folder / "name") or "") or clean(Path(os.path.realpath(folder)).name)
