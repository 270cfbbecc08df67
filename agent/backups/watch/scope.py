"""What of a backup matters to its watcher."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from agent.backups.watch.watcher import Watched
from backup.archive.scope import Scope


def fingerprint_of(targets: Sequence[bytes], scope: Scope) -> str:
    """The same for a run and its watcher if both know the same targets and the same that is left out of them."""
    marks = [[mark.name, mark.header] for mark in scope.marks]
    said = [list(targets), scope.patterns, scope.insensitive, marks, scope.larger_than, scope.one_file_system]
    return hashlib.sha256(msgspec.msgpack.encode(said)).hexdigest()


def watched_of(targets: Sequence[bytes], scope: Scope) -> Watched:
    """What is to be watched. `targets` are absolute and clean."""
    return Watched(
        roots=tuple(targets),
        fingerprint=fingerprint_of(targets, scope),
        rejects=scope.rejects if scope.excludes else None,
        one_file_system=scope.one_file_system,
    )
