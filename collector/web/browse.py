"""The pages that look into snapshots at home, for operators: what is in one, and downloads. Each look is audited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import parse_qsl, quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from collector import audit
from collector.api.endpoint import address
from collector.backups.browse.messages import (
    FILE,
    FOLDER,
    LONGEST_PATH,
    MOST_ENTRIES,
    MOST_SNAPSHOTS,
    Content,
    Entry,
    Fetch,
    Folder,
    ListFolder,
    ListSnapshots,
    Snapshots,
    Task,
)
from collector.backups.browse.process import BrowseError, BusyError, Looking
from collector.backups.open import Opening, opening
from collector.services import services
from collector.store import hosts
from collector.web.pages import HEADERS, host_url, page
from kit.terminal import bounded, clean
from wire import limits

LONGEST_START = 9
"""Digits of how many entries are passed over."""
LONGEST_WORDS = 300
"""Characters of a name or path on a page, and in the audit log."""


@dataclass(frozen=True, slots=True)
class Step:
    """A folder on the way from the root."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Line:
    """An entry of a folder."""

    entry: Entry
    name: str
    url: str
    """Of a folder's page; '' for all else."""
    download: str
    """Where its content is; '' for what has none."""


async def snapshots(request: Request) -> Response:
    """GET /hosts/{id}/backups/snapshots[?start=N]: those in the host's repository, or how to see them elsewhere."""
    found, start = await _opening(request), _start(request)
    if found.access is None:
        return _list_page(request, found, None, found.problem)
    try:
        async with _look(request, found, ListSnapshots(start=start), "the list of snapshots") as looking:
            assert isinstance(looking.answer, Snapshots)
            listed = looking.answer
    except BrowseError as error:
        return _list_page(request, found, None, str(error))
    return _list_page(request, found, listed, start=start)


async def folder(request: Request) -> Response:
    """GET /hosts/{id}/backups/snapshots/{snapshot}[?path=PATH][&start=N]: what is in a folder."""
    found, snapshot, path = await _opening(request), _snapshot(request), _path(request)
    start = _start(request)
    if found.access is None:
        return _closed(request, found)
    listed, problem = None, ""
    try:
        task = ListFolder(snapshot=snapshot, path=path, start=start)
        async with _look(request, found, task, f"snapshot {snapshot[:8]}, {_words(path)}") as looking:
            assert isinstance(looking.answer, Folder)
            listed = looking.answer
    except BrowseError as error:
        problem = str(error)
    return page(
        "backup_folder.html",
        status=409 if problem else 200,
        section="backups",
        user=request.state.user.name,
        found=found,
        snapshot=snapshot,
        steps=_steps(found.host, snapshot, path),
        start=start,
        step=MOST_ENTRIES,
        listed=listed,
        lines=[_line(found.host, snapshot, path, entry) for entry in listed.entries] if listed else [],
        problem=problem,
        here=_url(found.host, snapshot, path),
        archive=_url(found.host, snapshot, path, "/download"),
    )


async def download(request: Request) -> Response:
    """GET /hosts/{id}/backups/snapshots/{snapshot}/download?path=PATH: a file, or a folder as a tar archive."""
    found, snapshot, path = await _opening(request), _snapshot(request), _path(request)
    if found.access is None:
        return _closed(request, found)
    async with AsyncExitStack() as stack:
        try:
            task = Fetch(snapshot=snapshot, path=path)
            looking = await stack.enter_async_context(
                _look(request, found, task, f"snapshot {snapshot[:8]}, {_words(path)}")
            )
        except BrowseError as error:
            return _list_page(request, found, None, str(error))
        assert isinstance(looking.answer, Content)
        content = looking.answer
        name = content.name or snapshot[:8].encode()
        headers = HEADERS | {"Content-Disposition": disposition(name if content.size is not None else name + b".tar")}
        if content.size is not None:
            headers["Content-Length"] = str(content.size)
        kind = "application/octet-stream" if content.size is not None else "application/x-tar"
        return Download(looking.pieces(), stack.pop_all(), media_type=kind, headers=headers)
    raise AssertionError  # the stack swallows nothing


class Download(StreamingResponse):
    """Gives what a process reads, and sees to it that the process ends whatever becomes of the request."""

    def __init__(
        self, pieces: AsyncIterator[bytes], stack: AsyncExitStack, *, media_type: str, headers: dict[str, str]
    ) -> None:
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request."""
        async with self._stack:
            await super().__call__(scope, receive, send)


def disposition(name: bytes) -> str:
    """A Content-Disposition (RFC 6266) that saves under `name`, whatever bytes are in it."""
    text = clean(name.decode("utf-8", "replace")).replace("/", "_")
    text = PurePosixPath(text).name.strip(". ") or "download"
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._- ") else "_" for letter in text)
    return f"attachment; filename=\"{plain[-150:]}\"; filename*=UTF-8''{quote(text[-150:], safe='')}"


@asynccontextmanager
async def _look(request: Request, found: Opening, task: Task, what: str) -> AsyncIterator[Looking]:
    """Write down who looks at what, and look. Raises HTTPException 503 where others do, and BrowseError."""
    assert found.access is not None
    database, now, where = services(request).database, services(request).clock(), address(request)
    act: audit.Act = "backup.downloaded" if isinstance(task, Fetch) else "backup.browsed"

    def write() -> None:
        with database.write() as connection:
            actor, subject = f"user:{request.state.user.name}", f"host:{found.host}"
            audit.append(connection, act, actor=actor, subject=subject, address=where, detail=what, now=now)

    await asyncio.to_thread(write)
    try:
        async with services(request).browser.look(found.access, task) as looking:
            yield looking
    except BusyError:
        raise HTTPException(503) from None


async def _opening(request: Request) -> Opening:
    """Of the host that the path names. Raises HTTPException 404."""
    database, backups = services(request).database, services(request).backups

    def work() -> Opening | None:
        with database.read() as connection:
            record = hosts.find_active(connection, request.path_params["host"])
        return None if record is None else opening(backups, record.id, record.name)

    found = await asyncio.to_thread(work)
    if found is None:
        raise HTTPException(404)
    return found


def _snapshot(request: Request) -> str:
    """Raises HTTPException 404."""
    snapshot: str = request.path_params["snapshot"]
    if limits.SNAPSHOT.fullmatch(snapshot) is None:
        raise HTTPException(404)
    return snapshot


def _parameters(request: Request) -> dict[str, str]:
    """Of the query, where bytes that are no UTF-8 are surrogates: names of files may have any."""
    query: bytes = request.scope["query_string"]
    try:
        return dict(parse_qsl(query.decode("latin-1"), errors="surrogateescape", max_num_fields=5))
    except ValueError:
        raise HTTPException(400) from None


def _path(request: Request) -> bytes:
    """From the root on, without any `.` or `..`. Raises HTTPException 400."""
    path = _parameters(request).get("path", "/").encode("utf-8", "surrogateescape")
    if len(path) > LONGEST_PATH or b"\0" in path or not path.startswith(b"/"):
        raise HTTPException(400)
    if path != b"/" and not {b"", b".", b".."}.isdisjoint(path[1:].split(b"/")):
        raise HTTPException(400)
    return path


def _start(request: Request) -> int:
    text = _parameters(request).get("start", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= LONGEST_START else 0


def _url(host: str, snapshot: str, path: bytes, what: str = "") -> str:
    return f"{host_url(host)}/backups/snapshots/{snapshot}{what}?path={quote(path, safe='/')}"


def _steps(host: str, snapshot: str, path: bytes) -> list[Step]:
    steps, whole = [], b""
    for name in path.split(b"/"):
        if not name:
            continue
        whole += b"/" + name
        steps.append(Step(_words(name), _url(host, snapshot, whole)))
    return steps


def _line(host: str, snapshot: str, folder: bytes, entry: Entry) -> Line:
    path = folder.rstrip(b"/") + b"/" + entry.name
    reachable = len(path) <= LONGEST_PATH
    return Line(
        entry=entry,
        name=_words(entry.name),
        url=_url(host, snapshot, path) if entry.type == FOLDER and reachable else "",
        download=_url(host, snapshot, path, "/download") if entry.type in (FILE, FOLDER) and reachable else "",
    )


def _words(path: bytes) -> str:
    """A name or a path for people: bytes that are no text show as such, and nothing steers a terminal."""
    return bounded(path.decode("utf-8", "backslashreplace"), LONGEST_WORDS)


def _closed(request: Request, found: Opening) -> Response:
    """What home cannot open. Raises HTTPException 404 where it never could."""
    if not found.problem:
        raise HTTPException(404)
    return _list_page(request, found, None, found.problem)


def _list_page(
    request: Request, found: Opening, listed: Snapshots | None, problem: str = "", start: int = 0
) -> Response:
    """With a problem the status says that it is the repository's."""
    return page(
        "backup_snapshots.html",
        status=409 if problem else 200,
        section="backups",
        user=request.state.user.name,
        found=found,
        listed=listed,
        start=start,
        step=MOST_SNAPSHOTS,
        here=f"{host_url(found.host)}/backups/snapshots",
        problem=problem,
    )
