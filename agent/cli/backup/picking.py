"""Which snapshots a command is about."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent.cli.backup.options import setting
from agent.cli.backup.output import warn
from backup.errors import RepositoryError
from backup.format.snapshot import Snapshot
from backup.select.snapshots import LATEST, SnapshotFilter, find_snapshot, find_snapshots, parse_at
from kit.zones import zone_of

if TYPE_CHECKING:
    from backup.repository.repository import Repository


class Picked(NamedTuple):
    """One snapshot, as far as it is meant."""

    snapshot: Snapshot
    """Its tree is that of the folder, where one was named behind a colon."""
    tree: bytes
    subfolder: str
    """Absolute; empty where none was named."""


def add_filters(parser: argparse.ArgumentParser, *, short_host: bool = True) -> None:
    """Add --host, --tag and --path."""
    names = ["-H", "--host"] if short_host else ["--host"]
    parser.add_argument(
        *names, action="append", metavar="HOST", help='made on this host, or on one of several; "" is any host'
    )
    parser.add_argument(
        "--tag", action="append", default=[], metavar="TAG[,TAG…]", help="has all of these tags, or of another --tag"
    )
    parser.add_argument(
        "--path", action="append", default=[], metavar="PATH", help="was made of this path, and of every other --path"
    )


def add_at(parser: argparse.ArgumentParser) -> None:
    """Add --at."""
    parser.add_argument(
        "--at", metavar="TIME", help='the newest snapshot not after it: "2026-11-22", "2026-11-22 14:30"'
    )


def filter_of(options: argparse.Namespace) -> SnapshotFilter:
    """What --host (or HOSTWARD_HOST), --tag and --path ask for."""
    hosts = options.host
    if hosts is None:
        hosts = [host] if (host := setting(argparse.Namespace(environment=options.environment), "host")) else []
    return SnapshotFilter.parse(hosts, options.tag, options.path, folder=str(Path.cwd()))


def all_snapshots(repository: Repository, left_out: list[str] | None = None) -> list[Snapshot]:
    """All that can be read, oldest first; of the others there is a warning, and their names go to `left_out`."""

    def damaged(name: str, error: RepositoryError) -> None:
        warn(f"left out: {error}")
        if left_out is not None:
            left_out.append(name)

    return repository.snapshots(on_damaged=damaged)


def pick(repository: Repository, options: argparse.Namespace, name: str) -> Picked:
    """The snapshot that `name` (an id, `latest`, either with `:FOLDER`) and the options mean.

    Raises RepositoryError, UsageError.
    """
    from backup.restore.locate import find_folder

    at = parse_at(options.at, zone_of("")) if options.at is not None else None
    snapshot, subfolder = find_snapshot(all_snapshots(repository), name, filter_of(options), at=at)
    # Who can only add to a repository can add what is no index: all that the others know of comes back all the same.
    repository.load_index(on_damaged=lambda _name, error: warn(f"left out: {error}; `repair index` replaces it"))
    tree = find_folder(repository, snapshot.root, os.fsencode(subfolder))
    return Picked(replace(snapshot, tree=tree), tree, subfolder)


def pick_all(
    repository: Repository, options: argparse.Namespace, names: list[str], left_out: list[str] | None = None
) -> list[Snapshot]:
    """The snapshots that are named, else all that the options let through, oldest first. Raises RepositoryError.

    The names of those that cannot be read go to `left_out`: what changes a repository has failed where there are any.
    """
    return find_snapshots(all_snapshots(repository, left_out), names, filter_of(options))


def name_and_rest(options: argparse.Namespace, words: list[str], least: int) -> tuple[str, list[str]]:
    """(snapshot, other words): with --at, and no more than `least` words or a path as the first, it is the latest."""
    if options.at is not None and (len(words) <= least or words[0].startswith("/")):
        return LATEST, words
    return words[0], words[1:]
