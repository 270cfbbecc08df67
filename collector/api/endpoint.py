"""An endpoint: its handler together with what the OpenAPI document says about it. Who may use it is part of it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal, TypeVar, cast

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route

from collector.api.problems import ApiError, answer
from collector.auth import COOKIE, may
from collector.services import services
from collector.store.accounts import Role, User
from wire.codec import has_nul
from wire.errors import WireError

Access = Role | Literal["anyone", "signature"]
"""The least role; or nobody is asked; or the request is signed by a host's key."""

T = TypeVar("T")

BODY_TIMEOUT = 30.0
"""Seconds in which a body must have arrived."""
LARGE = 64 << 10
"""Bytes of a body from which on others are not kept waiting while it is looked at."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the path or the query. `schema` is JSON Schema."""

    name: str
    where: Literal["path", "query"]
    description: str
    schema: Mapping[str, object]
    style: Mapping[str, object] = field(default_factory=dict)
    """OpenAPI's `style` and `explode`, where the usual ones do not fit."""
    required: bool = False
    """Of those in the query: whether there is no answer without it. One in the path always is."""


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent."""

    media_type: str
    type: type


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`handler` returns a struct that is sent as JSON, and raises ApiError or WireError."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    access: Access
    handler: Callable[[Request], Awaitable[Any]]
    answer: Any
    """The type of what the handler returns."""
    body: Body | None = None
    parameters: tuple[Parameter, ...] = ()
    refusals: Mapping[int, str] = field(default_factory=dict)
    """Status to when it is given, besides those that every endpoint of its kind has."""

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return inspect.cleandoc(self.handler.__doc__ or "").partition("\n")[0]

    @property
    def description(self) -> str:
        """The handler's docstring."""
        return inspect.cleandoc(self.handler.__doc__ or "")

    def route(self) -> Route:
        """For Starlette. Nobody without the role gets to the handler."""

        async def serve(request: Request) -> Response:
            if self.access != "anyone" and self.access != "signature":
                request.state.user = await require(request, self.access, by_token=self.method != "GET")
            return answer(await self.handler(request))

        return Route(self.path, serve, methods=[self.method])


async def require(request: Request, role: Role, *, by_token: bool = False) -> User:
    """Who asks, by API token or session. Raises ApiError 401 where nobody is known, 403 where the role is less.

    `by_token`: no session will do. What changes something here is asked for by programs, and a page of somebody
    else's cannot have a browser ask for it.
    """
    auth = services(request).auth
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme:
        user = await auth.bearer(token.strip()) if scheme.lower() == "bearer" else None
    else:
        user = None if by_token else await auth.session(request.cookies.get(COOKIE, ""))
    if user is None:
        raise ApiError(
            HTTPStatus.UNAUTHORIZED,
            "unauthorized",
            "Log in, or send an API token that is valid as `Authorization: Bearer TOKEN`.",
            headers={"WWW-Authenticate": 'Bearer realm="hostward"'},
        )
    if not may(user, role):
        raise ApiError(HTTPStatus.FORBIDDEN, "forbidden", f"This takes the role {role}; {user.name} is {user.role}.")
    return user


async def read_body(request: Request, limit: int) -> bytes:
    """The body, of at most `limit` bytes. Raises WireError `too_large`, or `busy` where it comes too slowly."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise WireError("too_large", f"the body has {declared} bytes; at most {limit} are taken")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise WireError("too_large", f"the body has more than the {limit} bytes that are taken")
    except TimeoutError:
        raise WireError("busy", f"the body did not arrive within {BODY_TIMEOUT:.0f} s") from None
    return bytes(body)


async def read_json(request: Request, limit: int, type: type[T]) -> T:
    """The body as a struct. Raises WireError as `read_body` does, and ApiError 422 with what is wrong and where."""
    body = await read_body(request, limit)
    return await asyncio.to_thread(_decoded, body, type) if len(body) >= LARGE else _decoded(body, type)


def _decoded(body: bytes, type: type[T]) -> T:
    try:
        try:
            found = msgspec.json.decode(body, type=type)
        except msgspec.ValidationError:
            found = msgspec.convert(_whole(msgspec.json.decode(body)), type)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_body", f"The body cannot be taken: {error}.") from None
    # What is not asked for may hold whatever it likes.
    if has_nul(body) and has_nul(msgspec.json.encode(found)):
        said = "The body cannot be taken: a text in it has a NUL character."
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_body", said)
    return found


def _whole(value: Any) -> Any:
    """The same with 3 for 3.0: to JSON Schema both are integers."""
    match value:
        case float() if value.is_integer() and abs(value) <= 1 << 53:
            return int(value)
        case dict():
            return {key: _whole(inner) for key, inner in value.items()}
        case list():
            return [_whole(inner) for inner in value]
    return value


def actor(request: Request) -> str:
    """Who asks, as the audit log names them. For endpoints that take a role."""
    user = cast(User, request.state.user)
    return user.name if user.name.startswith("token ") else f"user:{user.name}"


def address(request: HTTPConnection) -> str:
    """Where the connection comes from. What headers say about it is anybody's to write, and is not looked at."""
    return request.client.host if request.client else ""


def target(request: Request) -> str:
    """The request line's target, as it was signed."""
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")
