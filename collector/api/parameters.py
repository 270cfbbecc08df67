"""Reading a query's parameters, with a sentence for each that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import Request

from collector.api.problems import ApiError


def given(request: Request, *names: str) -> dict[str, str]:
    """The parameters, each of which is one of `names` and there once. Raises ApiError 422."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in names:
            raise bad(f"There is no parameter {name}; there are {', '.join(names)}.")
        if name in found:
            raise bad(f"The parameter {name} is given twice.")
        found[name] = value
    return found


def whole(found: Mapping[str, str], name: str, most: int) -> int | None:
    """A whole number from 1 to `most`, or None where it is not given. Raises ApiError 422."""
    if name not in found:
        return None
    text = found[name]
    if not (text.isascii() and text.isdecimal() and len(text) < 17 and 1 <= int(text) <= most):
        raise bad(f"{name} must be a whole number from 1 to {most}.")
    return int(text)


def one_of(found: Mapping[str, str], name: str, values: tuple[str, ...]) -> str | None:
    """One of `values`, or None where it is not given. Raises ApiError 422."""
    if name in found and found[name] not in values:
        raise bad(f"{name} must be one of {', '.join(values)}.")
    return found.get(name)


def bounded(found: Mapping[str, str], name: str, most: int) -> None:
    """Have a text be of `most` characters at most. Raises ApiError 422."""
    if len(found.get(name, "")) > most:
        raise bad(f"{name} must have at most {most} characters.")


def bad(message: str) -> ApiError:
    """What is wrong with a parameter."""
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_parameter", message)
