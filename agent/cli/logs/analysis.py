"""How an analysis of logs looks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from typing import TextIO

from agent.logs.analyse.result import Analysis, Hour, Login, Ranking, Requests, Shape
from kit.terminal import bounded, paint, table
from kit.units import format_duration, format_size

_BLOCKS = " ▁▂▃▄▅▆▇█"
_PLAIN = " .:-=+*#@"
_WIDE = 200
"""Columns where nobody's terminal says how many there are."""
_NARROW = 72
_ADDRESS = 39
"""Columns of an address: the longest of IPv6."""
_HOUR = 3600
_BAD = ("emergency", "alert", "critical", "error")
_COLOURS = dict.fromkeys(_BAD, "critical") | {"warning": "warning"}
_CLASSES = {"4": "warning", "5": "critical"}


def render(analysis: Analysis, zone: tzinfo, stream: TextIO) -> str:
    """The whole of it, for this stream."""
    width = shutil.get_terminal_size().columns if stream.isatty() else _WIDE
    view = _View(analysis, zone, stream, width)
    return "\n\n".join(part for part in view.parts() if part)


class _View:
    def __init__(self, analysis: Analysis, zone: tzinfo, stream: TextIO, width: int) -> None:
        self._analysis = analysis
        self._zone = zone
        self._stream = stream
        self._width = width

    def parts(self) -> Iterator[str]:
        """One after the other; empty ones are left out."""
        analysis = self._analysis
        yield self._summary()
        yield self._severities()
        yield self._chart(analysis.hours)
        if analysis.shapes:
            yield self._shapes("messages", analysis.shapes, analysis.shapes_missed)
        if analysis.new_shapes and analysis.new_since is not None:
            top = analysis.new_shapes[: len(analysis.shapes)]
            since = self._time(analysis.new_since)
            more = len(analysis.new_shapes) - len(top)
            yield self._shapes(f"new since {since}", top, 0) + (f"\nand {more} more" if more > 0 else "")
        if analysis.logins:
            yield self._logins(analysis.failed_logins, analysis.logins)
        if analysis.access is not None:
            yield from self._access(analysis.access)

    def _summary(self) -> str:
        analysis = self._analysis
        what = ", ".join(bounded(source.name, 60) for source in analysis.sources) or "no log"
        found = f"{analysis.lines:,} lines"
        if analysis.first is not None and analysis.last is not None:
            found += f" from {self._time(analysis.first)} to {self._time(analysis.last)}"
        counted = (
            (analysis.untimed, "without a time"),
            (analysis.unread, "not understood"),
            (analysis.cut, "too long and read in part"),
        )
        said = [f"{count:,} {which}" for count, which in counted if count]
        return "\n".join([bounded(what, self._width), found + (f"; {', '.join(said)}" if said else "")])

    def _severities(self) -> str:
        present = [(name, count) for name, count in self._analysis.severities.items() if count]
        if not present:
            return ""
        return "  ".join(self._paint(f"{name} {count:,}", _COLOURS.get(name, "")) for name, count in present)

    def _chart(self, hours: Sequence[Hour]) -> str:
        """A line of columns, one for each hour, or for as many hours as make it fit."""
        if not hours:
            return ""
        first, last = hours[0].start, hours[-1].start
        room = max(min(self._width - 10, 96), 10)
        step = _HOUR * max(1, -(-((last - first) // _HOUR + 1) // room))
        lines = [0] * ((last - first) // step + 1)
        errors = [0] * len(lines)
        for hour in hours:
            lines[(hour.start - first) // step] += hour.lines
            errors[(hour.start - first) // step] += hour.errors
        highest = max(lines)
        each = "an hour" if step == _HOUR else f"{step // _HOUR} hours"
        rows = [f"{'lines':<8}{self._columns(lines)}  at most {highest:,} in {each}"]
        if any(errors):
            painted = self._paint(self._columns(errors), "critical")
            rows.append(f"{'errors':<8}{painted}  at most {max(errors):,}")
        begin, end = self._time(first), self._time(first + step * len(lines))
        gap = len(lines) - len(begin) - len(end)
        rows.append(" " * 8 + (begin + " " * gap + end if gap > 1 else f"{begin} to {end}"))
        return "\n".join(rows)

    def _columns(self, counts: Sequence[int]) -> str:
        levels = _BLOCKS if self._can_show(_BLOCKS) else _PLAIN
        highest = max(counts) or 1
        return "".join(levels[-(-count * (len(levels) - 1) // highest)] for count in counts)

    def _can_show(self, text: str) -> bool:
        if not self._stream.isatty():
            return False
        try:
            text.encode(self._stream.encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            return False
        return True

    def _shapes(self, title: str, shapes: Sequence[Shape], missed: int) -> str:
        rows = [
            self._dated(
                (
                    f"{shape.count:,}",
                    shape.severity,
                    self._time(shape.first),
                    self._time(shape.last),
                    shape.shape,
                )
            )
            for shape in shapes
        ]
        headings = self._dated(("count", "severity", "first", "last", title))
        colours = [self._dated(("", _COLOURS.get(shape.severity, ""), "", "", "")) for shape in shapes]
        return self._table(headings, rows, colours) + _inexact(missed)

    def _logins(self, total: int, logins: Sequence[Login]) -> str:
        rows = [
            self._dated(
                (
                    f"{login.attempts:,}",
                    bounded(login.address, _ADDRESS),
                    self._time(login.first),
                    self._time(login.last),
                    ", ".join(name.name for name in login.names),
                )
            )
            for login in logins
        ]
        headings = self._dated(("attempts", "address", "first", "last", "names tried"))
        return f"{total:,} failed logins\n{self._table(headings, rows)}"

    def _access(self, access: Requests) -> Iterator[str]:
        classes = "  ".join(
            self._paint(f"{name} {count:,}", _CLASSES.get(name[0], "")) for name, count in access.classes.items()
        )
        yield f"{access.requests:,} requests, {format_size(access.bytes)} sent\n{classes}"
        if access.slowest:
            rows = [
                [
                    f"{slow.requests:,}",
                    format_duration(slow.mean),
                    format_duration(slow.longest),
                    format_duration(slow.total),
                    slow.path,
                ]
                for slow in access.slowest
            ]
            yield self._table(("requests", "mean", "longest", "total", "slowest paths"), rows)
        yield self._ranking("requests", "busiest paths", access.paths)
        yield self._ranking("requests", "paths that failed", access.failed)
        yield self._ranking("sent", "paths by bytes", access.sent, sizes=True)
        yield self._ranking("requests", "busiest addresses", access.addresses)
        yield self._ranking("requests", "user agents", access.agents)

    def _ranking(self, count: str, title: str, ranking: Ranking, *, sizes: bool = False) -> str:
        rows = [
            [format_size(each.count) if sizes else f"{each.count:,}", each.name] for each in ranking.top if each.count
        ]
        missed = format_size(ranking.missed) if sizes else f"{ranking.missed:,}"
        return self._table((count, title), rows) + _inexact(ranking.missed, missed) if rows else ""

    def _dated(self, row: Sequence[str]) -> list[str]:
        """A row of a table whose third and fourth columns are times, which narrow terminals have no room for."""
        return [*row[:2], *row[4:]] if self._width < _NARROW else list(row)

    def _table(
        self, headings: Sequence[str], rows: Sequence[Sequence[str]], colours: Sequence[Sequence[str]] | None = None
    ) -> str:
        """The last column takes what room there is."""
        *others, _ = zip(headings, *rows, strict=True)
        taken = sum(max(map(len, column)) + 2 for column in others)
        room = max(self._width - taken, 20)
        cut = [[*row[:-1], bounded(row[-1], room)] for row in rows]
        return table(headings, cut, colours=colours, stream=self._stream)

    def _time(self, seconds: float | None) -> str:
        if seconds is None:
            return ""
        return datetime.fromtimestamp(seconds, self._zone).strftime("%m-%d %H:%M")

    def _paint(self, text: str, colour: str) -> str:
        return paint(text, colour, self._stream) if colour else text


def _inexact(missed: int, shown: str | None = None) -> str:
    return f"\neach may be up to {shown or f'{missed:,}'} more: there were too many to count all" if missed else ""
