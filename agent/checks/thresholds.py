"""Judging a value by bounds: pure, with the time passed in.

A level (warning, critical) is *pending* from the tick at which the value crossed its threshold, and *in force* once
the value stayed there for the bounds' `for`. In force it stays until the value is past the threshold by more than the
hysteresis. Each level is followed by itself, so a worse value never gives a better state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from agent.checks.contract import Bounds, Threshold
from kit.units import format_duration, format_size
from wire.report import SEVERITY, State

Level = Literal["warning", "critical"]


class Track(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of one level of one reading. None of these means that the value is on the good side."""

    since: float
    """The tick at which the value crossed the threshold."""
    in_force: bool


class Tracks(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of one reading between two samples."""

    warning: Track | None = None
    critical: Track | None = None

    @property
    def state(self) -> State:
        """The worst level in force."""
        if self.critical and self.critical.in_force:
            return "critical"
        return "warning" if self.warning and self.warning.in_force else "ok"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one reading stands."""

    state: State
    tracks: Tracks
    text: str
    """Which threshold holds, or is being crossed: "warning from 80 %", "above 85 % for 20s of 1m"; or nothing."""


def worst(*states: State) -> State:
    """The worst of `states` by SEVERITY, ok of none."""
    return max(states, key=SEVERITY.index, default="ok")


def resolve(bounds: Bounds, labels: Mapping[str, str]) -> Bounds:
    """The bounds that hold for a reading with these labels: those of the first override that matches."""
    if not isinstance(bounds, Threshold):
        return bounds
    for override in bounds.overrides:
        if all(name in labels and fnmatchcase(labels[name], glob) for name, glob in override.labels.items()):
            return msgspec.structs.replace(  # of the same kind, so that what was bad downwards stays so
                bounds,
                warning=bounds.warning if override.warning is None else override.warning,
                critical=bounds.critical if override.critical is None else override.critical,
                for_=bounds.for_ if override.for_ is None else override.for_,
                hysteresis=bounds.hysteresis if override.hysteresis is None else override.hysteresis,
                overrides=(),
            )
    return bounds


def evaluate(value: float, bounds: Bounds, tracks: Tracks, *, ticks: float, unit: str = "") -> Verdict:
    """How `value`, a finite number, stands at `ticks`, after what is in `tracks`.

    `ticks` is in seconds by a clock that nobody can set. Should it run backwards all the same, time that was
    pending starts anew.
    """
    warning = _follow(value, bounds.warning, bounds, tracks.warning, ticks)
    critical = _follow(value, bounds.critical, bounds, tracks.critical, ticks)
    judged = Tracks(warning, critical)
    texts: list[str] = []
    levels: tuple[tuple[Level, float | Literal["off"], Track | None], ...] = (
        ("critical", bounds.critical, critical),
        ("warning", bounds.warning, warning),
    )
    for level, threshold, track in levels:
        if isinstance(threshold, str) or track is None:
            continue
        if track.in_force:
            if level == judged.state:
                texts.insert(0, _in_force(level, value, threshold, bounds, unit))
        elif not texts:
            texts.append(_pending(threshold, bounds, track, ticks, unit))
    return Verdict(judged.state, judged, ", ".join(texts))


def forget_pending(tracks: Tracks) -> Tracks:
    """What is left after nobody looked for a while: what was in force, but no time that was pending."""

    def kept(track: Track | None) -> Track | None:
        return track if track and track.in_force else None

    return Tracks(kept(tracks.warning), kept(tracks.critical))


def _excess(value: float, threshold: float, bounds: Bounds) -> float:
    """How far the value is on the bad side; negative on the good side."""
    return value - threshold if bounds.worse == "above" else threshold - value


def _follow(
    value: float, threshold: float | Literal["off"], bounds: Bounds, track: Track | None, ticks: float
) -> Track | None:
    if isinstance(threshold, str):
        return None
    if _excess(value, threshold, bounds) < (-bounds.hysteresis if track and track.in_force else 0):
        return None
    since = ticks if track is None or track.since > ticks else track.since
    return Track(since, (track is not None and track.in_force) or ticks - since >= bounds.for_)


def _in_force(level: Level, value: float, threshold: float, bounds: Bounds, unit: str) -> str:
    if _excess(value, threshold, bounds) < 0:
        sign, way = (-1, "below") if bounds.worse == "above" else (1, "above")
        return f"{level} until {way} {say(threshold + sign * bounds.hysteresis, unit)}"
    way = "from" if bounds.worse == "above" else "at or below"
    lasting = f" for {format_duration(bounds.for_)}" if bounds.for_ else ""
    return f"{level} {way} {say(threshold, unit)}{lasting}"


def _pending(threshold: float, bounds: Bounds, track: Track, ticks: float, unit: str) -> str:
    passed = f"{format_duration(ticks - track.since)} of {format_duration(bounds.for_)}"
    way = "above" if bounds.worse == "above" else "at or below"
    return f"{way} {say(threshold, unit)} for {passed}"


def say(value: float, unit: str) -> str:
    """A value with its unit, as people read it: `91 %`, `1.5GiB`, `230 ms`, `12/s`. Three digits say enough."""
    match unit:
        case "percent":
            return f"{_digits(value)} %"
        case "bytes":
            return format_size(value)
        case "bytes/s":
            return f"{format_size(value)}/s"
        case "seconds" if abs(value) < 1:
            return f"{_digits(value * 1000)} ms"
        case "seconds" if abs(value) < 120:
            return f"{_digits(value)} s"
        case "seconds":
            return format_duration(value) if value > 0 else f"-{format_duration(-value)}"
        case "1/s":
            return f"{_digits(value)}/s"
        case "":
            return _digits(value)
        case _:
            return f"{_digits(value)} {unit}"


def _digits(value: float) -> str:
    if abs(value) >= 1e15:
        return f"{value:.3g}"
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
