"""`hostward backup find`: where a file is, in all snapshots."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from agent.cli.backup.access import opened
from agent.cli.backup.ls import long_line
from agent.cli.backup.options import parsed
from agent.cli.backup.output import local_time, print_json, print_path, warn
from agent.cli.backup.picking import add_at, add_filters, pick, pick_all
from agent.cli.backup.shapes import match_object, text_of
from agent.cli.backup.times import parse_time
from backup.errors import RepositoryError
from backup.format.gotime import format_moment
from backup.format.pack import BlobKind
from backup.format.snapshot import Snapshot
from backup.maintain.find import (
    FindOptions,
    FoundEntry,
    FoundObject,
    Wanted,
    find_entries,
    find_objects,
    in_packs,
)
from backup.repository.repository import Repository
from backup.select.filters import Filter
from backup.select.snapshots import newest_first
from kit.commands import Command
from kit.errors import UsageError

_ID = re.compile(r"[0-9a-f]{8}(?:[0-9a-f]{56})?")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("patterns", nargs="+", metavar="PATTERN", help="of names or whole paths; or ids")
    add_filters(parser)
    add_at(parser)
    parser.add_argument("-s", "--snapshot", action="append", default=[], metavar="SNAPSHOT", help="only in these")
    parser.add_argument("-i", "--ignore-case", action="store_true", help="whatever the case")
    parser.add_argument(
        "-O", "--oldest", type=parsed(parse_time), metavar="TIME", help="not modified before: 2026-11-22 14:30"
    )
    parser.add_argument("-N", "--newest", type=parsed(parse_time), metavar="TIME", help="not modified after")
    parser.add_argument("-l", "--long", action="store_true", help="with mode, owner, size and time")
    parser.add_argument("--human-readable", action="store_true", help="sizes with units")
    parser.add_argument("-R", "--reverse", action="store_true", help="the oldest snapshot first")
    parser.add_argument("--blob", action="store_true", help="the words are ids of parts of files")
    parser.add_argument("--tree", action="store_true", help="the words are ids of folders' trees")
    parser.add_argument("--pack", action="store_true", help="the words are ids of packs")
    parser.add_argument("--show-pack-id", action="store_true", help="with --blob and --tree: the packs they are in")


def run(options: argparse.Namespace) -> int:
    """Print what is found; nothing found is no failure."""
    if options.blob + options.tree + options.pack > 1:
        raise UsageError("of --blob, --tree and --pack only one can be meant")
    by_id = options.blob or options.tree or options.pack
    problems: list[RepositoryError] = []

    def problem(_id: bytes, path: bytes, error: RepositoryError) -> None:
        problems.append(error)
        warn(f"{text_of(path)}: {error}")

    with opened(options, "read") as repository:
        snapshots = _snapshots(repository, options)
        if by_id:
            wanted = _wanted(repository, options)
            _print_objects(find_objects(repository, snapshots, wanted, on_problem=problem), repository, options)
        else:
            search = FindOptions(
                Filter(map(os.fsencode, options.patterns), ignore_case=options.ignore_case),
                newest=options.newest.nanoseconds if options.newest else None,
                oldest=options.oldest.nanoseconds if options.oldest else None,
                on_problem=problem,
            )
            _print_entries(find_entries(repository, snapshots, search), options)
    return RepositoryError.exit_code if problems else 0


def _snapshots(repository: Repository, options: argparse.Namespace) -> Sequence[Snapshot]:
    if options.at is not None:
        if options.snapshot:
            raise UsageError("--at chooses a snapshot, and --snapshot names one: expected one of them")
        return [pick(repository, options, "latest").snapshot]
    found = newest_first(pick_all(repository, options, options.snapshot))
    return found[::-1] if options.reverse else found


def _wanted(repository: Repository, options: argparse.Namespace) -> Wanted:
    for id in options.patterns:
        if not _ID.fullmatch(id):
            raise UsageError(f'"{id}" is no id: expected 8 or 64 hexadecimal digits')
    if options.pack:
        return in_packs(repository, options.patterns)
    wanted = Wanted()
    for id in options.patterns:
        wanted.add(BlobKind.TREE if options.tree else BlobKind.DATA, id)
    return wanted


def _print_entries(found: Iterator[FoundEntry], options: argparse.Namespace) -> None:
    groups = groupby(found, key=lambda entry: entry.snapshot.id)
    if options.json:
        shown = []
        for id, group in groups:
            matches = [match_object(entry.visited.path, entry.visited.node) for entry in group]
            shown.append({"matches": matches, "hits": len(matches), "snapshot": id})
        print_json(shown)
        return
    for number, (_, group) in enumerate(groups):
        for place, (snapshot, visited) in enumerate(group):
            if place == 0:
                head = f"in snapshot {snapshot.short_id} at {local_time(snapshot.time)}:"
                print(("\n" if number else "") + head)
            if options.long:
                print_path(*long_line(visited.path, visited.node, human=options.human_readable))
            else:
                print_path("", visited.path)


def _print_objects(found: Iterator[FoundObject], repository: Repository, options: argparse.Namespace) -> None:
    shown = []
    for each in found:
        kind = "tree" if each.kind is BlobKind.TREE else "blob"
        if options.json:
            entry = {"object_type": kind, "id": each.id.hex(), "path": text_of(each.path)}
            if each.tree is not None:
                entry["parent_tree"] = each.tree.hex()
            shown.append({**entry, "snapshot": each.snapshot.id, "time": format_moment(each.snapshot.moment)})
            continue
        print(f"{kind} {each.id.hex()}")
        print_path("  is ", each.path)
        if options.show_pack_id:
            for place in repository.blobs.find_all(each.kind, each.id):
                print(f"  in pack {place.pack.hex()}")
        print(f"  in snapshot {each.snapshot.short_id} at {local_time(each.snapshot.time)}")
    if options.json:
        print_json(shown)


FIND = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup find hosts                          in every folder of every snapshot
  hostward backup find "/etc/*.conf" --long --host web1
  hostward backup find "*.sql" --oldest "2026-11-01" --at 2026-11-22
  hostward backup find --blob 5c4f17a2 --show-pack-id""",
    notes="""\
A pattern is one of --exclude: without a slash before it, it matches at every depth.
exit codes: 0 done, also if nothing was found; 1 failed; 2 bad usage; 10 no repository; 11 locked;
12 wrong password.""",
)
