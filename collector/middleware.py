"""What holds for every request and response: plain ASGI, so that nothing is buffered and no context is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.api.problems import ApiError
from kit.terminal import clean

HEADERS = {
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ]
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Strict-Transport-Security": "max-age=31536000",
}
"""Sent with every response, whatever it sets itself."""

_RAW = {name.lower().encode(): value.encode() for name, value in HEADERS.items()}

log = logging.getLogger(__name__)


class SecurityHeaders:
    """Adds HEADERS."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = (header for header in message.get("headers", ()) if header[0] not in _RAW)
                message["headers"] = [*own, *_RAW.items()]
            await send(message)

        await self._app(scope, receive, sender)


class LastResort:
    """Answers what nobody foresaw with `respond`'s 500, and writes the traceback to the log alone."""

    def __init__(self, app: ASGIApp, respond: Callable[[Request, ApiError], Response]) -> None:
        self._app = app
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def sender(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, sender)
        except Exception:
            log.exception("%s %s failed", scope["method"], clean(scope["path"]))
            if started:
                raise
            error = ApiError(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "internal",
                "Something went wrong at home; the collector's log says what.",
                permanent=False,
            )
            await self._respond(Request(scope), error)(scope, receive, send)


class NoNul:
    """Refuses addresses that hold a NUL character: no name has one, and PostgreSQL's text cannot."""

    def __init__(self, app: ASGIApp, respond: Callable[[Request, ApiError], Response], exempt: str) -> None:
        """Below `exempt` all that does not exist is refused in the same words."""
        self._app = app
        self._respond = respond
        self._exempt = exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"].startswith(self._exempt):
            await self._app(scope, receive, send)
            return
        if "\0" in scope["path"]:
            error = ApiError(
                HTTPStatus.NOT_FOUND, "not_found", "There is nothing at an address with a NUL character."
            )
        elif b"%00" in scope["query_string"] or b"\0" in scope["query_string"]:
            error = ApiError(
                HTTPStatus.UNPROCESSABLE_ENTITY, "bad_parameter", "A parameter holds no NUL character, and one does."
            )
        else:
            await self._app(scope, receive, send)
            return
        await self._respond(Request(scope), error)(scope, receive, send)


class SameOrigin:
    """Refuses what a page of another site makes a browser send, with the cookies that the browser adds.

    Every current browser says where a request that changes something comes from, by Sec-Fetch-Site or Origin. What
    proves itself otherwise, by a host's signature or an API token, carries nothing that a browser adds.
    """

    def __init__(
        self, app: ASGIApp, respond: Callable[[Request, ApiError], Response], exempt: frozenset[str]
    ) -> None:
        """`exempt` are the paths where a signature counts and no cookie does."""
        self._app = app
        self._respond = respond
        self._exempt = exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if (
            scope["type"] != "http"
            or scope["method"] in ("GET", "HEAD", "OPTIONS")
            or scope["path"] in self._exempt
            or is_same_origin(Headers(scope=scope))
        ):
            await self._app(scope, receive, send)
            return
        error = ApiError(
            HTTPStatus.FORBIDDEN,
            "cross_origin",
            "A request that changes something must come from this site's own pages.",
        )
        await self._respond(Request(scope), error)(scope, receive, send)


def is_same_origin(headers: Headers) -> bool:
    """Whether a request that changes something comes from our own pages, or from no browser but with a token."""
    if (site := headers.get("sec-fetch-site")) is not None:
        return site in ("same-origin", "none")  # none: typed, bookmarked or reloaded by the person
    if (origin := headers.get("origin")) is not None:
        return origin == f"https://{headers.get('host')}"
    return "authorization" in headers
