"""Maintenance windows and leases at home, as administrators' programs ask for them over the API.

Both end by themselves: what a dead program held is free again when its time is over. Spans are in seconds by home's
clock, so that nobody's clock need be right.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from wire.report import Id, Message, Name, Time, Title

MAX_HOSTS = 10_000
MAX_HOLDERS = 1_000
MAX_DURATION = 7 * 86400.0
"""Seconds: no window and no lease is asked for further ahead, so that none is forgotten for long."""
Duration = Annotated[float, Meta(gt=0, le=MAX_DURATION)]


class WindowRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Posted to `/api/v1/windows` to open one; put to `/api/v1/windows/ID` to change it while it is open."""

    hosts: Annotated[list[Title], Meta(min_length=1, max_length=MAX_HOSTS)]
    """Names, as home knows them. Putting fewer ends the window for the others."""
    reason: Message
    duration: Duration
    """From now on."""
    rollout: Id | None = None


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A window as it stands."""

    id: Id
    hosts: list[Title]
    reason: Message
    opened: Time
    until: Time
    """When it ends by itself."""
    closed: Time | None = None
    """When it was closed before that."""
    actor: str
    """Who opened it, as the audit log names them."""
    rollout: Id | None = None


class WindowList(msgspec.Struct, frozen=True):
    """The answer to GET `/api/v1/windows`: those that are open; all of the last weeks with `?all=true`."""

    windows: list[Window]


class LeaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Put to `/api/v1/leases/NAME`, to take one of its places or to keep it for longer.

    200 and a Lease when it is held; 409 with the code `taken` when all places are others'. DELETE
    `/api/v1/leases/NAME?holder=HOLDER` gives it back.
    """

    holder: Name
    """Who holds it: a rollout's id and a host's name, `ID/HOST`."""
    places: Annotated[int, Meta(ge=1, le=MAX_HOLDERS)]
    """How many may hold it at one time, as this asker sees it."""
    duration: Duration


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A place that is held."""

    name: Name
    holder: Name
    until: Time
    time: Time
    """Home's clock."""
