"""One day of a host's logs, as a report takes it home.

`python -m agent.logs.analyse.daily DAY SINCE UNTIL FOLDER` prints it. The daemon starts that in a process of its own,
with its own rights, low priority and a limit of time.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec

from agent.logs.analyse.analysis import Analyser, usual
from agent.logs.analyse.count import Window
from agent.logs.analyse.known import folder_in
from agent.logs.analyse.result import Analysis, Ranking, Shape
from kit.zones import zone_of
from wire import fit, limits
from wire.report import LogAccess, LogCount, LogLogin, LogShape, LogSummary


def summary_of(analysis: Analysis, *, day: str, since: float, until: float) -> LogSummary:
    """What of an analysis goes home: bounded, with shapes in place of messages."""
    new = analysis.new_shapes
    access = analysis.access
    return fit.log_summary(
        LogSummary(
            day=day,
            since=since,
            until=until,
            lines=analysis.lines,
            unreadable=len(analysis.errors),
            levels={level: count for level, count in analysis.severities.items() if count},
            shapes=_shapes(analysis.shapes),
            new_shapes=_shapes(new or []),
            new=None if new is None else len(new),
            failed_logins=analysis.failed_logins,
            logins=[
                LogLogin(address=login.address, attempts=login.attempts, names=[name.name for name in login.names])
                for login in analysis.logins
            ],
            access=None
            if access is None
            else LogAccess(
                requests=access.requests,
                bytes=access.bytes,
                classes=access.classes,
                paths=_counts(access.paths),
                failed=_counts(access.failed),
                addresses=_counts(access.addresses),
            ),
        )
    )


def _shapes(shapes: list[Shape]) -> list[LogShape]:
    return [LogShape(shape=each.shape, count=each.count, level=each.severity) for each in shapes]


def _counts(ranking: Ranking) -> list[LogCount]:
    return [LogCount(each.name, each.count) for each in ranking.top]


def main() -> None:
    """Analyse the usual logs of a day."""
    day, since, until, folder = sys.argv[1:]
    window = Window(float(since), float(until))
    analyser = Analyser(
        usual(), window, zone=zone_of(""), now=time.time(), memory_folder=folder_in(Path(folder)), processes=1
    )
    summary = summary_of(analyser.run(limits.MAX_SHAPES), day=day, since=window.since, until=window.until)
    sys.stdout.buffer.write(msgspec.json.encode(summary))


if __name__ == "__main__":
    main()
