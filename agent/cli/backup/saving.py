"""Making a snapshot with what is shown meanwhile, for paths of the command line as for jobs."""

from __future__ import annotations

import argparse
import gc
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent.backups.sources.contract import Contents
from agent.cli.backup.access import cache_folder, pack_size
from agent.cli.backup.options import setting
from agent.cli.backup.output import plural, print_error, print_json, print_path, warn
from agent.cli.backup.progress import make_way, progress
from agent.cli.backup.scope import scope_of
from agent.cli.backup.shapes import Object, text_of
from agent.cli.backup.times import parse_time
from backup.archive.plan import Plan
from backup.archive.report import Became, OnEntry, Outcome, Problem, Progress
from backup.archive.targets import absolute
from backup.errors import PartialError
from backup.select.snapshots import parse_tags
from backup.stores.caches import use_cache
from kit.progress import Status, clock
from kit.units import format_size

if TYPE_CHECKING:  # what is loaded while the password's key is derived
    from backup.archive.early import EarlyLook
    from backup.repository.repository import Repository


class Ahead:
    """What is done for a run while the repository's key is derived."""

    def __init__(self, plan: Plan | None = None) -> None:
        """`plan`: whose targets may be looked at by then."""
        self._plan = plan
        self.look: EarlyLook | None = None
        """What was seen of them."""

    def begin(self, enough: Callable[[], bool]) -> None:
        """Load what makes snapshots, which takes a tenth of a second, and look at the targets until `enough`."""
        from backup.archive import backup as backup

        plan = self._plan
        # Such a run believes no cache, and would use nothing of it.
        if plan is not None and not (plan.force or plan.with_atime or plan.dry_run):
            from backup.archive.early import EarlyLook

            self.look = EarlyLook(plan)
            self.look.look(enough)


def plan_of(options: argparse.Namespace, contents: Contents) -> Plan:
    """What the options ask for. Raises UsageError."""
    return Plan(
        targets=tuple(contents.paths),
        devices=contents.devices,
        scope=scope_of(options),
        excludes=tuple(options.exclude),
        tags=(*(tag for text in options.tag for tag in parse_tags(text) if tag), *contents.tags),
        hostname=setting(options, "host") or "",
        moment=parse_time(options.time) if options.time else contents.moment,
        parent=options.parent or "",
        group_by=options.group_by,
        force=options.force,
        ignore_ctime=options.ignore_ctime,
        ignore_inode=options.ignore_inode,
        with_atime=options.with_atime,
        skip_if_unchanged=options.skip_if_unchanged,
        dry_run=options.dry_run,
        pack_size=pack_size(options),
        workers=options.read_concurrency or 0,
    )


def save(
    repository: Repository,
    plan: Plan,
    contents: Contents,
    options: argparse.Namespace,
    *,
    early: EarlyLook | None = None,
) -> tuple[Outcome, float]:
    """Make a snapshot of what a source gives, and show how far it is: what was done, in how many seconds.

    `plan` is of the same contents, and so is `early`, if the run is not watched. The caller holds the repository's
    lock.
    """
    from backup.archive.backup import run_backup

    # A collection writes to the head of each object: after a fork it would copy every page that workers share.
    gc.freeze()
    seen: list[Progress] = [Progress()]

    def note(now: Progress) -> None:
        seen[0] = now

    def problem(found: Problem) -> None:
        print_error(f"{found.path}: {found.reason}", options, item=found.path, during="archival")

    with progress(options, lambda: _status(seen[0]), lambda elapsed: _status_object(seen[0], elapsed)) as display:
        cache = _cache(repository, plan, options) if plan.targets else None
        watching = None
        if options.watched is not None and cache is not None:
            from agent.cli.backup.watching import Watching

            watching = Watching.begin(repository, plan, options.watched, cache, options.environment)
        if watching and options.quiet and not options.json and not watching.advice.is_answered:
            warn(watching.said)
        elif watching and not (options.json or options.quiet):
            make_way()
            print(watching.said)
        outcome = run_backup(
            repository,
            watching.plan if watching else plan,
            on_progress=note,
            on_problem=problem,
            cache=cache,
            changed_folders=watching.advice.changed if watching else None,
            early=early,
            scan_ahead=display.shown and not options.no_scan,
            on_entry=_list_entry(options) if options.verbose > 1 and not options.quiet else None,
            streams=contents.streams,
            names=contents.names,
            confirm=contents.confirm,
        )
        if watching:
            watching.end(outcome)
        return outcome, display.elapsed


def _list_entry(options: argparse.Namespace) -> OnEntry:
    def tell(became: Became, path: bytes, size: int) -> None:
        if options.json:
            print_json({"message_type": "verbose_status", "action": became, "item": text_of(path)})
        else:
            saved = became is not Became.UNCHANGED and not path.endswith(b"/")
            print_path(f"{became:<9} ", path, f", {format_size(size)}" if saved else "")

    return tell


def _cache(repository: Repository, plan: Plan, options: argparse.Namespace) -> Path | None:
    """The file in which the next run finds what folders were; None where none may be kept."""
    folder = cache_folder(options)
    if folder is None:
        return None
    try:
        folder = use_cache(folder, repository.config.id)
    except OSError:  # a cache is no reason to save nothing
        return None
    names = b"\0".join([os.fsencode(plan.hostname), *map(absolute, plan.targets)])
    return folder / f"folders-{hashlib.sha256(names).hexdigest()[:16]}"


def _status(now: Progress) -> Status:
    errors = f", {plural(now.problems, 'error')}" if now.problems else ""
    return Status(now.size, now.total_size, f"{now.files:,} files{errors}", text_of(now.current))


def _status_object(now: Progress, elapsed: float) -> Object:
    total, done = now.total_size or 0, now.size
    shown: Object = {"message_type": "status"}
    if elapsed >= 1:
        shown["seconds_elapsed"] = int(elapsed)
    if done and total > done:
        shown["seconds_remaining"] = int(elapsed * (total - done) / done)
    shown["percent_done"] = min(done / total, 1.0) if total else 0.0
    for name, value in (
        ("total_files", now.total_files),
        ("files_done", now.files),
        ("total_bytes", total),
        ("bytes_done", done),
        ("error_count", now.problems),
    ):
        if value:
            shown[name] = value
    if now.current:
        shown["current_files"] = [text_of(now.current)]
    return shown


def tell(outcome: Outcome, elapsed: float, options: argparse.Namespace) -> None:
    """Say what was done."""
    summary, snapshot = outcome.summary, outcome.snapshot
    figures: Object = msgspec.to_builtins(summary)
    if options.json:
        times = {name: figures.pop(name) for name in ("backup_start", "backup_end")}
        shown = {"message_type": "summary", **figures, "total_duration": round(elapsed, 9), **times}
        if snapshot.id:
            shown["snapshot_id"] = snapshot.id
        if options.dry_run:
            shown["dry_run"] = True
        print_json(shown)
        return
    if options.quiet:
        return
    if snapshot.parent:
        print(f"compared with snapshot {snapshot.parent[:8]}")
    for what, name in (("files", "files"), ("folders", "dirs")):
        new, changed, same = (figures[f"{name}_{kind}"] for kind in ("new", "changed", "unmodified"))
        print(f"{what + ':':<9} {new:,} new, {changed:,} changed, {same:,} unchanged")
    would = "would add" if options.dry_run else "added"
    print(f"{would} {format_size(summary.data_added)}, stored as {format_size(summary.data_added_packed)}")
    count, size = plural(summary.total_files_processed, "file"), format_size(summary.total_bytes_processed)
    print(f"saw {count}, {size}, in {clock(elapsed)}")
    if snapshot.id:
        print(f"snapshot {snapshot.short_id} saved")
    elif not options.dry_run:
        print("nothing has changed: no snapshot was made")


def require_all(outcome: Outcome, options: argparse.Namespace) -> None:
    """Raises PartialError where something could not be saved as it is."""
    if outcome.problem_count:
        made = "a dry run" if options.dry_run else "the snapshot was made"
        are = "it is" if outcome.problem_count == 1 else "they are"
        raise PartialError(f"{plural(outcome.problem_count, 'path')} could not be saved as {are}; {made}")
