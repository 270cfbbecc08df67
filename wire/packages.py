"""The packages of a host: what is needed to build it again from nothing, and what waits to be updated.

A report has them at an agent's start and when they changed. Times are seconds since the epoch by the host's clock.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from wire import limits

Manager = Literal["apt", "dnf"]
PackageName = Annotated[str, Meta(min_length=1, max_length=limits.MAX_NAME)]
PackageVersion = Annotated[str, Meta(max_length=limits.MAX_VALUE)]
"""As the manager writes it: `1:2.36.1-8+deb12u2`; `(EPOCH:)VERSION-RELEASE` for dnf; '' where it is not known."""
Architecture = Annotated[str, Meta(max_length=limits.MAX_UNIT)]
"""`amd64`, `all`, `x86_64`, `noarch`."""
Seen = Annotated[float, Meta(ge=0, le=limits.MAX_TIME)]
Left = Annotated[int, Meta(ge=0, le=limits.MAX_COUNT)]


# gc=False: there are thousands, and they hold nothing that could lead back to them.
class Package(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One that is installed."""

    name: PackageName
    version: PackageVersion
    architecture: Architecture = ""
    manual: bool = False
    """Whether somebody asked for it; the others came because these need them."""


class PendingUpdate(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One for which there is a newer version."""

    name: PackageName
    installed: PackageVersion
    candidate: PackageVersion
    security: bool
    since: Seen
    """When the agent first saw that there is a newer version than the one installed."""


class Packages(msgspec.Struct, frozen=True, kw_only=True):
    """The packages of a host, whole: it takes the place of what was known before."""

    manager: Manager
    installed: Annotated[list[Package], Meta(max_length=limits.MAX_PACKAGES)] = []
    """By name and architecture; those that were not asked for go first where there are too many."""
    left_out: Left = 0
    """How many more are installed."""
    pending: Annotated[list[PendingUpdate], Meta(max_length=limits.MAX_PENDING)] | None = None
    """By name, those for security first; None where nobody has looked."""
    pending_left_out: Left = 0
    """How many more wait."""
