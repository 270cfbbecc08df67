"""What waits on a host and since when, as its agent saw it, in words. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from kit.terminal import table


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """A package for which there is a newer version."""

    name: str
    installed: str | None
    candidate: str
    security: bool
    since: float | None
    """Seconds since the epoch; None where no agent has seen it yet."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """All that waits on a host."""

    manager: str
    pending: list[Update]
    held: list[str]
    deferred: list[str]
    """What comes in phases, and not to this host yet."""
    since: float | None
    """Of the oldest."""
    reboot: bool
    unfinished: str | None
    """How far a patch came that did not end."""


def told(found: Waiting, moment: Callable[[float], str]) -> tuple[str, ...]:
    """For people: a sentence, a table, and what else there is to know. `moment` writes a time."""
    security = sum(update.security for update in found.pending)
    lines = ["nothing waits to be updated"]
    if found.pending:
        count = len(found.pending)
        since = "" if found.since is None else f", the oldest since {moment(found.since)}"
        rows = [
            (
                one.name,
                one.installed or "-",
                one.candidate,
                "security" if one.security else "",
                "-" if one.since is None else moment(one.since),
            )
            for one in found.pending
        ]
        lines = [f"{count} update{'' if count == 1 else 's'} pending, {security} for security{since}"]
        lines += [
            f"  {line.rstrip()}"
            for line in table(("package", "installed", "pending", "for", "since"), rows).splitlines()
        ]
    if found.held:
        lines.append(f"held: {', '.join(found.held)}")
    if found.deferred:
        lines.append(f"not for this host yet, for it comes in phases: {', '.join(found.deferred)}")
    if found.reboot:
        lines.append("a reboot waits")
    if found.unfinished is not None:
        lines.append(f"a patch did not end ({found.unfinished}): run deploys/patch.py again")
    return tuple(lines)


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
