"""`hostward backup stats`: how much there is."""

from __future__ import annotations

import argparse

from agent.cli.backup.access import opened
from agent.cli.backup.output import plural, print_json
from agent.cli.backup.picking import add_filters, pick_all
from agent.cli.backup.progress import progress
from agent.cli.backup.shapes import Object
from backup.maintain.stats import Stats, StatsMode, stats
from kit.commands import Command
from kit.progress import Status
from kit.units import format_size


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("snapshots", nargs="*", metavar="SNAPSHOT", help="of these alone")
    add_filters(parser)
    modes = [mode.value for mode in StatsMode]
    parser.add_argument(
        "--mode", choices=modes, default=modes[0], metavar="MODE", help=f"{', '.join(modes)}; {modes[0]}"
    )


def run(options: argparse.Namespace) -> int:
    """Count, and print the figures."""
    seen = [0, 0]

    def count(snapshots: int, entries: int) -> None:
        seen[:] = snapshots, entries

    def status() -> Status:
        return Status(seen[1], None, plural(seen[0], "snapshot"), is_bytes=False)

    with opened(options, "read") as repository:
        snapshots = pick_all(repository, options, options.snapshots)
        with progress(options, status):
            found = stats(repository, snapshots, StatsMode(options.mode), on_progress=count)
    if options.json:
        print_json(_object(found))
    else:
        _print(found)
    return 0


def _object(found: Stats) -> Object:
    shown: Object = {"total_size": found.total_size, "snapshots_count": found.snapshots_count}
    names = ["total_file_count", "total_blob_count"]
    if found.mode is StatsMode.RAW_DATA:
        names += ["total_uncompressed_size", "compression_ratio", "compression_progress", "compression_space_saving"]
    return shown | {name: value for name in names if (value := getattr(found, name))}


def _print(found: Stats) -> None:
    rows = [("mode", found.mode.value), ("snapshots", f"{found.snapshots_count:,}")]
    if found.total_file_count:
        rows.append(("files", f"{found.total_file_count:,}"))
    if found.total_blob_count:
        rows.append(("blobs", f"{found.total_blob_count:,}"))
    if found.mode is StatsMode.RAW_DATA:
        rows.append(("size uncompressed", format_size(found.total_uncompressed_size)))
    rows.append(("size", format_size(found.total_size)))
    if found.mode is StatsMode.RAW_DATA:
        ratio = f", this at a ratio of {found.compression_ratio:.2f}" if found.compression_ratio else ""
        rows.append(("compressed", f"{found.compression_progress:.1f} % of the data{ratio}"))
        rows.append(("saved", f"{found.compression_space_saving:.1f} % of the data"))
    for name, value in rows:
        print(f"{name:<18} {value}")


STATS = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup stats                        what restoring every snapshot would write
  hostward backup stats latest --host web1
  hostward backup stats --mode raw-data        what the repository takes, and what compression saves""",
    notes="""\
modes: restore-size counts each snapshot's files; files-by-contents counts files of the same content once;
blobs-per-file counts the blobs of each path once; raw-data counts blobs as they are stored.
exit codes: 0 done; 1 failed; 2 bad usage; 10 no repository; 11 locked; 12 wrong password.""",
)
