"""Which charts a host page draws of the series that a host has: pure, and open to measurements not known here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from collector.api.shapes import Series

Range = Literal["1h", "6h", "24h", "7d"]


class Span(msgspec.Struct, frozen=True):
    """How far back a range goes, and how fine it is: both in seconds."""

    length: float
    step: float


# A step is at least twice the usual 15 s between samples, so that every step holds one and no line has holes.
RANGES: dict[Range, Span] = {
    "1h": Span(3600, 30),
    "6h": Span(6 * 3600, 60),
    "24h": Span(24 * 3600, 300),
    "7d": Span(7 * 86400, 1800),
}
DEFAULT_RANGE: Range = "1h"


class Family(msgspec.Struct, frozen=True):
    """Measurements that are read together, with the name of each within the chart."""

    title: str
    measurements: dict[str, str]


# In the order in which the page shows them.
FAMILIES: tuple[Family, ...] = (
    Family("CPU", {"cpu_used_percent": "used", "cpu_iowait_percent": "I/O wait", "cpu_steal_percent": "stolen"}),
    Family("Memory", {"memory_used_percent": "memory", "swap_used_percent": "swap"}),
    Family("Disk space used", {"disk_used_percent": ""}),
    Family("Network", {"network_received_bytes_per_second": "in", "network_sent_bytes_per_second": "out"}),
    Family("Load", {"load_average": ""}),
    Family("Disk throughput", {"disk_read_bytes_per_second": "read", "disk_written_bytes_per_second": "written"}),
    Family("Disk busy", {"disk_busy_percent": ""}),
    Family("Disk operations", {"disk_reads_per_second": "reads", "disk_writes_per_second": "writes"}),
    Family("Response time", {"http_response_seconds": "response"}),
    Family("Connection time", {"tcp_connect_seconds": "connection"}),
    Family("Process CPU", {"process_cpu_percent": ""}),
    Family("Process memory", {"process_memory_bytes": ""}),
    Family("Inodes used", {"disk_inodes_used_percent": ""}),
    Family(
        "Network errors and drops",
        {
            "network_receive_errors_per_second": "errors in",
            "network_send_errors_per_second": "errors out",
            "network_receive_drops_per_second": "drops in",
            "network_send_drops_per_second": "drops out",
        },
    ),
)
_FAMILY = {name: family for family in FAMILIES for name in family.measurements}
_ORDER = {family.title: number for number, family in enumerate(FAMILIES)}
_MORE = {"Inodes used", "Network errors and drops"}

# Of several labels these tell a series apart for people; the others follow from them.
_TELLING = ("mount", "interface", "window", "unit", "device")


MAX_LINES = 40
"""Of one chart: nobody tells more of them apart."""
MAX_SERIES = 400
"""Of all charts of a host together. What is left out is counted; the API gives it."""


class Line(msgspec.Struct, frozen=True):
    """One line of a chart: a value, or None, for each of the times that all charts share."""

    key: str
    """Tells it from the chart's other lines, whatever else is drawn."""
    label: str
    values: list[float | None]


class Chart(msgspec.Struct, frozen=True):
    """One chart: lines of one unit."""

    id: str
    """The same for the same chart of the same host, whatever else is drawn."""
    title: str
    check: str
    unit: str
    more: bool
    """True for what is shown on demand only."""
    lines: list[Line]
    left_out: int = 0
    """Lines beyond MAX_LINES."""


class Charts(msgspec.Struct, frozen=True, kw_only=True):
    """What the page asks for. All times are seconds since the epoch by home's clock."""

    range: Range
    length: float
    """Seconds that the range covers."""
    step: float
    """Seconds between two times."""
    start: float
    """From when on the host has been measured, or the beginning of the range if that is later."""
    until: float
    """When this was asked for."""
    times: list[float]
    charts: list[Chart]
    left_out: int
    """Series that no chart shows."""


def arrange(series: Sequence[Series]) -> list[Chart]:
    """Every series lands in exactly one chart: known families first, the rest by check and name."""
    groups: dict[tuple[str, str, str], list[Series]] = {}
    for one in series:
        family = _FAMILY.get(one.name)
        groups.setdefault((one.check, family.title if family else _title(one.name), one.unit), []).append(one)
    charts = [_chart(check, title, unit, members) for (check, title, unit), members in groups.items()]
    return sorted(charts, key=lambda chart: (chart.more, _ORDER.get(chart.title, len(_ORDER)), chart.check, chart.id))


def bounded(charts: Sequence[Chart]) -> tuple[list[Chart], int]:
    """The first lines of each chart and the first charts, and how many series were left out.

    The first ones in the order of `arrange`, and not the highest: those would be others in each answer.
    """
    shown: list[Chart] = []
    room = MAX_SERIES
    for chart in charts:
        lines = chart.lines[: min(MAX_LINES, room)]
        if lines:
            shown.append(replace(chart, lines=lines, left_out=len(chart.lines) - len(lines)))
        room -= len(lines)
    return shown, sum(len(chart.lines) for chart in charts) - (MAX_SERIES - room)


def _chart(check: str, title: str, unit: str, members: list[Series]) -> Chart:
    family = _FAMILY.get(members[0].name)
    varying = _varying_labels(members)
    lines = [
        Line(_key(one), _label(one, family.measurements[one.name] if family else "", varying), one.values)
        for one in sorted(members, key=lambda one: (_rank(family, one), natural(sorted(one.labels.items()))))
    ]
    return Chart(
        id="/".join((check, title, unit)),
        title=title,
        check=check,
        unit=unit,
        more=family is None or title in _MORE,
        lines=lines,
    )


def _key(one: Series) -> str:
    return "\0".join([one.name, *(part for label in sorted(one.labels.items()) for part in label)])


def _rank(family: Family | None, one: Series) -> int:
    return list(family.measurements).index(one.name) if family else 0


def natural(labels: list[tuple[str, str]]) -> list[tuple[str, int, str]]:
    """A sort key under which windows of 1m, 5m and 15m come in that order."""
    key = []
    for name, value in labels:
        digits = value[: len(value) - len(value.lstrip("0123456789"))]
        key.append((name, int(digits) if digits.isascii() and 0 < len(digits) < 16 else -1, value))
    return key


def _varying_labels(members: list[Series]) -> list[str]:
    """The labels in which the members of a chart differ, the telling ones alone where they suffice."""
    names = sorted({name for one in members for name in one.labels})
    varying = [name for name in names if len({one.labels.get(name) for one in members}) > 1]
    for name in _TELLING:
        if name in varying and len({(one.name, one.labels.get(name)) for one in members}) == len(members):
            return [name]
    return varying


def _label(one: Series, part: str, varying: list[str]) -> str:
    labels = " ".join(one.labels.get(name, "") for name in varying if one.labels.get(name))
    if not labels and not part and one.labels:
        labels = next((one.labels[name] for name in _TELLING if name in one.labels), " ".join(one.labels.values()))
    return " ".join(filter(None, (labels, part))) or one.name.replace("_", " ")


def _title(name: str) -> str:
    words = " ".join("CPU" if word == "cpu" else word for word in name.split("_")).strip()
    return words[:1].upper() + words[1:]
