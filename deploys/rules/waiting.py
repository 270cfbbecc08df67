"""Since when updates wait, as the agent of a host saw it. Pure."""

from __future__ import annotations

import msgspec


class _Update(msgspec.Struct, frozen=True):
    name: str
    since: float


class _Listing(msgspec.Struct, frozen=True):
    pending: list[_Update] | None = None


def since(listing: str) -> dict[str, float]:
    """Package to seconds since the epoch, by what `hostward packages --pending --json` prints.

    Empty where it printed no such thing: there is no agent, or an older one.
    """
    try:
        found = msgspec.json.decode(listing, type=_Listing).pending
    except ValueError:
        return {}
    return {update.name: update.since for update in found or ()}
