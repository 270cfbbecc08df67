"""`hostward logs analyse`: what logs say, summed up."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from datetime import datetime, tzinfo
from pathlib import Path

from agent.cli.backup.progress import progress
from agent.cli.logs.analysis import render
from agent.logs.analyse.analysis import NEVER, STANDARD_INPUT, Analyser, Origin, usual
from agent.logs.analyse.count import Window
from agent.logs.analyse.known import folder_in
from agent.paths import state_folder
from kit.commands import Command
from kit.errors import UsageError
from kit.jsontext import json_text
from kit.progress import Status
from kit.terminal import clean
from kit.units import Duration
from kit.zones import zone_of

PARTLY = 3
"""The exit code where something could not be read."""
_USUALLY = 86400.0
_UNIT = re.compile(
    r"[A-Za-z0-9:_.\\@-]{1,255}\.(service|socket|device|mount|automount|swap|target|path|timer|slice|scope)"
    r"|[A-Za-z0-9:_\\@-]{1,255}"
)
"""A unit, with its kind or, for a service, without (systemd.unit(5)): anything else with a dot is a file's name."""


def configure(parser: argparse.ArgumentParser) -> None:
    """What to read, and of which time."""
    parser.add_argument(
        "logs", nargs="*", metavar="PATH|UNIT", help="a log, a unit of systemd, or - for standard input"
    )
    parser.add_argument("--since", metavar="TIME", help='an age such as "24h", or a time such as "2026-11-22 14:30"')
    parser.add_argument("--until", metavar="TIME", help="the same; lines of that moment are left out")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="list this many of each (10)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Read the logs and print what they say."""
    if not 1 <= options.top <= 1000:
        raise UsageError(f"--top {options.top}: expected a number from 1 to 1000")
    zone, now = zone_of(""), time.time()
    origins = _origins(options.logs)
    since = _moment("--since", options.since, zone, now)
    if since is None:
        since = NEVER if any(origin.path or origin == STANDARD_INPUT for origin in origins) else now - _USUALLY
    if not origins:
        origins = usual()
    until = _moment("--until", options.until, zone, now)
    window = Window(since, float("inf") if until is None else until)
    if window.since >= window.until:
        raise UsageError("--until is not later than --since, so there is nothing to read")
    folder = folder_in(state_folder(options.state_dir))
    analyser = Analyser(origins, window, zone=zone, now=now, memory_folder=folder)
    shown = argparse.Namespace(json=options.json, quiet=options.json)
    with progress(shown, lambda: Status(analyser.work.done, analyser.work.total or None)):
        analysis = analyser.run(options.top)
    for error in analysis.errors:
        print(f"hostward: {clean(error)}", file=sys.stderr)
    if options.json:
        print(json_text(analysis, indent=False))
    else:
        print(render(analysis, zone, sys.stdout))
    if not analysis.errors:
        return 0
    return PARTLY if any(source.lines or source.files for source in analysis.sources) else 1


def _origins(words: Sequence[str]) -> list[Origin]:
    origins = []
    for word in words:
        if word == "-":
            origin = STANDARD_INPUT
        elif "/" in word or Path(word).exists():
            origin = Origin(path=Path(word).absolute())
        elif _UNIT.fullmatch(word):
            origin = Origin(unit=word)
        else:
            raise UsageError(f'"{word}" is no file: expected the path of a log, the name of a unit, or -')
        if origin not in origins:
            origins.append(origin)
    return origins


def _moment(option: str, given: str | None, zone: tzinfo, now: float) -> float | None:
    """Seconds since the epoch. Raises UsageError."""
    if given is None:
        return None
    try:
        return now - Duration.parse(given)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(given)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f'{option} "{given}": expected an age such as "24h" or "7d", or a time such as "2026-11-22 14:30"'
        ) from None


ANALYSE = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward logs analyse                                  the usual logs of the last 24 hours
  hostward logs analyse --since 7d /var/log/nginx/access.log
  hostward logs analyse --since 1h ssh.service           what a unit told the journal
  zcat old.log.gz | hostward logs analyse -
  hostward logs analyse --json | jq .severities""",
    notes="""\
A log is read with the rotated pieces beside it, compressed or not. Without --since, a named file is read whole,
and anything else from 24 hours ago on.

exit codes: 0 done, 1 failed, 2 bad usage, 3 some of it could not be read.""",
)
