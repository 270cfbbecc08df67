"""Durations and sizes as people write them: `15s`, `1h30m`, `10MiB`."""

from __future__ import annotations

import re

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
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(ms|s|m|h|d|w))")
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kMGT]?B|[KMGT]iB)")


class Duration(float):
    """Seconds, written as `500ms`, `15s`, `1h30m`, `7d`."""

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Raises ValueError, saying what was expected, for anything that is not a duration."""
        parts = list(_DURATION.finditer(text))
        if not parts or "".join(part.group() for part in parts) != text:
            raise ValueError('a duration such as "500ms", "15s", "1h30m" or "7d"')
        return cls(sum(float(part[1]) * _SECONDS[part[2]] for part in parts))

    def __str__(self) -> str:
        return format_duration(self)


class Size(int):
    """Bytes, written as `512KiB`, `10MiB`, `2GB`."""

    @classmethod
    def parse(cls, text: str) -> Size:
        """Raises ValueError, saying what was expected, for anything that is not a size."""
        match = _SIZE.fullmatch(text)
        if match is None:
            raise ValueError('a size such as "512KiB", "10MiB" or "2GB"')
        return cls(float(match[1]) * _BYTES[match[2]])

    def __str__(self) -> str:
        return format_size(self)


def format_duration(seconds: float) -> str:
    """What `Duration.parse` reads, to the second (below one second to the millisecond): `90` is `1m30s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms" if seconds else "0s"
    rest = round(seconds)
    text = ""
    for unit in ("w", "d", "h", "m", "s"):
        size = int(_SECONDS[unit])
        if unit == "w" and rest % size:
            continue  # "10d" reads better than "1w3d"
        count, rest = divmod(rest, size)
        if count:
            text += f"{count}{unit}"
    return text


def format_size(count: float) -> str:
    """Binary units with one decimal where it says something: `512B`, `1.5MiB`, `10GiB`."""
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f}{unit}" if value >= 100 or value == int(value) else f"{value:.1f}{unit}"
