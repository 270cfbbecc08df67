"""Why a host is not to be patched now, each reason in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from kit.units import format_size
from wire.report import State


def disk(free: Mapping[str, int], wanted: Mapping[str, int]) -> list[str]:
    """Folders with fewer bytes than they shall have. One that the host has not is no reason."""
    return [
        f"{path} has {format_size(free[path])} free, {format_size(least)} are wanted"
        for path, least in wanted.items()
        if path in free and free[path] < least
    ]


def database(said: str) -> list[str]:
    """What the package manager complains about, its first line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return [f"the database of packages is not sane: {lines[0]}"] if lines else []


def agent(
    *, installed: bool, running: bool, problem: str | None, states: Mapping[str, State], ignored: Sequence[str]
) -> list[str]:
    """An agent that cannot tell, or that tells of a check that is critical and not among the `ignored`."""
    if not installed:
        return ["the agent is not installed"]
    if not running:
        return ["the agent does not run"]
    if problem is not None:
        return [f"the agent does not keep up: {problem}"]
    bad = [
        name
        for name, state in sorted(states.items())
        if state == "critical" and not any(fnmatchcase(name, pattern) for pattern in ignored)
    ]
    return [f"the agent's check {name} is critical" for name in bad]


def removed(names: Iterable[str]) -> list[str]:
    """Packages that the update would take away."""
    return [f"{name} would be removed" for name in sorted(names)]


def excluded(changed: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Packages that are not to be touched, and that others need newer."""
    return [
        f"{name} is excluded, and what shall be installed needs a newer one"
        for name in sorted(changed)
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    ]


def peers(healthy: int, wanted: int, group: str) -> list[str]:
    """Too few others of the group that are well."""
    if healthy >= wanted:
        return []
    return [f"{healthy} other hosts of {group} are healthy, {wanted} are wanted"]
