"""`hostward backup ls`: the files of a snapshot."""

from __future__ import annotations

import argparse
import os
import posixpath
from collections.abc import Callable, Iterator
from typing import Any

from agent.cli.backup.access import opened
from agent.cli.backup.output import local_time, print_json, print_path, warn
from agent.cli.backup.picking import Picked, add_at, add_filters, name_and_rest, pick
from agent.cli.backup.shapes import mode_text, node_object, snapshot_object
from backup.errors import RepositoryError
from backup.format.instant import instant_nanoseconds
from backup.format.node import Node
from backup.maintain.walk import Visited, walk
from backup.restore.locate import find_entry
from kit.commands import Command
from kit.errors import UsageError
from kit.terminal import clean
from kit.units import format_size

_ORDERS: dict[str, Callable[[Visited], Any]] = {
    "name": lambda step: step.path,
    "size": lambda step: step.node.size,
    "time": lambda step: instant_nanoseconds(step.node.mtime),
    "mtime": lambda step: instant_nanoseconds(step.node.mtime),
    "atime": lambda step: instant_nanoseconds(step.node.atime),
    "ctime": lambda step: instant_nanoseconds(step.node.ctime),
    "extension": lambda step: posixpath.splitext(step.node.name)[1],
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("words", nargs="*", metavar="SNAPSHOT [DIR…]", help="an id, or latest; folders, else all")
    add_filters(parser)
    add_at(parser)
    parser.add_argument("-l", "--long", action="store_true", help="with mode, owner, size and time")
    parser.add_argument("--recursive", action="store_true", help="also what is in folders of the folders named")
    parser.add_argument("--human-readable", action="store_true", help="sizes with units")
    parser.add_argument("--sort", choices=list(_ORDERS), metavar="ORDER", help=", ".join(_ORDERS))
    parser.add_argument("--reverse", action="store_true", help="the other way round")


def run(options: argparse.Namespace) -> int:
    """Print them."""
    if not options.words and options.at is None:
        raise UsageError("ls needs a snapshot: an id, or latest")
    name, words = name_and_rest(options, options.words, 0)
    folders = [_folder(word) for word in words]
    with opened(options, "read") as repository:
        picked = pick(repository, options, name)
        for folder in folders:
            try:
                find_entry(repository, picked.tree, folder)
            except RepositoryError as error:  # No failure for restic, but to print nothing would leave open why.
                warn(str(error))
        _print_heading(picked, options)
        steps: Iterator[Visited] | list[Visited] = _wanted(
            walk(repository, picked.tree, enter=lambda folder: _leads(folder.path, folders, options.recursive)),
            folders,
            recursive=options.recursive,
        )
        if options.sort or options.reverse:
            order = _ORDERS[options.sort or "name"]
            steps = sorted(steps, key=lambda step: (order(step), step.path), reverse=options.reverse)
        for path, node, _ in steps:
            if options.json:
                print_json(node_object(path, node))
            elif options.long:
                print_path(*long_line(path, node, human=options.human_readable))
            else:
                print_path("", path)
    return 0


def long_line(path: bytes, node: Node, *, human: bool = False) -> tuple[str, bytes]:
    """(all but the path, the path and what a link points to)."""
    size = format_size(node.size) if human else str(node.size)
    before = f"{mode_text(node.mode)} {node.uid:5} {node.gid:5} {size:>{8 if human else 6}} {local_time(node.mtime)} "
    return before, path + (b" -> " + node.linktarget if node.linktarget else b"")


def _print_heading(picked: Picked, options: argparse.Namespace) -> None:
    snapshot = picked.snapshot
    if options.json:
        print_json({**snapshot_object(snapshot), "message_type": "snapshot", "struct_type": "snapshot"})
    elif not options.quiet:
        made = f"{snapshot.username}@{snapshot.hostname}" if snapshot.username else snapshot.hostname
        of = ", ".join(snapshot.paths) + (f", folder {picked.subfolder}" if picked.subfolder else "")
        print_path(
            f"snapshot {snapshot.short_id} of ",
            of.encode(errors="surrogateescape"),
            f" by {clean(made)} at {local_time(snapshot.time)}:",
        )


def _folder(word: str) -> bytes:
    if not word.startswith("/"):
        raise UsageError(f'"{word}": expected a folder of the snapshot, from its root on, as "/etc"')
    return os.fsencode("/" + posixpath.normpath(word).lstrip("/"))


def _wanted(steps: Iterator[Visited], folders: list[bytes], *, recursive: bool) -> Iterator[Visited]:
    for step in steps:
        if not folders or any(
            step.path == folder
            or (_is_below(step.path, folder) if recursive else posixpath.dirname(step.path) == folder)
            for folder in folders
        ):
            yield step


def _leads(path: bytes, folders: list[bytes], recursive: bool) -> bool:
    """Whether what is in the folder at `path` may be wanted."""
    return not folders or any(
        path == folder or _is_below(folder, path) or (recursive and _is_below(path, folder)) for folder in folders
    )


def _is_below(path: bytes, folder: bytes) -> bool:
    return path.startswith(folder if folder == b"/" else folder + b"/")


LS = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup ls latest                            all paths
  hostward backup ls --long latest /etc                what is in one folder
  hostward backup ls latest --at "2026-11-22 14:30"    of the newest snapshot that was there then
  hostward backup ls --json latest | jq -r 'select(.size > 1000000) | .path'""",
    notes="exit codes: 0 done; 1 failed; 2 bad usage; 10 no repository; 11 locked; 12 wrong password.",
)
