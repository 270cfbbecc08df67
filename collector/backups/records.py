"""Queries about repositories at home, what was received for them, and the credentials of hosts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Insert, Row, Table, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from backup.stores.contract import FileKind
from collector.backups.tables import backup_credentials, backup_receipts, backup_repositories
from collector.store.tables import hosts

_AT_ONCE = 500
"""Names in one statement."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository, and how much is in it."""

    name: str
    host: str | None
    """The id of the host whose own it is; None for a shared one."""
    created: float
    received: float | None
    """When a host last added to it, seconds since the epoch."""
    files: int
    used: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A file that is in a repository."""

    repository: str
    kind: FileKind
    name: str
    size: int
    """Bytes."""
    received: float
    """By home's clock, seconds since the epoch."""
    host: str | None
    """The id of the host that sent it; None for what home found there."""


@dataclass(frozen=True, slots=True)
class Guest:
    """Who may come in, and the hash of what with; None where home made the host no credential."""

    id: str
    name: str
    token_hash: bytes | None


def find_guest(connection: Connection, id_or_name: str) -> Guest | None:
    """The host, not revoked, of this id, else of this name."""
    row = connection.execute(
        select(hosts.c.id, hosts.c.name, backup_credentials.c.token_hash)
        .outerjoin_from(hosts, backup_credentials, backup_credentials.c.host_id == hosts.c.id)
        .where(hosts.c.revoked.is_(None), or_(hosts.c.id == id_or_name, hosts.c.name == id_or_name))
        .order_by(hosts.c.id != id_or_name)
    ).first()
    return None if row is None else Guest(row.id, row.name, row.token_hash)


def save_credential(connection: Connection, host: str, token_hash: bytes, now: float) -> None:
    """The host's one credential from now on; the one before it ends."""
    connection.execute(delete(backup_credentials).where(backup_credentials.c.host_id == host))
    connection.execute(insert(backup_credentials).values(host_id=host, token_hash=token_hash, created=now))


def repository(connection: Connection, name: str) -> Repository | None:
    """None where nothing was ever received under this name."""
    row = connection.execute(select(backup_repositories).where(backup_repositories.c.name == name)).first()
    return None if row is None else _repository(row)


def repositories(connection: Connection) -> list[Repository]:
    """All, by name."""
    rows = connection.execute(select(backup_repositories).order_by(backup_repositories.c.name))
    return [_repository(row) for row in rows]


def add_repository(connection: Connection, name: str, host: str | None, now: float) -> None:
    """Remember a repository; one that is known stays as it is."""
    statement = _insert_new(connection, backup_repositories)
    connection.execute(statement, {"name": name, "host_id": host, "created": now, "files": 0, "used": 0})


def remove_repository(connection: Connection, name: str) -> None:
    """Forget a repository, with all that is known of it."""
    connection.execute(delete(backup_repositories).where(backup_repositories.c.name == name))


def receipt(connection: Connection, name_of_repository: str, kind: FileKind, name: str) -> Receipt | None:
    """Of one file."""
    row = connection.execute(
        select(backup_receipts).where(*_of(name_of_repository, kind), backup_receipts.c.name == name)
    ).first()
    return None if row is None else _receipt(row)


def receipts(connection: Connection, name_of_repository: str, kind: FileKind) -> Iterator[Receipt]:
    """Of all files of a kind, what came first at first."""
    rows = connection.execute(
        select(backup_receipts)
        .where(*_of(name_of_repository, kind))
        .order_by(backup_receipts.c.received, backup_receipts.c.name)
        .execution_options(yield_per=1000)
    )
    for row in rows:
        yield _receipt(row)


def known(connection: Connection, name_of_repository: str, kind: FileKind, names: Collection[str]) -> set[str]:
    """Those of at most _AT_ONCE `names` that have a receipt."""
    rows = connection.execute(
        select(backup_receipts.c.name).where(*_of(name_of_repository, kind), backup_receipts.c.name.in_(list(names)))
    )
    return {row.name for row in rows}


def count(connection: Connection, name_of_repository: str, kind: FileKind) -> int:
    """Files of a kind."""
    found = connection.execute(
        select(func.count()).select_from(backup_receipts).where(*_of(name_of_repository, kind))
    ).scalar_one()
    return int(found)


def sent(connection: Connection, name_of_repository: str, host: str | None, after: float, until: float) -> int:
    """Bytes of packs that came from a host later than `after` and no later than `until`."""
    received = backup_receipts.c.received
    of_host = (*_of(name_of_repository, FileKind.PACK), backup_receipts.c.host_id == host)
    return _totals(connection, *of_host, received > after, received <= until)[1]


def add(connection: Connection, added: Iterable[Receipt]) -> int:
    """Write receipts of files in repositories that are known. Of a file that has one, the first stays.

    Returns how many were new.
    """
    statement = _insert_new(connection, backup_receipts)
    new: defaultdict[str, list[Receipt]] = defaultdict(list)
    for one in added:
        row = {
            "repository": one.repository,
            "kind": one.kind.value,
            "name": one.name,
            "size": one.size,
            "received": one.received,
            "host_id": one.host,
        }
        if connection.execute(statement, row).rowcount > 0:
            new[one.repository].append(one)
    for name, these in new.items():
        received = [one.received for one in these if one.host is not None]
        changes: dict[str, Any] = {"received": max(received)} if received else {}
        _count_more(connection, name, len(these), sum(one.size for one in these), **changes)
    return sum(map(len, new.values()))


def forget(connection: Connection, name_of_repository: str, kind: FileKind, names: Collection[str]) -> None:
    """Remove the receipts of files that are gone."""
    listed = list(names)
    for start in range(0, len(listed), _AT_ONCE):
        these = (*_of(name_of_repository, kind), backup_receipts.c.name.in_(listed[start : start + _AT_ONCE]))
        files, used = _totals(connection, *these)
        connection.execute(delete(backup_receipts).where(*these))
        _count_more(connection, name_of_repository, -files, -used)


def lock_holders(connection: Connection, name_of_repository: str) -> list[str]:
    """The names of hosts whose locks are there."""
    rows = connection.execute(
        select(hosts.c.name)
        .join_from(hosts, backup_receipts, backup_receipts.c.host_id == hosts.c.id)
        .where(*_of(name_of_repository, FileKind.LOCK))
        .distinct()
        .order_by(hosts.c.name)
    )
    return list(rows.scalars())


def restart_locks(connection: Connection, name_of_repository: str, now: float) -> None:
    """Have locks that were received later than `now` count as received now: nobody knows how old they are."""
    connection.execute(
        update(backup_receipts)
        .where(*_of(name_of_repository, FileKind.LOCK), backup_receipts.c.received > now)
        .values(received=now)
    )


def recount(connection: Connection, name_of_repository: str) -> None:
    """Set what is counted to what the receipts say."""
    files, used = _totals(connection, backup_receipts.c.repository == name_of_repository)
    connection.execute(
        update(backup_repositories)
        .where(backup_repositories.c.name == name_of_repository)
        .values(files=files, used=used)
    )


def active(connection: Connection, ids: Collection[str]) -> set[str]:
    """Those of `ids` that are hosts which are not revoked."""
    rows = connection.execute(select(hosts.c.id).where(hosts.c.id.in_(list(ids)), hosts.c.revoked.is_(None)))
    return {row.id for row in rows}


def _totals(connection: Connection, *which: ColumnElement[bool]) -> tuple[int, int]:
    """How many receipts there are of these, and of how many bytes."""
    size = func.coalesce(func.sum(backup_receipts.c.size), 0)
    files, used = connection.execute(select(func.count(), size).select_from(backup_receipts).where(*which)).one()
    return int(files), int(used)


def _count_more(connection: Connection, name: str, files: int, used: int, **changes: Any) -> None:
    table = backup_repositories
    connection.execute(
        update(table)
        .where(table.c.name == name)
        .values(files=table.c.files + files, used=table.c.used + used, **changes)
    )


def _of(name_of_repository: str, kind: FileKind) -> tuple[ColumnElement[bool], ...]:
    return backup_receipts.c.repository == name_of_repository, backup_receipts.c.kind == kind.value


def _insert_new(connection: Connection, table: Table) -> Insert:
    """INSERT that leaves a row as it is that has the same key, and tells how many it added."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    return insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)


def _repository(row: Row[Any]) -> Repository:
    return Repository(
        name=row.name,
        host=row.host_id,
        created=row.created,
        received=row.received,
        files=row.files,
        used=row.used,
    )


def _receipt(row: Row[Any]) -> Receipt:
    return Receipt(
        repository=row.repository,
        kind=FileKind(row.kind),
        name=row.name,
        size=row.size,
        received=row.received,
        host=row.host_id,
    )
