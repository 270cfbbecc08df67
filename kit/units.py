"""Durations and sizes as people write them: `15s`, `1h30m`, `10MiB`."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import ClassVar, Self

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
# Fifteen digits are more years than the earth has, or what no disk holds, and no float overflows on the way.
_NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,9})?)"
_DURATION = re.compile(_NUMBER + r"(ms|[smhdw])")
_SIZE = re.compile(_NUMBER + r" ?([kMGT]?B|[KMGT]iB)")


class FromText(ABC):
    """A value that people write as text. `str()` of it is a text that `parse` takes."""

    NAME: ClassVar[str]
    """`a duration`"""
    EXPECTED: ClassVar[str]
    """The name with examples: the message of the ValueError."""

    @classmethod
    @abstractmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError, saying what was expected, for anything else."""


class Duration(FromText, float):
    """Seconds, written as `500ms`, `15s`, `1h30m`, `7d`."""

    NAME: ClassVar[str] = "a duration"
    EXPECTED: ClassVar[str] = 'a duration such as "500ms", "15s", "1h30m" or "7d"'

    @classmethod
    def parse(cls, text: str) -> Self:
        parts = list(_DURATION.finditer(text))
        if not parts or "".join(part.group() for part in parts) != text:
            raise ValueError(cls.EXPECTED)
        return cls(sum(float(part[1]) * _SECONDS[part[2]] for part in parts))

    def __str__(self) -> str:
        """The shortest text that `parse` reads as the same value, to the millisecond."""
        return format_duration(self) if self.is_integer() else f"{round(self * 1000)}ms"


class Size(FromText, int):
    """Bytes, written as `512KiB`, `10MiB`, `2GB`."""

    NAME: ClassVar[str] = "a size"
    EXPECTED: ClassVar[str] = 'a size such as "512KiB", "10MiB" or "2GB"'

    @classmethod
    def parse(cls, text: str) -> Self:
        match = _SIZE.fullmatch(text)
        if match is None:
            raise ValueError(cls.EXPECTED)
        whole, _, fraction = match[1].partition(".")
        unit = _BYTES[match[2]]
        return cls(int(whole) * unit + round(float(f"0.{fraction or 0}") * unit))

    def __str__(self) -> str:
        """The text in the largest unit that `parse` reads as the same value: `1536KiB`, never a rounded `1.5MiB`."""
        units = sorted(_BYTES, key=_BYTES.__getitem__, reverse=True)
        unit = next(unit for unit in units if self % _BYTES[unit] == 0) if self else "B"
        return f"{self // _BYTES[unit]}{unit}"


def format_duration(seconds: float) -> str:
    """What `Duration.parse` reads, to the second (below one second to the millisecond): `90` is `1m30s`."""
    if seconds < 0.9995:
        return f"{round(seconds * 1000)}ms" if seconds else "0s"
    rest = round(seconds)
    text = ""
    for unit in ("d", "h", "m", "s"):  # not weeks: people say "90d"
        count, rest = divmod(rest, int(_SECONDS[unit]))
        if count:
            text += f"{count}{unit}"
    return text


def format_roughly(seconds: float) -> str:
    """One unit, rounded down, for how long ago something was: `45s`, `90m`, `47h`, `12d`."""
    for unit, least in (("d", 2 * _SECONDS["d"]), ("h", 2 * _SECONDS["h"]), ("m", 2 * _SECONDS["m"])):
        if seconds >= least:
            return f"{int(seconds / _SECONDS[unit])}{unit}"
    return f"{max(0, int(seconds))}s"


def format_size(count: float) -> str:
    """Binary units with one decimal where it says something: `512B`, `1.5MiB`, `10GiB`."""
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1023.5:  # what would be shown as 1024 is one of the next unit
            break
        value, unit = value / 1024, larger
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}".removesuffix(".0")
    return text + unit
