"""`hostward backup restore-postgresql`: a PostgreSQL server as it was at a moment."""

from __future__ import annotations

import argparse
import os
import pwd
from datetime import datetime
from pathlib import Path

from agent.backups.wal.base import BaseFile
from agent.backups.wal.clusters import pick_cluster
from agent.backups.wal.plan import Kind, RestorePlan, Target, plan_restore
from agent.backups.wal.points import MAX_NAME
from agent.backups.wal.restore import (
    Places,
    Restored,
    check_places,
    find_restore_point,
    read_base_file,
    restore,
)
from agent.cli.backup.access import opened
from agent.cli.backup.options import parsed, positive
from agent.cli.backup.output import local_time, plural, print_error, print_json, warn
from agent.cli.backup.picking import all_snapshots
from agent.cli.backup.progress import progress
from agent.cli.backup.shapes import text_of
from backup.restore.options import Progress
from backup.select.snapshots import SnapshotFilter, parse_at
from backup.select.wal import chains
from backup.select.wal_names import lsn, parse_lsn
from kit.commands import Command
from kit.errors import UsageError
from kit.progress import Status
from kit.terminal import clean
from kit.units import format_size
from kit.zones import zone_of

_OWNER = "postgres"
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("-t", "--target", metavar="DIR", help="the new data folder: one that is not there, or empty")
    parser.add_argument("--wal-dir", metavar="DIR", help="where the WAL for recovery goes; DIR.wal beside the target")
    parser.add_argument(
        "--tablespace-mapping",
        action="append",
        type=parsed(_mapping),
        default=[],
        metavar="OLD=NEW",
        help="where a tablespace goes; to its old place",
    )
    moment = parser.add_argument_group("the moment (without one: the end of all WAL that there is)")
    only = moment.add_mutually_exclusive_group()
    only.add_argument("--to", type=parsed(_moment), metavar="TIME", help='"2026-11-22 14:30:05.25"; or RFC 3339')
    only.add_argument("--xid", type=positive, metavar="ID", help="this transaction")
    only.add_argument("--lsn", type=parsed(parse_lsn), metavar="PLACE", help="this place in the WAL: 16/B374D848")
    only.add_argument("--name", metavar="NAME", help="the restore point that pg_create_restore_point made")
    only.add_argument("--immediate", action="store_true", help="as soon as the base backup is consistent")
    moment.add_argument("--exclusive", action="store_true", help="stop just before it, not just after it")
    moment.add_argument("--timeline", type=positive, metavar="N", help="follow this timeline; the newest")
    moment.add_argument("--at", metavar="TIME", help="begin from the newest base backup not after this")
    parser.add_argument("--system", type=positive, metavar="ID", help="the cluster, where the repository has several")
    parser.add_argument("-H", "--host", action="append", default=[], metavar="HOST", help="of this host")
    parser.add_argument(
        "--action",
        choices=["pause", "promote", "shutdown"],
        default="pause",
        help="what the server does at the moment; pause, in which it can be looked at",
    )
    parser.add_argument(
        "--archive", action="store_true", help="let it go on archiving: it takes the lost one's place"
    )
    parser.add_argument("--owner", metavar="USER", help=f"to whom all is given; {_OWNER}, where root restores")
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would be done")


def run(options: argparse.Namespace) -> int:
    """Plan, restore, and say what to do next."""
    if not options.target:
        raise UsageError("restore-postgresql needs a folder: --target DIR")
    if options.name is not None and not 0 < len(options.name.encode()) <= MAX_NAME:
        raise UsageError(f'"{clean(options.name)}" is no name of a restore point: expected 1 to {MAX_NAME} bytes')
    owner = _owner(options.owner)
    data = Path(options.target).absolute()
    state = Progress()
    with opened(options, "read") as repository:
        wanted = SnapshotFilter(tuple(options.host))
        found = chains(each for each in all_snapshots(repository) if wanted.matches(each))
        chain = pick_cluster(found, options.system)
        target = _target(options)
        if target.kind is Kind.NAME:
            timeline = options.timeline or max(chain.timelines)
            target = Target(
                Kind.NAME,
                find_restore_point(repository, chain, timeline, target.name),
                target.name,
                not_after=target.not_after,
                timeline=target.timeline,
            )
        plan = plan_restore(chain, target)
        base = read_base_file(repository, plan.base.snapshot)
        wal = Path(options.wal_dir).absolute() if options.wal_dir else data.with_name(data.name + ".wal")
        places = Places(data, wal, _spaces(base, dict(options.tablespace_mapping)), owner)
        check_places(places)
        if options.dry_run:
            _tell(options, plan, base, places, None)
            return 0
        with progress(options, lambda: Status(state.bytes_done, state.bytes or None, ""), lambda _: {}):
            restored = restore(
                repository,
                chain,
                plan,
                target,
                places,
                action=options.action,
                archiving=options.archive,
                progress=state,
                on_error=lambda path, message: print_error(
                    f"{text_of(path)}: {message}", options, item=text_of(path), during="restore"
                ),
            )
    _tell(options, plan, base, places, restored)
    return 0


def _target(options: argparse.Namespace) -> Target:
    not_after = parse_at(options.at, zone_of("")) if options.at is not None else None
    kind, value = Kind.END, 0
    for each, given in ((Kind.TIME, options.to), (Kind.XID, options.xid), (Kind.LSN, options.lsn)):
        if given is not None:
            kind, value = each, given
    if options.name is not None:
        kind = Kind.NAME
    if options.immediate:
        kind = Kind.IMMEDIATE
    if options.exclusive and kind not in (Kind.TIME, Kind.XID, Kind.LSN):
        raise UsageError("--exclusive goes with --to, --xid or --lsn")
    return Target(
        kind,
        value,
        options.name or "",
        not_after=not_after,
        timeline=options.timeline,
        inclusive=not options.exclusive,
    )


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError('a time as "2026-11-22 14:30:05.25" or "2026-11-22T14:30:05+01:00"') from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone_of(""))
    since = moment - _EPOCH
    return ((since.days * 86400 + since.seconds) * 10**6 + since.microseconds) * 1000


def _mapping(text: str) -> tuple[str, Path]:
    old, equals, new = text.partition("=")
    if not equals or not old.startswith("/") or not new.startswith("/"):
        raise ValueError("OLD=NEW, both full paths")
    return old.rstrip("/"), Path(new)


def _spaces(base: BaseFile, mapping: dict[str, Path]) -> dict[str, Path]:
    known = {location.rstrip("/") for location in base.tablespaces.values()}
    if unknown := set(mapping) - known:
        there = ", ".join(sorted(known)) or "none"
        raise UsageError(f"there is no tablespace in {clean(min(unknown))}; there are: {there}")
    return {oid: mapping.get(place.rstrip("/"), Path(place)) for oid, place in base.tablespaces.items()}


def _owner(named: str | None) -> str:
    name = named or (_OWNER if os.geteuid() == 0 else "")
    try:
        if name:
            pwd.getpwnam(name)
    except KeyError:
        if named:
            raise UsageError(f"there is no user {clean(name)}") from None
        warn(f"there is no user {name} here: all belongs to whom it belonged to when it was saved")
        return ""
    return name


def _tell(
    options: argparse.Namespace, plan: RestorePlan, base: BaseFile, places: Places, restored: Restored | None
) -> None:
    snapshot = plan.base.snapshot
    if options.json:
        print_json(
            {
                "message_type": "summary",
                "dry_run": restored is None,
                "system": str(base.system),
                "base": snapshot.id,
                "base_time": base.taken,
                "base_stop": lsn(plan.base.base.stop),
                "timeline": plan.timeline,
                "segments": len(plan.segments) if restored is None else restored.segments,
                "until": plan.until,
                "target": str(places.data),
                "wal": str(places.wal),
                "tablespaces": {oid: str(path) for oid, path in places.tablespaces.items()},
                "bytes_restored": restored.progress.bytes_done if restored is not None else 0,
                "verified": restored is not None and restored.verified,
            }
        )
        return
    if options.quiet:
        return
    would = "would restore" if restored is None else "restored"
    print(f"{would} base backup {snapshot.short_id} of {clean(snapshot.hostname)} at {local_time(snapshot.time)}")
    # Where the first commit behind a time is shows when they are read.
    count = (
        f"up to {plural(len(plan.segments), 'segment')}" if restored is None else plural(restored.segments, "segment")
    )
    print(f"{would} {count} of WAL, to timeline {plan.timeline}")
    for oid, space in places.tablespaces.items():
        print(f"tablespace {base.tablespaces[oid]} is in {space}")
    if restored is None:
        return
    print(f"{format_size(restored.progress.bytes_done)} in {places.data}, WAL in {places.wal}")
    print("the copy is as its manifest says" if restored.verified else "there is no pg_verifybackup: not compared")
    print(_next(options, places, base))


def _next(options: argparse.Namespace, places: Places, base: BaseFile) -> str:
    lines = ["next:"]
    if not (places.data / "postgresql.conf").exists():
        lines.append(
            "- its configuration was not in its data folder (Debian has it in /etc/postgresql): bring it back"
        )
    lines.append(f"- start PostgreSQL {base.major} with {places.data}; it recovers by itself")
    if options.action == "pause":
        lines.append("- look whether it is the right moment; then `SELECT pg_wal_replay_resume()` ends recovery")
    if not options.archive:
        lines.append("- archiving is off in it: where it takes the old one's place, remove `archive_mode = off` from")
        lines.append(f"  {places.data}/postgresql.auto.conf, and make a base backup")
    lines.append(f"- when recovery is over, {places.wal} can be removed")
    return "\n".join(lines)


RESTORE_POSTGRESQL = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup restore-postgresql --target /var/lib/postgresql/15/new
  hostward backup restore-postgresql --target /srv/then --to "2026-11-22 14:30:05" --action promote
  hostward backup restore-postgresql --target /srv/then --xid 4711 --exclusive
  hostward backup restore-postgresql --target /srv/then --name before-release""",
    notes="""\
The newest base backup before the moment is restored, and the WAL from there to the moment. Recovery needs no
repository. Nothing that is there is overwritten.
exit codes: 0 done; 1 failed, or WAL is missing; 2 bad usage; 10 no repository; 11 locked; 12 wrong password.""",
)
