"""HTTP/1.1 as far as a scrape needs it: a request's head in, an answer's head out. Pure.

RFC 9110 and 9112. There are no bodies: a request that announces one is refused, so that none is taken for the next
request.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

from agent.metrics.address import is_loopback

MOST = 8192
"""Bytes of a request's head."""
_LINE = re.compile(rb"([A-Z]{1,20}) ([!-~]+) HTTP/1\.([01])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]*))(?::[0-9]*)?")
_NO_GZIP = re.compile(r"q=0(\.0*)?")


class RefusedError(Exception):
    """A request that is not answered but refused; the connection ends with it."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """A request without a body."""

    method: str
    path: str
    """Without the query."""
    keep: bool
    """Whether the connection stays for another one."""
    gzip: bool
    """Whether the answer may be compressed."""


def parse(data: bytes) -> tuple[Request, int] | None:
    """The request that begins `data`, and its length; None while there is not all of it. Raises RefusedError."""
    end = data.find(b"\r\n\r\n")
    if end < 0 or end + 4 > MOST:
        if len(data) > MOST or end >= 0:
            raise RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        return None
    first, *lines = data[:end].split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise RefusedError(HTTPStatus.BAD_REQUEST)
    headers = _headers(lines)
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    if not _is_ours(headers.get("host")):
        raise RefusedError(HTTPStatus.MISDIRECTED_REQUEST)
    connection = {word.strip().lower() for word in headers.get("connection", "").split(",")}
    keep = "close" not in connection and (line[3] == b"1" or "keep-alive" in connection)
    path = line[2].decode("ascii").partition("?")[0]
    return Request(line[1].decode("ascii"), path, keep, _takes_gzip(headers.get("accept-encoding", ""))), end + 4


def head(status: HTTPStatus, headers: dict[str, str], length: int, *, keep: bool) -> bytes:
    """The head of an answer whose body has this many bytes."""
    fields = {
        **headers,
        "Content-Length": str(length),
        "X-Content-Type-Options": "nosniff",
        "Connection": "keep-alive" if keep else "close",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{lines}\r\n".encode("ascii")


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise RefusedError(HTTPStatus.BAD_REQUEST)
        name = match[1].decode("ascii").lower()
        if name in ("host", "content-length", "transfer-encoding") and name in headers:
            raise RefusedError(HTTPStatus.BAD_REQUEST)
        value = match[2].decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _is_ours(host: str | None) -> bool:
    """Whether a client means this host.

    A page in a browser on this host that had its own name resolve to 127.0.0.1 could otherwise read the metrics.
    """
    if host is None:  # HTTP/1.0; no browser
        return True
    match = _HOST.fullmatch(host)
    return match is not None and ((match[2] or "").lower() == "localhost" or is_loopback(match[1] or match[2]))


def _takes_gzip(accepted: str) -> bool:
    for item in accepted.split(","):
        coding, _, parameters = item.strip().partition(";")
        if coding.strip().lower() == "gzip":
            return not _NO_GZIP.fullmatch(parameters.strip())
    return False
