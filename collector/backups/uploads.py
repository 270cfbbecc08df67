"""Takes a file in: written to one that nobody sees, held against its name, durable, and only then acknowledged."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

from starlette.requests import Request
from starlette.types import Receive

from backup.stores.contract import FileExistsStoreError, FileKind, FileMissingError, SpooledFile, Store
from backup.stores.spool import open_spool
from collector.api.problems import RETRY_AFTER, ApiError
from collector.backups import records
from collector.backups.access import Guest
from collector.backups.places import Places
from collector.backups.receipts import Receipts, RevokedError
from collector.backups.records import Receipt
from collector.backups.turns import Turns
from collector.bounds import widen
from collector.store.database import Database
from kit.units import format_size

LONGEST = {
    FileKind.CONFIG: 1 << 16,
    FileKind.KEY: 1 << 16,
    FileKind.LOCK: 1 << 16,
    FileKind.SNAPSHOT: 16 << 20,
    FileKind.INDEX: 256 << 20,
    FileKind.PACK: 256 << 20,
}
"""Bytes of a file: restic ends a pack soon after 128 MiB, and an index at some 8."""
MOST = {FileKind.KEY: 16, FileKind.LOCK: 1000, FileKind.SNAPSHOT: 100_000}
"""Files of a kind in one repository: restic tries twenty keys, so that more would keep everybody out."""
MOST_FILES = 2_000_000
"""Files in one repository, in all but locks: home holds their names in memory while it prunes."""
IDLE = 60.0
"""Seconds in which something more of a body must come."""
SLOWEST = 4096
"""Bytes a second that a body must come at on the whole, besides IDLE."""
PIECE = 256 << 10
"""Bytes that are hashed and written at once."""


class GoneError(Exception):
    """The client went before all was sent."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that is announced."""

    guest: Guest
    kind: FileKind
    name: str
    size: int

    @property
    def seconds(self) -> float:
        """In which it must have come."""
        return IDLE + self.size / SLOWEST


@dataclass(frozen=True, slots=True)
class _Standing:
    """How much room there is."""

    known: bool
    """Whether the database has the repository."""
    used: int
    """Bytes in it."""
    files: int
    """In it."""
    of_kind: int
    """Of the kind, where these are bounded."""
    room: int | OSError
    """Bytes on home's disk, or why nobody knows."""


class Uploads:
    """Used on the event loop alone."""

    def __init__(
        self,
        database: Database,
        places: Places,
        receipts: Receipts,
        turns: Turns,
        *,
        keep_free: int,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._places = places
        self._receipts = receipts
        self._turns = turns
        self._keep_free = keep_free
        self._clock = clock
        self._arriving: Counter[str] = Counter()
        """Repository to bytes that are announced and not yet counted."""
        self._under_way: Counter[tuple[str, FileKind]] = Counter()
        """Repository and kind to such files."""
        self._names: Counter[tuple[str, FileKind, str]] = Counter()
        """The files themselves, until their receipts are written."""
        self._configs = asyncio.Lock()
        """Of two that make a repository at the same time, one is first: also where the place tells no two apart."""

    async def take(self, request: Request, guest: Guest, kind: FileKind, name: str) -> None:
        """Until the file is durable and its receipt written. Raises ApiError, GoneError, StoreError."""
        arrival = Arrival(guest, kind, name, _announced(request, kind))
        widen(request.scope, arrival.size, arrival.seconds)
        repository = guest.place.repository
        standing = await asyncio.to_thread(self._standing, repository, kind)
        refusal = self._refusal(arrival, standing)
        if refusal is not None:
            if "expect" not in request.headers:
                async with _in_time(arrival.seconds):
                    await _read_off(request.receive)  # who is still sending hears no answer
            raise refusal
        # Nothing was waited for since the refusal.
        self._arriving[repository] += arrival.size
        self._under_way[repository, kind] += 1
        self._names[repository, kind, name] += 1
        try:
            was_there = await self._receive(request, arrival)
            if not standing.known:  # the place is there, but the database is older than it
                await self._receipts.begin(arrival.guest, self._clock())
            # A lock that was there is somebody else's, home's own perhaps: to send it once more makes it nobody's.
            if not (was_there and kind is FileKind.LOCK):
                await self._acknowledge(arrival)
        finally:
            self._arriving -= Counter({repository: arrival.size})
            self._under_way -= Counter({(repository, kind): 1})
            self._names -= Counter({(repository, kind, name): 1})

    def is_arriving(self, repository: str, kind: FileKind, name: str) -> bool:
        """Whether the file may be there already and have its receipt in a moment. Safe for threads."""
        return (repository, kind, name) in self._names

    def _standing(self, repository: str, kind: FileKind) -> _Standing:
        with self._database.read() as connection:
            found = records.repository(connection, repository)
            of_kind = records.count(connection, repository, kind) if kind in MOST else 0
        try:
            room: int | OSError = self._places.room()
        except OSError as error:
            room = error
        files, used = (0, 0) if found is None else (found.files, found.used)
        return _Standing(known=found is not None, used=used, files=files, of_kind=of_kind, room=room)

    def _refusal(self, arrival: Arrival, standing: _Standing) -> ApiError | None:
        """Why there is no room for it."""
        place, kind = arrival.guest.place, arrival.kind
        most = MOST.get(kind)
        if most is not None and standing.of_kind + self._under_way[place.repository, kind] >= most:
            return _no_room(f"The repository has {most:,} files in {kind.value}, and more are not taken.")
        if kind is not FileKind.LOCK and standing.files >= MOST_FILES:
            return _no_room(f"The repository has {standing.files:,} files, and more are not taken.")
        used = standing.used + self._arriving[place.repository]
        if place.quota is not None and used + arrival.size > place.quota:
            return _no_room(
                f"The repository's quota at home is {format_size(place.quota)}, and {format_size(used)} are used."
            )
        if isinstance(standing.room, OSError):
            return ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "no_place",
                f"Home's place for backups cannot be used now: {standing.room.strerror}.",
                permanent=False,
                headers={"Retry-After": str(RETRY_AFTER)},
            )
        if standing.room - sum(self._arriving.values()) - arrival.size < self._keep_free:
            return _no_room(f"Home's disk is full: {format_size(self._keep_free)} of it stay free.")
        return None

    async def _receive(self, request: Request, arrival: Arrival) -> bool:
        """Whether the file was there already."""
        host, repository = arrival.guest.host, arrival.guest.place.repository
        store = self._places.store(repository)
        file, path = await self._turns.run(host, lambda: open_spool(self._places.spool_folder(repository)))
        digest = hashlib.sha256()
        try:
            received = 0
            # Not beyond: what has its name is given a receipt, however long disk and database take.
            async with _in_time(arrival.seconds):
                async for piece in _pieces(request.receive, arrival.size):
                    received += len(piece)
                    await self._turns.run(host, partial(_absorb, file, digest, piece))
            if received != arrival.size:
                raise GoneError
            if arrival.kind is not FileKind.CONFIG and digest.hexdigest() != arrival.name:
                raise ApiError(
                    HTTPStatus.BAD_REQUEST,
                    "other_content",
                    "The content is not what the name says: its SHA-256 is another. Nothing was kept.",
                )
            spooled = SpooledFile(path, received)
            keep = partial(_keep, file, store, arrival, spooled, digest.hexdigest())
            async with self._configs if arrival.kind is FileKind.CONFIG else nullcontext():
                return await self._turns.run(host, keep)
        finally:
            await asyncio.shield(self._turns.run(host, partial(_drop, file, path)))

    async def _acknowledge(self, arrival: Arrival) -> None:
        guest = arrival.guest
        receipt = Receipt(guest.place.repository, arrival.kind, arrival.name, arrival.size, self._clock(), guest.host)
        try:
            await self._receipts.add(receipt)
        except RevokedError:
            raise ApiError(HTTPStatus.UNAUTHORIZED, "revoked", "This host was revoked.") from None


def _announced(request: Request, kind: FileKind) -> int:
    """How many bytes will come. Raises ApiError."""
    text = request.headers.get("content-length", "")
    if not (text.isascii() and text.isdecimal()) or len(text) > 18 or "transfer-encoding" in request.headers:
        raise ApiError(
            HTTPStatus.LENGTH_REQUIRED,
            "length_required",
            "Say by Content-Length how many bytes come.",
            headers={"Connection": "close"},
        )
    if int(text) > LONGEST[kind]:
        raise ApiError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "too_large",
            f"A file in {kind.value} has at most {format_size(LONGEST[kind])} here.",
            headers={"Connection": "close"},
        )
    return int(text)


@asynccontextmanager
async def _in_time(seconds: float) -> AsyncIterator[None]:
    """Raises ApiError where the block takes longer, or a client sends nothing for IDLE seconds."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise ApiError(
            HTTPStatus.REQUEST_TIMEOUT,
            "slow",
            f"The file came too slowly: less than {format_size(SLOWEST)} a second, or nothing for {IDLE:.0f} s.",
            permanent=False,
            headers={"Connection": "close"},
        ) from None


def _no_room(message: str) -> ApiError:
    return ApiError(HTTPStatus.INSUFFICIENT_STORAGE, "no_room", message)


async def _messages(receive: Receive) -> AsyncIterator[bytes]:
    """What comes, as it comes. Raises GoneError, and TimeoutError where nothing does."""
    while True:
        async with asyncio.timeout(IDLE):
            message = await receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        if body := message.get("body", b""):
            yield body
        if not message.get("more_body", False):
            return


async def _pieces(receive: Receive, size: int) -> AsyncIterator[memoryview]:
    """The same in pieces of PIECE and a last one, each good until the next is asked for. `size` is that of all."""
    buffer = memoryview(bytearray(min(PIECE, size)))  # one for all: to allocate each anew costs more than to hash it
    filled = 0
    async for body in _messages(receive):
        left = memoryview(body)
        while left:
            if filled == len(buffer):
                raise GoneError  # more than was announced
            taken = min(len(left), len(buffer) - filled)
            buffer[filled : filled + taken] = left[:taken]
            left = left[taken:]
            filled += taken
            if filled == PIECE:
                yield buffer
                filled = 0
    if filled:
        yield buffer[:filled]


async def _read_off(receive: Receive) -> None:
    async for _ in _messages(receive):
        pass


def _absorb(file: BinaryIO, digest: hashlib._Hash, piece: memoryview) -> None:
    digest.update(piece)
    file.write(piece)


def _keep(file: BinaryIO, store: Store, arrival: Arrival, spooled: SpooledFile, digest: str) -> bool:
    """Give the file its name, unless there is another content under it. Raises StoreError, ApiError.

    Whether it was there already.
    """
    file.flush()
    try:
        size = store.size(arrival.kind, arrival.name)
    except FileMissingError:
        try:
            store.save(arrival.kind, arrival.name, spooled)
            return False
        except FileExistsStoreError:
            size = store.size(arrival.kind, arrival.name)
    if size != spooled.size or _digest(store, arrival.kind, arrival.name, size) != digest:
        raise ApiError(
            HTTPStatus.FORBIDDEN,
            "exists",
            f"There is another {arrival.kind.value} of this name, and nothing is replaced here.",
        )
    if arrival.kind is not FileKind.CONFIG:
        # By the same bytes, so that they are durable for this one too when it is told so.
        store.save(arrival.kind, arrival.name, spooled)
    return True


def _digest(store: Store, kind: FileKind, name: str, size: int) -> str:
    digest = hashlib.sha256()
    for offset in range(0, size, 1 << 20):
        digest.update(store.load(kind, name, offset, min(1 << 20, size - offset)))
    return digest.hexdigest()


def _drop(file: BinaryIO, path: Path) -> None:
    """Whatever was not kept."""
    path.unlink(missing_ok=True)
    file.close()
