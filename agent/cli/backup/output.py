"""What commands print: lines whose paths stay as they are, warnings, and sizes and times for people."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from datetime import UTC, datetime

from agent.cli.backup.progress import compact, make_way, print_line
from backup.format.gotime import parse_moment
from kit.terminal import clean
from kit.units import format_roughly


def prepare() -> None:
    """Let paths go to programs byte by byte as they are."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")


def print_path(before: str, path: bytes, after: str = "") -> None:
    """A line with a path: on a terminal without what would steer it."""
    text = path.decode("utf-8", "surrogateescape")
    print_line(f"{before}{clean(text) if sys.stdout.isatty() else text}{after}")


def print_json(value: object) -> None:
    """One line of JSON."""
    print_line(harmless_json(compact(value)))


def harmless_json(text: str) -> str:
    """The same JSON, on a terminal without what would steer it: of that, JSON has to escape only a part."""
    if text.isprintable() or not sys.stdout.isatty():
        return text
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)


def warn(message: str) -> None:
    """A line on standard error about what does not end the command."""
    make_way()
    print(f"hostward: {clean(message)}", file=sys.stderr)


def print_error(message: str, options: argparse.Namespace, **about: str) -> None:
    """One thing that went wrong, and does not end the command; with --json as an object, with what it is `about`."""
    if options.json:
        error: object = message if not about else {"message": message}
        shown = {"message_type": "error", "message" if not about else "error": error, **about}
        print(json.dumps(shown), file=sys.stderr)
    else:
        warn(message)


def local_time(time: str | datetime | float) -> str:
    """A time of the repository, or seconds since the epoch, on this host's clock, to the second."""
    if isinstance(time, float):
        moment = datetime.fromtimestamp(time, UTC)
    else:
        moment = parse_moment(time).datetime() if isinstance(time, str) else time
    with contextlib.suppress(OverflowError):  # the first and the last day that there are have no other zone
        moment = moment.astimezone()
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def ago(time: float | None, now: float) -> str:
    """How long ago that was, for a column: `3h ago`; `-` for never."""
    return "-" if time is None else f"{format_roughly(now - time)} ago"


def plural(count: int, word: str) -> str:
    """`1 snapshot`, `2 snapshots`."""
    return f"{count:,} {word}" + ("" if count == 1 else "s")
