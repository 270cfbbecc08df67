"""A repository at home, and who keeps it: what hosts send is put there with a receipt, as the server does it.

The working process's work is done in this one, which takes a twentieth of the time; tests/…/test_process.py and the
attacks of tests/attacks have the real one.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import secrets
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from sqlalchemy import Connection, insert

from backup.format.gotime import Moment
from backup.format.node import FILE, Node, encode_node, encode_tree
from backup.format.pack import BlobKind
from backup.format.snapshot import Snapshot
from backup.repository.opening import open_repository
from backup.repository.repository import Repository
from backup.repository.saver import BlobSaver
from backup.stores.contract import FileKind, Store
from collector.backups import records as stock
from collector.backups.keeping import books, keeper, records
from collector.backups.keeping.child import answers
from collector.backups.keeping.facts import Facts
from collector.backups.keeping.keeper import Keeper, Plans
from collector.backups.keeping.messages import Changed, Order
from collector.backups.keeping.process import Answered
from collector.backups.keeping.results import Result
from collector.backups.keeping.target import Target, find
from collector.backups.places import Places
from collector.backups.records import Receipt
from collector.backups.settings import BackupOptions, RepositoryOptions
from collector.store.database import Database, open_database
from collector.store.tables import hosts
from tests.backup.restore.making import CHEAP, PASSWORD
from tests.collector.support import NOW, Clock

R = TypeVar("R")

DAY = 86_400.0
HOST = "a" * 16
OTHER = "b" * 16
NODE = {"mode": 0o644, "mtime": "2024-05-06T07:08:09Z", "links": 1}


async def here(order: Order, *, timeout: float, holding: int) -> Answered:
    """In place of the working process."""
    said = answers(order.access, order.task)
    changed = next((one for one in said if isinstance(one, Changed)), None)
    return Answered(said[-1], changed)


@dataclass
class Yard:
    """Everything."""

    folder: Path
    database: Database
    places: Places
    clock: Clock
    repository: Repository
    name: str
    random: random.Random = field(default_factory=lambda: random.Random(6))

    @property
    def place(self) -> Path:
        """The repository's folder."""
        return Path(self.places.location(self.name))

    @property
    def store(self) -> Store:
        """Its files."""
        return self.places.store(self.name)

    @property
    def keeper(self) -> Keeper:
        """Who keeps it."""

        async def write(function: Callable[[Connection], R]) -> R:
            with self.database.write() as connection:
                return function(connection)

        return Keeper(database=self.database, write=write, places=self.places, clock=self.clock, zone=UTC)

    @property
    def target(self) -> Target:
        """The repository."""
        with self.database.read() as connection:
            return find(connection, self.places.options, self.name)

    def run(self, work: Awaitable[R]) -> R:
        """Wait for it."""

        async def wait() -> R:
            return await work

        return asyncio.run(wait())

    def keep(self, *, always: bool = False) -> Result:
        """Keep it now."""
        return self.run(self.keeper.keep(self.target, always=always))

    def plan(self) -> Plans:
        """What would be done."""
        return self.run(self.keeper.plan(self.target))

    def verify(self) -> Result:
        """Verify it now."""
        return self.run(self.keeper.verify(self.target))

    # What hosts do

    def receive(self, host: str | None = HOST) -> None:
        """Write receipts of all that is there without one, as of now, and forget what is gone."""
        store = self.store
        with self.database.write() as connection:
            for kind in FileKind:
                files = dict(store.list(kind))
                known = {one.name for one in stock.receipts(connection, self.name, kind)}
                new = [
                    Receipt(self.name, kind, name, files[name], self.clock(), host) for name in files.keys() - known
                ]
                stock.add(connection, new)
                stock.forget(connection, self.name, kind, known - files.keys())

    def tree(self, *contents: bytes) -> bytes:
        """A folder with these files, saved; returns the id of its tree."""
        with BlobSaver(self.repository) as saver:
            nodes = [
                Node(
                    f"file{number:04}".encode(),
                    FILE,
                    **NODE,
                    size=len(content),
                    content=[saver.save(BlobKind.DATA, content)],
                )
                for number, content in enumerate(contents)
            ]
            id = saver.save(BlobKind.TREE, encode_tree(map(encode_node, nodes)))
            saver.flush()
        return id

    def send(
        self, *contents: bytes, host: str = HOST, at: float | None = None, tree: bytes | None = None, **fields: Any
    ) -> str:
        """Save a snapshot of files with these contents, from a host, as of now; returns its name."""
        self.repository.drop_index()
        claimed = self.clock() if at is None else at
        given = {"hostname": "web1", "paths": ("/srv",), "tree": tree or self.tree(*contents), **fields}
        name = self.repository.save_snapshot(Snapshot(moment=Moment(int(claimed * 1e9)), **given))
        self.receive(host)
        return name

    def usual(self, changed: int = 1000) -> list[bytes]:
        """Files as they usually are: some large ones that stay, and one that changes each day."""
        steady = random.Random(1)
        return [*(steady.randbytes(300_000) for _ in range(5)), self.random.randbytes(changed)]

    def days(self, count: int, **fields: Any) -> list[str]:
        """A snapshot as usual on each of so many days, the last of which is yesterday."""
        names = []
        for _ in range(count):
            names.append(self.send(*self.usual(), **fields))
            self.clock.now += DAY
        return names

    def put(self, kind: FileKind, content: bytes, host: str | None = HOST) -> str:
        """Send any bytes under their name."""
        name = hashlib.sha256(content).hexdigest()
        self.repository.store.save(kind, name, content)
        self.receive(host)
        return name

    # What is there

    def snapshots(self) -> set[str]:
        """Names of those that are there."""
        return {name for name, _ in self.store.list(FileKind.SNAPSHOT)}

    def packs(self) -> set[str]:
        """Names of those that are there."""
        return {name for name, _ in self.store.list(FileKind.PACK)}

    def facts(self, name: str) -> Facts:
        """What home knows of one."""
        with self.database.read() as connection:
            return next(one.facts for one in records.known(connection, self.name) if one.facts.name == name)

    def flags(self, name: str) -> set[str]:
        """Its flags."""
        return {flag.kind for flag in self.facts(name).flags}

    def alerts(self) -> list[records.Raised]:
        """Those that are open."""
        with self.database.read() as connection:
            return [one for one in records.alerts(connection, self.name) if one.acknowledged is None]

    def acknowledge(self) -> None:
        """All of them."""
        for alert in self.alerts():
            with self.database.write() as connection:
                books.acknowledge(connection, alert, by="unix:root", now=self.clock())

    def release(self, name: str) -> None:
        """A flagged snapshot."""
        with self.database.write() as connection:
            books.release(connection, self.name, self.facts(name), by="unix:root", now=self.clock())

    def used(self) -> int:
        """Bytes, as home counts them."""
        with self.database.read() as connection:
            found = stock.repository(connection, self.name)
        assert found is not None
        return found.used

    def bytes_there(self) -> int:
        """Bytes of all files that are there."""
        store = self.store
        return sum(size for kind in FileKind for _, size in store.list(kind))


@contextmanager
def yard(
    folder: Path,
    *,
    password: bool = True,
    hosts_of: tuple[str, ...] = (),
    like: Path | None = None,
    now: float = NOW,
    **options: Any,
) -> Iterator[Yard]:
    """A repository of web1, or of a group, with further `options` of `[backups]`; empty, or `like` one that was made
    in another folder, at the time `now`.
    """
    if like is not None:
        shutil.copytree(like, folder, dirs_exist_ok=True)
    folder.mkdir(exist_ok=True)
    database = open_database(folder / "collector.db", create=True)
    secret = folder / "password"
    secret.write_bytes(PASSWORD + b"\n")
    secret.chmod(0o600)
    own = RepositoryOptions(password_file=str(secret) if password else None, hosts=hosts_of)
    name = "group" if hosts_of else HOST
    settings = BackupOptions(repositories={"group" if hosts_of else "web1": own}, **options)
    places = Places(settings, folder)
    places.prepare()
    store = places.store(name)
    clock = Clock(now)
    try:
        if like is not None:
            yield Yard(folder, database, places, clock, open_repository(store, PASSWORD), name)
            return
        with database.write() as connection:
            for id, title in ((HOST, "web1"), (OTHER, "web2")):
                connection.execute(insert(hosts), _host(id, title))
            stock.add_repository(connection, name, None if hosts_of else HOST, now - DAY)
        repository = Repository.create(store, PASSWORD, cost=CHEAP)
        made = Yard(folder, database, places, clock, repository, name)
        made.receive()
        yield made
    finally:
        places.close()
        database.close()


def _host(id: str, name: str) -> dict[str, Any]:
    return {
        "id": id,
        "name": name,
        "public_key": os.urandom(32),
        "enrolled": NOW,
        "agent": "0",
        "facts": b"{}",
        "state": "pending",
        "since": NOW,
        "message": "",
        "epoch": "",
        "boot": "",
        "interval": 15.0,
        "clock_offset": 0.0,
        "checks": b"[]",
        "vitals": msgspec.json.encode({}),
        "lost_readings": 0,
        "lost_events": 0,
        "lost_job_results": 0,
        "lost_reports": 0,
    }


def spoil(path: Path) -> None:
    """Change a byte in the middle of a file, as a disk may."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(content))


def noise(count: int) -> bytes:
    """Bytes that nothing compresses."""
    return secrets.token_bytes(count)


__all__ = ["DAY", "HOST", "OTHER", "Yard", "here", "keeper", "noise", "spoil", "yard"]


def lived(folder: Path, days: int, **options: Any) -> tuple[Path, float]:
    """A yard that was kept well for some days, for others to be like it: where it is, and what time it is then."""
    with pytest.MonkeyPatch.context() as patched, yard(folder, **options) as made:
        patched.setattr(keeper, "ask", here)
        made.days(days)
        assert made.keep().outcome == "done"
        return folder, made.clock()
