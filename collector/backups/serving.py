"""restic's REST protocol, versions 1 and 2, for the repositories of hosts: a plain ASGI application under /backup/.

A host has one repository, and no path leads to another: what the path names is only compared with what is the
host's. No part of a path or a header becomes part of the name of a file but 64 hexadecimal digits.

Source: restic, doc/100_references.rst, "REST Backend"; how rest-server answers.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus

from sqlalchemy.exc import DatabaseError
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from backup.stores.contract import FileKind, FileMissingError, StoreError
from collector.api.problems import RETRY_AFTER, ApiError
from collector.backups import records
from collector.backups.access import Access, Guest
from collector.backups.places import Places
from collector.backups.receipts import BusyError, Receipts
from collector.backups.replies import refuse, say, send_file, send_list
from collector.backups.targets import VERSION_2, Target, parse
from collector.backups.turns import CrowdedError, OneByOne, Seats, Turns
from collector.backups.uploads import GoneError, Uploads
from collector.store.database import Database
from kit.terminal import clean

log = logging.getLogger(__name__)

_FULL = (errno.ENOSPC, errno.EDQUOT)
_BUSY = {"Retry-After": str(RETRY_AFTER)}


@dataclass(frozen=True, slots=True)
class Serving:
    """The application. Used on the event loop alone."""

    database: Database
    places: Places
    access: Access
    receipts: Receipts
    uploads: Uploads
    turns: Turns
    seats: Seats
    files: OneByOne
    """A file and its receipt come and go together."""
    clock: Callable[[], float]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        started = False

        async def sender(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._serve(request, sender)
        except GoneError:
            if not started:
                await say(send, HTTPStatus.BAD_REQUEST, "Not all of the file came.", {"Connection": "close"})
        except Exception as error:
            problem = _problem(error)
            if problem is None:
                raise
            if not isinstance(error, (ApiError, FileMissingError)) or started:
                log.error("%s %s: %s", scope["method"], clean(scope["path"]), str(error) or type(error).__name__)
            # An answer that has begun has no other end than that of its connection.
            if not started:
                await refuse(send, problem)

    async def _serve(self, request: Request, send: Send) -> None:
        target = parse(request.scope["raw_path"])
        address = request.client.host if request.client else ""
        guest = await self.access.guest(request.headers.get("authorization"), address)
        if target is None:
            raise ApiError(HTTPStatus.NOT_FOUND, "not_found", "This is no path of restic's REST protocol.")
        if not guest.means(target.repository):
            raise ApiError(
                HTTPStatus.FORBIDDEN, "forbidden", f"The repository of this host is {guest.place.repository}."
            )
        try:
            async with self.seats.taken(guest.host):
                await self._answer(request, send, guest, target)
        except CrowdedError:
            raise ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "busy",
                "This host has as many requests under way as home keeps waiting; try again later.",
                permanent=False,
                headers=dict(_BUSY),
            ) from None

    async def _answer(self, request: Request, send: Send, guest: Guest, target: Target) -> None:
        kind, name = target.kind, target.name
        match request.method:
            case "POST" if kind is None:
                await self._create(request, send, guest)
            case "POST" if kind is not None and name is not None:
                async with self.files.alone((guest.place.repository, kind, name)):
                    await self.uploads.take(request, guest, kind, name)
                await say(send, HTTPStatus.OK)
            case "GET" | "HEAD" if kind is not None and name is not None:
                await self._give(request, send, guest, kind, name)
            case "GET" if kind is not None:
                await self._list(request, send, guest, kind)
            case "DELETE" if kind is not None and name is not None:
                async with self.files.alone((guest.place.repository, kind, name)):
                    await self._remove(guest, kind, name)
                await say(send, HTTPStatus.OK)
            case "DELETE" if kind is None:
                raise _append_only("a whole repository")
            case _:
                raise ApiError(
                    HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", f"{request.method} is for nothing here."
                )

    async def _create(self, request: Request, send: Send, guest: Guest) -> None:
        if request.scope["query_string"] != b"create=true":
            raise ApiError(HTTPStatus.BAD_REQUEST, "bad_request", "A repository is made with ?create=true.")
        repository = guest.place.repository
        if not await self.turns.run(guest.host, lambda: self.places.is_there(repository)):
            await self._require_unknown(repository)
            await self.turns.run(guest.host, lambda: self.places.create(repository))
        await self.receipts.begin(guest, self.clock())
        await say(send, HTTPStatus.OK)

    async def _require_unknown(self, repository: str) -> None:
        """A place that does not hold what was received there is no place to begin anew. Raises ApiError."""
        if await asyncio.to_thread(self._config, repository) is not None:
            raise ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "no_place",
                "Home's place for backups does not hold what was saved there; is a disk not mounted?",
                permanent=False,
                headers=dict(_BUSY),
            )

    async def _give(self, request: Request, send: Send, guest: Guest, kind: FileKind, name: str) -> None:
        store = self.places.store(guest.place.repository)
        head = request.method == "HEAD"
        wanted = None if head else request.headers.get("range")
        try:
            await send_file(send, self.turns, guest.host, store, kind, name, wanted=wanted, head=head)
        except FileMissingError:
            if kind is FileKind.CONFIG:
                await self._require_unknown(guest.place.repository)
            raise

    async def _list(self, request: Request, send: Send, guest: Guest, kind: FileKind) -> None:
        repository = guest.place.repository
        if not await self.turns.run(guest.host, lambda: self.places.is_there(repository)):
            await self._require_unknown(repository)
            if not await self._is_begun(repository):
                raise ApiError(HTTPStatus.NOT_FOUND, "not_found", "There is no repository yet.")
        sizes = VERSION_2 in request.headers.get("accept", "")
        files = self._keys(repository) if kind is FileKind.KEY else iter(self.places.store(repository).list(kind))
        await send_list(send, self.turns, guest.host, files, sizes=sizes)

    def _keys(self, repository: str) -> Iterator[tuple[str, int]]:
        """Those that came first at first, for restic tries keys in the order of this list and stops at one that is
        none, or that opens and holds another repository's key: a host can add such, but only behind what was there.
        """
        with self.database.read() as connection:
            came = {one.name: at for at, one in enumerate(records.receipts(connection, repository, FileKind.KEY))}
        yield from sorted(
            self.places.store(repository).list(FileKind.KEY), key=lambda key: (came.get(key[0], -1), key[0])
        )

    async def _remove(self, guest: Guest, kind: FileKind, name: str) -> None:
        repository = guest.place.repository
        if guest.place.append_only and kind is not FileKind.LOCK:
            raise _append_only(f"a file in {kind.value}")
        receipt = await asyncio.to_thread(self._receipt, repository, kind, name)
        if guest.place.append_only and receipt is not None and receipt.host != guest.host:
            raise _append_only("the lock of somebody else")
        if guest.place.append_only and receipt is None:
            raise ApiError(HTTPStatus.NOT_FOUND, "not_found", "This host left no such lock.")
        store = self.places.store(repository)
        missing: FileMissingError | None = None
        try:
            await self.turns.run(guest.host, lambda: store.remove(kind, name))
        except FileMissingError as error:
            missing = error
        if receipt is not None:
            await self.receipts.forget(receipt)
        if missing is not None:
            raise missing

    def _config(self, repository: str) -> records.Receipt | None:
        return self._receipt(repository, FileKind.CONFIG, "config")

    def _receipt(self, repository: str, kind: FileKind, name: str) -> records.Receipt | None:
        with self.database.read() as connection:
            return records.receipt(connection, repository, kind, name)

    async def _is_begun(self, repository: str) -> bool:
        """Whether somebody is making a repository there, and has not saved its config yet."""

        def look() -> bool:
            with self.database.read() as connection:
                return records.repository(connection, repository) is not None

        return await asyncio.to_thread(look)


def _append_only(what: str) -> ApiError:
    return ApiError(
        HTTPStatus.FORBIDDEN,
        "append_only",
        f"Hosts remove nothing here but their own locks: this is {what}. Home forgets and prunes by itself.",
    )


def _problem(error: Exception) -> ApiError | None:
    """What goes to who asked; None for what nobody foresaw."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, FileMissingError):
        return ApiError(HTTPStatus.NOT_FOUND, "not_found", "There is no such file.")
    cause = error.__cause__ if isinstance(error, StoreError) else error
    if isinstance(cause, OSError) and cause.errno in _FULL:
        return ApiError(HTTPStatus.INSUFFICIENT_STORAGE, "no_room", "Home's disk is full.")
    if isinstance(error, (StoreError, OSError, DatabaseError, BusyError)):
        return ApiError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "no_place",
            "Home cannot use its backups now; the collector's log says why.",
            permanent=False,
            headers=dict(_BUSY),
        )
    return None
