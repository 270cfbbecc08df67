"""What is refused, and how: `{"error": {"code": …, "message": …, "permanent": …}}` for everything under /api."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from starlette.responses import Response

from wire.errors import WireError
from wire.report import Problem, Refusal

RETRY_AFTER = 5
"""Seconds that who is told `busy` should wait."""

_encode = msgspec.json.Encoder().encode


class ApiError(Exception):
    """A request that is not answered; `str(error)` is one clear sentence that is safe to show to who asked."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        message: str,
        *,
        permanent: bool = True,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.permanent = permanent
        self.headers = headers or {}


def answer(body: object, *, status: int = 200) -> Response:
    """`body` as JSON."""
    return Response(_encode(body), status, {"Cache-Control": "no-store"}, "application/json")


def refusal(error: ApiError) -> Response:
    """The one error shape."""
    return _problem(
        error.status, Problem(code=error.code, message=str(error), permanent=error.permanent), error.headers
    )


def wire_refusal(error: WireError, now: float) -> Response:
    """The same for what an agent sent; it is told home's time where its own is wrong."""
    time = now if error.code == "clock_skew" else None
    headers = {"Retry-After": str(RETRY_AFTER)} if error.code == "busy" else {}
    if error.code == "too_large":
        headers["Connection"] = "close"  # the rest of the body is not read
    return _problem(
        error.status, Problem(code=error.code, message=str(error), permanent=error.permanent, time=time), headers
    )


def _problem(status: int, problem: Problem, headers: dict[str, str]) -> Response:
    return Response(_encode(Refusal(problem)), status, {"Cache-Control": "no-store", **headers}, "application/json")
