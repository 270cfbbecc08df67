"""Answers of restic's REST protocol: a sentence, a file or a part of it, a list of files. Plain ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from http import HTTPStatus
from itertools import islice

import msgspec
from starlette.types import Send

from backup.stores.contract import FileKind, Store
from collector.api.problems import ApiError
from collector.backups.targets import VERSION_1, VERSION_2, Part, part_of
from collector.backups.turns import Turns

SLOW = 60.0
"""Seconds that a client may take for a piece of an answer."""
PIECE = 1 << 20
"""Bytes of a file that are read at once from a disk."""
REMOTE_PIECE = 4 << 20
"""From S3, where each piece is a request."""
LISTED = 1000
"""Files of a list that are looked up at once."""

_encode = msgspec.json.Encoder().encode
Headers = list[tuple[bytes, bytes]]


class Listed(msgspec.Struct, frozen=True):
    """A file in a list of version 2."""

    name: str
    size: int


async def say(send: Send, status: int, text: str = "", headers: dict[str, str] | None = None) -> None:
    """A sentence in plain text."""
    body = f"{text}\n".encode() if text else b""
    more = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    await _start(send, status, [*_typed("text/plain; charset=utf-8", len(body)), *more])
    await _body(send, body, more=False)


async def refuse(send: Send, error: ApiError) -> None:
    """Say why not."""
    await say(send, error.status, str(error), error.headers)


async def send_file(
    send: Send, turns: Turns, host: str, store: Store, kind: FileKind, name: str, *, wanted: str | None, head: bool
) -> None:
    """A file, or the part of it that a Range header wants; `head`: only how long it is. Raises StoreError."""
    most = REMOTE_PIECE if store.is_remote else PIECE

    def open_() -> tuple[int, Part | None, bytes]:
        size = store.size(kind, name)
        part = part_of(wanted, size)
        if head or part is None or not part.length:
            return size, part, b""
        return size, part, store.load(kind, name, part.offset, min(part.length, most))

    size, part, piece = await turns.run(host, open_)
    if part is None:
        await say(
            send,
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"The file has {size} bytes.",
            {"Content-Range": f"bytes */{size}"},
        )
        return
    headers = [*_typed("application/octet-stream", part.length), (b"accept-ranges", b"bytes")]
    status = HTTPStatus.OK
    if not part.whole:
        status = HTTPStatus.PARTIAL_CONTENT
        last = part.offset + part.length - 1
        headers.append((b"content-range", f"bytes {part.offset}-{last}/{size}".encode()))
    await _start(send, status, headers)
    if head:
        await _body(send, b"", more=False)
        return
    offset, end = part.offset + len(piece), part.offset + part.length
    await _body(send, piece, more=offset < end)
    while offset < end:
        piece = await turns.run(host, _loading(store, kind, name, offset, min(most, end - offset)))
        offset += len(piece)
        await _body(send, piece, more=offset < end)


async def send_list(send: Send, turns: Turns, host: str, files: Iterator[tuple[str, int]], *, sizes: bool) -> None:
    """The names of files, in version 2 with their sizes. The list is never held as a whole.

    Raises StoreError: where that is after the first piece, the answer is cut, which no client takes for a whole one.
    """

    def next_() -> list[tuple[str, int]]:
        return list(islice(files, LISTED))

    try:
        listed = await turns.run(host, next_)
        await _start(send, HTTPStatus.OK, _typed(VERSION_2 if sizes else VERSION_1, None))
        opening = b"["
        while listed:
            encoded = _encode([Listed(*one) for one in listed] if sizes else [name for name, _ in listed])
            await _body(send, opening + encoded[1:-1], more=True)
            opening = b","
            listed = await turns.run(host, next_)
        await _body(send, b"[]" if opening == b"[" else b"]", more=False)
    finally:
        _close(files)


def _loading(store: Store, kind: FileKind, name: str, offset: int, length: int) -> Callable[[], bytes]:
    return lambda: store.load(kind, name, offset, length)


def _close(files: Iterator[tuple[str, int]]) -> None:
    """A list that was not read to its end has folders open."""
    close = getattr(files, "close", None)
    if close is not None:
        close()


def _typed(media_type: str, length: int | None) -> Headers:
    """Without a length, the body goes in chunks, and one that is cut has no end."""
    headers: Headers = [(b"content-type", media_type.encode()), (b"cache-control", b"no-store")]
    return headers if length is None else [*headers, (b"content-length", str(length).encode())]


async def _start(send: Send, status: int, headers: Headers) -> None:
    await send({"type": "http.response.start", "status": int(status), "headers": headers})


async def _body(send: Send, piece: bytes, *, more: bool) -> None:
    async with asyncio.timeout(SLOW):
        await send({"type": "http.response.body", "body": piece, "more_body": more})
