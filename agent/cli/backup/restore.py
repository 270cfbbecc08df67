"""`hostward backup restore`: files of a snapshot, back into a folder."""

from __future__ import annotations

import argparse
import os
import posixpath
from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.backup.access import loading, opened
from agent.cli.backup.options import positive
from agent.cli.backup.output import local_time, plural, print_error, print_json, print_path, warn
from agent.cli.backup.patterns import add_patterns, patterns_of
from agent.cli.backup.picking import add_at, add_filters, name_and_rest, pick
from agent.cli.backup.progress import progress
from agent.cli.backup.shapes import Object, text_of
from backup.errors import DamagedError, RepositoryError
from backup.restore.options import (
    Action,
    Options,
    Overwrite,
    Progress,
    Select,
    all_but,
    everything,
    only,
    only_paths,
)
from kit.commands import Command
from kit.errors import UsageError
from kit.progress import Status, clock
from kit.terminal import clean
from kit.units import format_size

if TYPE_CHECKING:
    from backup.repository.repository import Repository

_WORDS = {
    Action.FOLDER_RESTORED: "restored",
    Action.RESTORED: "restored",
    Action.OTHER_RESTORED: "restored",
    Action.UPDATED: "updated",
    Action.UNCHANGED: "unchanged",
    Action.DELETED: "deleted",
}
"""As restic's JSON has them."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument(
        "words", nargs="*", metavar="SNAPSHOT [PATH…]", help="an id, or latest, either with :FOLDER; paths, else all"
    )
    parser.add_argument("-t", "--target", metavar="DIR", help="where to: made if it is not there")
    add_filters(parser)
    add_at(parser)
    add_patterns(parser, "include")
    add_patterns(parser, "exclude")
    parser.add_argument(
        "--include-xattr", action="append", default=[], metavar="PATTERN", help="these attributes alone"
    )
    parser.add_argument(
        "--exclude-xattr", action="append", default=[], metavar="PATTERN", help="all but these attributes"
    )
    policies = [policy.value for policy in Overwrite]
    parser.add_argument(
        "--overwrite",
        choices=policies,
        default=policies[0],
        metavar="POLICY",
        help=f"of files that are there: {', '.join(policies)}; {policies[0]}",
    )
    parser.add_argument(
        "--delete", action="store_true", help="remove from the folders what the snapshot does not have"
    )
    parser.add_argument("--sparse", action="store_true", help="leave holes where there are zeros")
    parser.add_argument("--verify", action="store_true", help="read what was written, and compare")
    parser.add_argument("--ownership-by-name", action="store_true", help="owners by name, not by number")
    parser.add_argument("--write-concurrency", type=positive, metavar="N", help="processes that write files")
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would be done")


def run(options: argparse.Namespace) -> int:
    """Restore, and say what was done."""
    if not options.target:
        raise UsageError("restore needs a folder: --target DIR (--target / writes to where the files came from)")
    if not options.words and options.at is None:
        raise UsageError("restore needs a snapshot: an id, or latest")
    name, paths = name_and_rest(options, options.words, 0)
    state = Progress()
    wanted = Options(
        overwrite=Overwrite(options.overwrite),
        delete=options.delete,
        sparse=options.sparse,
        verify=options.verify,
        dry_run=options.dry_run,
        owners_by_name=options.ownership_by_name,
        select=_selection(options, paths),
        select_attribute=_attributes(options),
        workers=options.write_concurrency or 0,
        on_item=_teller(options) if options.verbose >= (2 if options.json else 1) else None,
        on_error=lambda path, message: print_error(
            f"{text_of(path)}: {message}", options, item=text_of(path), during="restore"
        ),
        on_warning=lambda path, message: warn(f"{text_of(path)}: {message}"),
        progress=state,
    )
    target = Path(options.target)
    with opened(options, "read", meanwhile=loading("backup.restore.restorer")) as repository:
        from backup.restore.restorer import Restorer

        picked = pick(repository, options, name)
        _require(repository, picked.tree, paths)
        if not options.json and not options.quiet:
            snapshot = picked.snapshot
            print(f"snapshot {snapshot.short_id} of {clean(snapshot.hostname)} at {local_time(snapshot.time)}")
        with progress(
            options, lambda: _status(state), lambda elapsed: _object(state, elapsed, "status", running=True)
        ) as display:
            Restorer(repository, target, wanted).run(picked.tree)
            elapsed = display.elapsed
    if options.json:
        print_json(_object(state, elapsed, "summary"))
    elif not options.quiet:
        _print(state, elapsed, options)
    return RepositoryError.exit_code if state.errors else 0


def _selection(options: argparse.Namespace, paths: list[str]) -> Select:
    includes, excludes = patterns_of(options, "include"), patterns_of(options, "exclude")
    if includes and (excludes or paths):
        raise UsageError("--include goes with neither --exclude nor paths")
    if options.delete and Path(options.target).resolve() == Path("/") and not (includes or excludes or paths):
        raise UsageError("--delete into / would remove all that the snapshot does not have: name paths or patterns")
    if includes:
        return only(includes.includes())
    if paths and excludes:
        return _both(only_paths(_absolute(paths)), all_but(excludes.excludes()))
    if paths:
        return only_paths(_absolute(paths))
    return all_but(excludes.excludes()) if excludes else everything


def _absolute(paths: list[str]) -> list[bytes]:
    for path in paths:
        if not path.startswith("/"):
            raise UsageError(f'"{path}": expected a path of the snapshot, from its root on, as "/etc"')
    return [os.fsencode("/" + posixpath.normpath(path).lstrip("/")) for path in paths]


def _require(repository: Repository, tree: bytes, paths: list[str]) -> None:
    """Raises RepositoryError for a path that the snapshot does not have, before anything is written.

    A pattern may match nothing, as with restic; but who names a path must not think that it came back.
    """
    from backup.restore.locate import find_entry

    for path in _absolute(paths):
        with suppress(DamagedError):  # The restore names what is damaged, and brings back the rest.
            find_entry(repository, tree, path)


def _both(one: Select, other: Select) -> Select:
    def select(path: bytes, is_folder: bool) -> tuple[bool, bool]:
        (first, first_in), (second, second_in) = one(path, is_folder), other(path, is_folder)
        return first and second, first_in and second_in

    return select


def _attributes(options: argparse.Namespace) -> Callable[[str], bool] | None:
    if options.include_xattr and options.exclude_xattr:
        raise UsageError("--include-xattr and --exclude-xattr exclude each other")
    if options.include_xattr:
        return lambda name: any(fnmatchcase(name, pattern) for pattern in options.include_xattr)
    if options.exclude_xattr:
        return lambda name: not any(fnmatchcase(name, pattern) for pattern in options.exclude_xattr)
    return None


def _teller(options: argparse.Namespace) -> Callable[[Action, bytes, int], None]:
    def tell(action: Action, path: bytes, size: int) -> None:
        if options.json:
            about = {"action": _WORDS[action], "item": text_of(path), "size": size}
            print_json({"message_type": "verbose_status", **about})
        else:
            print_path(f"{action.value}: ", path)

    return tell


def _status(state: Progress) -> Status:
    errors = f", {plural(state.errors, 'error')}" if state.errors else ""
    return Status(state.bytes_done, state.bytes or None, f"{state.files_done:,} of {state.files:,} files{errors}")


def _object(state: Progress, elapsed: float, message_type: str, *, running: bool = False) -> Object:
    shown: Object = {"message_type": message_type}
    if elapsed >= 1:
        shown["seconds_elapsed"] = int(elapsed)
    if running:
        shown["percent_done"] = min(state.bytes_done / state.bytes, 1.0) if state.bytes else 0.0
    for name, value in (
        ("total_files", state.files if running else state.files - state.files_skipped),
        ("files_restored", state.files_done),
        ("files_skipped", state.files_skipped),
        ("files_deleted", state.deleted),
        ("total_bytes", state.bytes),
        ("bytes_restored", state.bytes_done),
        ("bytes_skipped", state.bytes_skipped),
    ):
        if value:
            shown[name] = value
    return shown


def _print(state: Progress, elapsed: float, options: argparse.Namespace) -> None:
    would = "would restore" if options.dry_run else "restored"
    print(f"{would} {state.files_done:,} files and folders, {format_size(state.bytes_done)}, in {clock(elapsed)}")
    if state.files_skipped:
        print(f"left {state.files_skipped:,} as they were, {format_size(state.bytes_skipped)}")
    if state.deleted:
        print(f"{'would delete' if options.dry_run else 'deleted'} {state.deleted:,} that the snapshot does not have")
    if options.verify:
        print(f"read {plural(state.verified, 'file')} again")
    if state.errors:
        are = "it is" if state.errors == 1 else "they are"
        print(f"{plural(state.errors, 'path')} could not be restored as {are} in the snapshot")


RESTORE = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup restore latest --target /tmp/restored
  hostward backup restore latest /etc /srv/shop/prices.csv --target /tmp/restored
  hostward backup restore latest:/etc --target /etc --overwrite if-newer --dry-run
  hostward backup restore --at "2026-11-22 14:30" --target /tmp/then --verify""",
    notes="""\
A file keeps its whole path below the target. Nothing outside the target is written, whatever the snapshot says.
exit codes: 0 done; 1 failed, or some paths could not be restored; 2 bad usage; 10 no repository; 11 locked;
12 wrong password.""",
)
