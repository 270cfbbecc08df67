"""How figures and times read on a page. Times leave here as UTC; the browser turns them into local ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from collector.api.shapes import Highlight
from collector.rules.highlights import short
from kit.units import format_duration
from wire.report import State


def iso(time: float) -> str:
    """For `<time datetime>`: `2026-01-02T03:04:05Z`."""
    return _utc(time).strftime("%Y-%m-%dT%H:%M:%SZ")


def plain(time: float) -> str:
    """What is read where no script turns it into local time: `2026-01-02 03:04:05 UTC`."""
    return _utc(time).strftime("%Y-%m-%d %H:%M:%S UTC")


def took(seconds: float) -> str:
    """How long something took: `340 ms`, `4.2 s`, `12 min 5 s`."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.2g} ms"
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return format_duration(round(seconds))


def amount(count: int, noun: str) -> str:
    """`1 host`, `2,500 hosts`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def toml_key(name: str) -> str:
    """A name as a key of TOML: in quotes where it needs them."""
    plain = name and all(letter.isascii() and (letter.isalnum() or letter in "_-") for letter in name)
    return name if plain else json.dumps(name)


def log_state(level: str) -> State:
    """The state in whose colour messages of a level are shown."""
    if level in ("emergency", "alert", "critical", "error"):
        return "critical"
    return "warning" if level == "warning" else "ok"


def figure_value(highlight: Highlight) -> str:
    """A highlight's value alone: `91 %` of `/var 91 %`."""
    return (
        f"{short(highlight.value)} %" if highlight.key == "disk" and highlight.value is not None else highlight.text
    )


def figure_label(highlight: Highlight) -> str:
    """What a highlight is of, where that is not plain: `/var` of `/var 91 %`."""
    return highlight.text.removesuffix(figure_value(highlight)).strip()


def _utc(time: float) -> datetime:
    """Agents' clocks may say anything: what no calendar holds becomes the nearest end of it."""
    try:
        return datetime.fromtimestamp(min(max(time, 0.0), 253402300799.0), UTC)
    except (ValueError, OverflowError):  # not a number
        return datetime.fromtimestamp(0, UTC)
