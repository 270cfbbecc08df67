"""The list of packages that was made last, as the state keeps it."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from agent.state import State
from wire.packages import Packages

KEY = "packages"
DIGEST = "packages.digest"
"""Of what is kept under KEY: one sees that it changed without reading it."""


def decode(document: bytes | str) -> Packages:
    """Raises ValueError for what is none, or is not within the limits."""
    return msgspec.json.decode(document, type=Packages)


def values(document: bytes) -> dict[str, str]:
    """What to keep of a new list."""
    return {KEY: document.decode(), DIGEST: blake2b(document, digest_size=16).hexdigest()}


def digest(state: State) -> str | None:
    """None where no list was made."""
    return state.get(DIGEST)


def packages(state: State) -> Packages | None:
    """The list; None where there is none, or only what a version before left."""
    document = state.get(KEY)
    try:
        return None if document is None else decode(document)
    except ValueError:
        return None
