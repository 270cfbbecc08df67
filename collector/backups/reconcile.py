"""Makes receipts agree with what is in a repository: after a kill, and after work behind the server's back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from backup.stores.contract import FileKind, FileMissingError, Store
from collector.backups import records
from collector.backups.records import Receipt
from collector.store.database import Database

PART = 500
"""Receipts that are written or removed at once: reports are written in between."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What did not agree."""

    found: int = 0
    """Files without a receipt, which now have one of this moment and of no host."""
    gone: int = 0
    """Receipts without a file, which were removed."""


def reconcile(
    database: Database,
    store: Store,
    repository: str,
    *,
    host: str | None,
    is_arriving: Callable[[FileKind, str], bool],
    clock: Callable[[], float],
) -> Reconciled | None:
    """Renew receipts and counts. `host` is the id of the host whose own the repository is, None for a shared one.

    `is_arriving` says of a file that an upload is about to write its receipt, which is left to that. None where there
    is no repository; then nothing is changed: a disk that is not mounted must not make home forget what it received.
    Safe beside uploads. Raises StoreError.
    """
    if not _has_config(store):
        return None
    with database.write() as connection:
        records.add_repository(connection, repository, host, clock())
    found = gone = 0
    for kind in FileKind:
        there: set[bytes] = set()
        files = store.list(kind)
        while part := dict(islice(files, PART)):
            there.update(map(str.encode, part))
            with database.read() as connection:
                known = records.known(connection, repository, kind, part)
            new = [
                Receipt(repository, kind, name, part[name], clock(), None)
                for name in part.keys() - known
                if not is_arriving(kind, name)
            ]
            if new:
                with database.write() as connection:
                    found += records.add(connection, new)
        with database.read() as connection:
            missing = [
                one.name for one in records.receipts(connection, repository, kind) if one.name.encode() not in there
            ]
        # What was saved since the list was made has a receipt too.
        missing = [name for name in missing if _is_missing(store, kind, name)]
        for start in range(0, len(missing), PART):
            with database.write() as connection:
                records.forget(connection, repository, kind, missing[start : start + PART])
        gone += len(missing)
    with database.write() as connection:
        records.recount(connection, repository)
    if found or gone:
        log.info("repository %s: %d files had no receipt, %d receipts had no file", repository, found, gone)
    return Reconciled(found, gone)


def _has_config(store: Store) -> bool:
    return not _is_missing(store, FileKind.CONFIG, "config")


def _is_missing(store: Store, kind: FileKind, name: str) -> bool:
    try:
        store.size(kind, name)
    except FileMissingError:
        return True
    return False
