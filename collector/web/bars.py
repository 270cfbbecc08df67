"""Small charts of bars: where each bar stands, as SVG draws it, and what the chart says in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from collector.api.backup_shapes import Size, Tried
from collector.rules.backup_state import coarse
from collector.web.format import amount
from kit.units import format_size

WIDTH = 120
HEIGHT = 30
"""Of the drawing's own units; the page says how large it is shown."""
SHOWN_DRILLS = 16
SHOWN_DAYS = 60
LEAST = 2.0
"""Of a bar's height, so that a small one is seen."""

Look = Literal["ok", "critical", "plain", "estimated"]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar."""

    x: float
    y: float
    width: float
    height: float
    look: Look


@dataclass(frozen=True, slots=True)
class Bars:
    """A chart."""

    bars: Sequence[Bar]
    target: float | None
    """Where the line of the target is, from the top; None where there is none."""
    text: str
    """What a reader who does not see it is told."""


def of_drills(tried: Sequence[Tried], target: float | None) -> Bars:
    """How long each drill says a recovery takes, the newest at the right; one that failed is a bar of full height.

    `target` is seconds.
    """
    shown = tried[-SHOWN_DRILLS:]
    times = [one.recovery_time for one in shown if one.held and one.recovery_time is not None]
    top = max([*times, (target or 0.0) * 1.15], default=0.0) or 1.0
    step = WIDTH / SHOWN_DRILLS
    bars = []
    for place, one in enumerate(shown, SHOWN_DRILLS - len(shown)):
        failed = not one.held
        late = target is not None and one.recovery_time is not None and one.recovery_time > target
        share = 1.0 if failed else 0.0 if one.recovery_time is None else one.recovery_time / top
        look: Look = "critical" if failed or late else "estimated" if one.estimated else "ok"
        bars.append(_bar(place * step, step, share, look))
    failures = sum(not one.held for one in shown)
    said = [amount(len(shown), "drill"), f"{failures} failed" if failures else "none failed"]
    if times:
        said.append(f"recovery took {coarse(min(times))} to {coarse(max(times))}")
    if target is not None:
        said.append(f"target {coarse(target)}")
    return Bars(bars, None if target is None else HEIGHT * (1 - target / top), ", ".join(said))


def of_sizes(sizes: Sequence[Size]) -> Bars:
    """How large the snapshots of each day were; days without one are left empty."""
    if not sizes:
        return Bars([], None, "no sizes yet")
    last = sizes[-1].time
    shown = [(round((one.time - last) / 86_400) + SHOWN_DAYS - 1, one) for one in sizes]
    shown = [(place, one) for place, one in shown if place >= 0]
    top = max(one.bytes for _, one in shown) or 1
    step = WIDTH / SHOWN_DAYS
    bars = [_bar(place * step, step, one.bytes / top, "plain") for place, one in shown]
    first = shown[0][1]
    text = f"{amount(len(shown), 'day')}, from {format_size(first.bytes)} to {format_size(shown[-1][1].bytes)}"
    return Bars(bars, None, text)


def _bar(x: float, step: float, share: float, look: Look) -> Bar:
    height = max(LEAST, HEIGHT * min(share, 1.0))
    gap = min(1.5, step / 4)
    return Bar(round(x + gap / 2, 2), round(HEIGHT - height, 2), round(step - gap, 2), round(height, 2), look)
