"""Removes the old ones of a rule's logs that are not to be kept, whether a log was due or not."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from agent.config.logs import LogOptions
from agent.logs.rotate.apply import operations
from agent.logs.rotate.apply.folders import Folder
from agent.logs.rotate.apply.su import Identity
from agent.logs.rotate.facts import is_open_to_others
from agent.logs.rotate.rule import Rule
from agent.logs.rotate.say import Voice
from agent.logs.rules.archive import Archive, Proof
from agent.logs.rules.retention import Old, Removal, over_budget, surplus, to_free
from agent.logs.rules.sections import all_old

PATIENCE = 300.0
"""Seconds for which a fresh old log may wait for somebody to compress it before it goes for want of room, or into an
archive."""
Free = Callable[[str], int]
"""Bytes that are free in the file system of a folder. Raises OSError."""


class Swept(NamedTuple):
    """What a sweep did."""

    removed: list[Removal]
    errors: list[str]
    used: int
    """Bytes that logs and old ones take now."""


def free_in(folder: str) -> int:
    """What others than root may still take of a file system. Raises OSError."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def used_by(logs: Sequence[str], old: Mapping[str, Collection[Old]]) -> int:
    """Bytes of logs and their old ones."""
    used = sum(one.size for found in old.values() for one in found)
    for log in logs:
        try:
            used += os.lstat(log).st_size
        except OSError:
            continue
    return used


def decide(
    options: LogOptions,
    old: Mapping[str, Sequence[Old]],
    *,
    now: float,
    used: int = 0,
    free: Free = free_in,
    coming: Collection[str] = (),
    spared: Container[str] = (),
) -> list[Removal]:
    """What goes of the old ones of each log, each once, with the first reason that there is.

    `used` is what files and journal take, for the budget. Each log in `coming` gets one more. What is `spared` does
    not go for want of room. Raises OSError.
    """
    removals: dict[str, Removal] = {}
    for log, found in old.items():
        for removal in surplus(options, found, now, coming=int(log in coming)):
            removals.setdefault(removal.old.path, removal)
    if options.keep_free is not None:
        _decide_by_disk(options, old, removals, free, spared)
    rest = [one for found in old.values() for one in found if one.path not in removals and one.path not in spared]
    gone = sum(removal.old.size for removal in removals.values())
    for removal in over_budget(options, rest, used - gone):
        removals.setdefault(removal.old.path, removal)
    return list(removals.values())


def _decide_by_disk(
    options: LogOptions,
    old: Mapping[str, Sequence[Old]],
    removals: dict[str, Removal],
    free: Free,
    spared: Container[str],
) -> None:
    """Old ones of one file system free that one and no other."""
    devices: dict[int, tuple[str, list[Old]]] = {}
    for found in old.values():
        for one in found:
            folder = one.path.rpartition("/")[0] or "/"
            devices.setdefault(os.statvfs(folder).f_fsid, (folder, []))[1].append(one)
    for folder, ones in devices.values():
        rest = [one for one in ones if one.path not in removals and one.path not in spared]
        gone = sum(one.size for one in ones if one.path in removals)
        for removal in to_free(options, rest, free(folder) + gone):
            removals[removal.old.path] = removal


def sweep(
    options: LogOptions,
    rule: Rule,
    logs: Sequence[str],
    *,
    now: float,
    voice: Voice,
    journal: int = 0,
    compress: bool = True,
    archive: Archive | None = None,
    guard: AbstractContextManager[None] | None = None,
) -> Swept:
    """Remove what is not to be kept. With an `archive` only what was proved to be there.

    `journal` is what the journal takes of the budget. Without `compress` somebody else makes fresh ones small, who is
    waited for: for want of room, and before they are archived. `guard` keeps others from rotating while files are
    removed; saving them before takes long, and nobody has to wait for that.
    """
    try:
        old = all_old(options, rule, logs)
        used = used_by(logs, old)
        spared = () if compress or not rule.compress else _to_be_packed(rule, old, now)
        removals = decide(options, old, now=now, used=used + journal, spared=spared)
    except OSError as error:
        return Swept([], [f"{error.filename or 'old logs'} cannot be looked at: {error.strerror}"], 0)
    proved: dict[str, Proof] | None = None
    errors: list[str] = []
    if archive is not None:
        removals = [removal for removal in removals if removal.old.path not in spared]
    if archive is not None and removals:
        proved, errors = archive.save([removal.old.path for removal in removals])
        removals = [removal for removal in removals if removal.old.path in proved]
    if not removals:
        return Swept([], errors, used)
    with guard or nullcontext():
        removed, more = _remove_all(removals, proved, rule, voice)
    return Swept(removed, [*errors, *more], used - sum(removal.old.size for removal in removed))


def _to_be_packed(rule: Rule, old: Mapping[str, Sequence[Old]], now: float) -> set[str]:
    """What was rotated just now and is about to become small: it would be a pity to remove it instead."""
    found = set()
    for ones in old.values():
        for one in ones:
            if not one.path.endswith(rule.compressext):
                try:
                    rotated = os.lstat(one.path).st_ctime
                except OSError:
                    continue
                if abs(now - rotated) < PATIENCE:
                    found.add(one.path)
    return found


def _remove_all(
    removals: Sequence[Removal], proved: Mapping[str, Proof] | None, rule: Rule, voice: Voice
) -> tuple[list[Removal], list[str]]:
    """What was removed, and what went wrong."""
    removed: list[Removal] = []
    errors: list[str] = []
    identity = Identity(voice)
    try:
        if rule.su is not None and rule.su != (os.geteuid(), os.getegid()):
            identity.become(*rule.su)
        for removal in removals:
            try:
                proof = None if proved is None else proved[removal.old.path]
                if _remove(removal.old, proof, by_root=rule.su is None and os.geteuid() == 0):
                    removed.append(removal)
                    voice.verbose(f"removed {removal.old.path}: {removal.reason}")
            except OSError as error:
                errors.append(f"{removal.old.path} is kept: {error.strerror}")
    except OSError as error:
        errors.append(f"nobody can become who removes old ones: {error.strerror}")
    finally:
        identity.leave()
    return removed, errors


def _remove(old: Old, proof: Proof | None, *, by_root: bool) -> bool:
    """False where it is gone. Raises OSError where it is another file by now, or its folder is not to be trusted."""
    path, _, name = old.path.rpartition("/")
    folder = Folder(path)
    try:
        if by_root and is_open_to_others(os.fstat(folder.descriptor)):
            raise OSError(0, "others than root may write to its folder; the option su says who rotates there")
        found = folder.look(name)
        same = stat.S_ISREG(found.st_mode) and (found.st_size, found.st_mtime) == (old.size, old.modified)
        if same and proof is not None:
            known = (proof.device, proof.inode, proof.size, proof.modified)
            same = known == (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        if not same:
            raise OSError(0, "it is no longer the file that it was")
        operations.unlink(name, folder=folder.descriptor)
    except FileNotFoundError:
        return False
    finally:
        folder.close()
    return True
