"""Reading what a page's form sends."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

from collector.api.endpoint import read_body
from wire.errors import WireError

MAX_FORM = 16 * 1024
"""Bytes of a form; the largest has a name, a password and an address."""
MAX_FIELDS = 10


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a small form. Raises HTTPException 413, 503 where it comes too slowly, or 400."""
    try:
        body = await read_body(request, MAX_FORM)
        fields = parse_qsl(body.decode("ascii", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except WireError as error:
        raise HTTPException(error.status, headers={"Connection": "close"}) from None  # the rest is not read
    except ValueError:
        raise HTTPException(400) from None
    if any("\0" in text for field in fields for text in field):
        raise HTTPException(400)
    return dict(fields)
