"""How large a request may be and how long it may take: little, until somebody is known who may send more."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from starlette.types import Scope

EXTENSION = "hostward.bounds"
WIDEN = "widen"
"""Under these the server puts a function of the kind Widen among the extensions of a request's scope."""

Widen = Callable[[int, float], None]
"""Lets the body of this very request have so many bytes, and its whole so many seconds from now."""


def widen(scope: Scope, size: int, seconds: float) -> None:
    """Do so where the server has bounds at all."""
    found = scope.get("extensions", {}).get(EXTENSION, {}).get(WIDEN)
    if found is not None:
        cast(Widen, found)(size, seconds)
