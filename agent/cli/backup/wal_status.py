"""`hostward backup wal status`: which moments of a PostgreSQL server can be restored, and what waits to be saved."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from agent.backups.wal.plan import Gap
from agent.backups.wal.spool import waiting
from agent.backups.wal.status import Standing, Waiting, standing, waiting_of
from agent.cli.backup.access import opened
from agent.cli.backup.jobs import find_job
from agent.cli.backup.output import local_time, plural, print_json
from agent.cli.backup.picking import all_snapshots
from agent.cli.backup.shapes import Object
from backup.errors import RepositoryError
from backup.select.snapshots import SnapshotFilter
from backup.select.wal import Chain, chains
from backup.select.wal_names import lsn, segment_name
from kit.commands import Command
from kit.errors import HostwardError
from kit.terminal import clean, table
from kit.units import format_size


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("--spool", metavar="DIR", help="what waits in it; the spool of the job")
    parser.add_argument("-H", "--host", action="append", default=[], metavar="HOST", help="of this host")


def run(options: argparse.Namespace) -> int:
    """Print it for each cluster."""
    spool = options.spool
    if spool is None and options.job is not None and (source := find_job(options, options.job).postgresql_wal):
        spool = source.spool
    spooled: dict[int, Waiting] = {}
    if spool is not None:
        try:
            spooled = waiting_of(waiting(Path(spool)))
        except OSError as error:
            raise HostwardError(f"{clean(spool)}, the spool: {error.strerror}") from None
    with opened(options, "read") as repository:
        wanted = SnapshotFilter(tuple(options.host))
        found = chains(each for each in all_snapshots(repository) if wanted.matches(each))
    known = {system: standing(chain) for system, chain in found.items()}
    known |= {system: standing(Chain(system)) for system in spooled if system not in known}
    if options.json:
        print_json([_object(each, spooled.get(system), spool is not None) for system, each in sorted(known.items())])
    else:
        for number, (system, each) in enumerate(sorted(known.items())):
            print(("\n" if number else "") + _text(each, spooled.get(system), spool is not None))
        if not known:
            print("there is neither a base backup nor WAL of PostgreSQL")
    is_whole = all(each.reaches and not any(window.gap for window in each.windows[-1:]) for each in known.values())
    return 0 if known and is_whole else RepositoryError.exit_code


def _text(each: Standing, waits: Waiting | None, has_spool: bool) -> str:
    chain = each.chain
    lines = [f"cluster {chain.system}"]
    if not each.reaches:
        lines.append("no base backup: nothing can be restored")
    for window in each.windows:
        lines.append(f"from {_time(window.since)} to {_time(window.until)} any moment can be restored")
        if window.gap is not None:
            lines.append(f"then WAL is missing: {window.gap.words(chain.segment_size)}")
    if each.last_saved:
        lines.append(f"last saved: {each.last_saved}")
    if waits is not None:
        since = f", since {_time(waits.oldest)}" if waits.oldest is not None else ""
        lines.append(
            f"{plural(waits.segments, 'file')} wait, {format_size(waits.bytes)}{since}; the last: {waits.last}"
        )
    elif has_spool:
        lines.append("nothing waits in the spool")
    if each.reaches:
        rows = [
            [
                reached.base.snapshot.short_id,
                _time(reached.base.snapshot.seconds),
                reached.base.snapshot.hostname,
                str(reached.base.base.timeline),
                lsn(reached.base.base.stop),
                _time(reached.until) if reached.until is not None else "itself",
            ]
            for reached in each.reaches
        ]
        lines.append(table(["base", "done", "host", "timeline", "at", "leads to"], rows))
    return "\n".join(lines)


def _object(each: Standing, waits: Waiting | None, has_spool: bool) -> Object:
    chain = each.chain
    shown: Object = {
        "system": str(chain.system),
        "timelines": chain.timelines,
        "segment_size": chain.segment_size,
        "last_saved": each.last_saved or None,
        "windows": [
            {"since": window.since, "until": window.until, "gap": _gap(window.gap, chain.segment_size)}
            for window in each.windows
        ],
        "bases": [
            {
                "snapshot": reached.base.snapshot.id,
                "hostname": reached.base.snapshot.hostname,
                "time": reached.base.snapshot.seconds,
                "timeline": reached.base.base.timeline,
                "start": lsn(reached.base.base.start),
                "stop": lsn(reached.base.base.stop),
                "leads_to_timeline": reached.timeline,
                "until": reached.until,
                "gap": _gap(reached.gap, chain.segment_size),
            }
            for reached in each.reaches
        ],
    }
    if has_spool:
        shown["spool"] = {
            "files": waits.segments if waits is not None else 0,
            "bytes": waits.bytes if waits is not None else 0,
            "last_archived": waits.last if waits is not None else None,
            "oldest": waits.oldest if waits is not None else None,
        }
    return shown


def _gap(gap: Gap | None, size: int) -> Object | None:
    if gap is None:
        return None
    first, last = (segment_name(gap.timeline, each, size) for each in (gap.first, gap.last))
    return {"first": first, "last": last}


def _time(seconds: float) -> str:
    return local_time(datetime.fromtimestamp(seconds, UTC))


WAL_STATUS = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup wal status --job shop-wal
  hostward backup wal status --job shop-wal --json | jq '.[].windows'""",
    notes="""\
Times are those of the server's clock. A moment can be restored when a base backup is older, and all WAL from there on
is in the repository.
exit codes: 0 the newest base backup leads on to the last segment that is saved; 1 it does not, there is none, or it
failed; 2 bad usage; 10 no repository; 11 locked; 12 wrong password.""",
)
