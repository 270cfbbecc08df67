"""What package managers and the kernel's files say of updates. Pure: text in, facts out.

apt: what kit.apt has it simulate. dnf: `check-update` and `updateinfo list` (version 4).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from kit import apt

_RPM = re.compile(r"(?P<name>[A-Za-z0-9][\w.+-]*)\.(?P<arch>[a-z0-9_]+)\s+(?P<version>\S+)\s+(?P<repository>\S+)")
_ADVISORY = re.compile(r"\S+\s+(?:(?:\S+/)?Sec\.|security)\s+(?P<package>\S+)")
"""`FEDORA-2023-1 Important/Sec. openssl-3.0-2.x86_64`."""
EXIT = "== exit "
"""With which the output of each of several commands ends, followed by its exit code."""


class PackagesError(ValueError):
    """The package manager could not say; the text is its own."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Packages for which there is a newer version."""

    names: Mapping[str, str] = field(default_factory=dict)
    """Package to the newer version."""
    security: frozenset[str] = field(default_factory=frozenset)
    """Those of `names` whose newer version comes from where security updates do."""


class UpdatesMemory(msgspec.Struct, array_like=True):
    """What one run of the check leaves to the next: since when, in seconds since the epoch."""

    security: dict[str, float] = {}
    """Package to when its update was first seen."""
    reboot: float | None = None
    pending: dict[str, tuple[str, float]] = {}
    """Package to the newer version, and when it was first seen that there is one.
    agent/packages tells these."""


def parse_apt(output: str) -> Pending:
    """What the lines of kit.apt printed: what would be upgraded, and what that hides which is for security."""
    found = [update for update in apt.updates(output) if update.before is not None]
    hidden = apt.hidden(output)
    return Pending(
        {update.name: update.after for update in (*hidden, *found)},
        frozenset(update.name for update in (*hidden, *found) if update.security),
    )


def parse_dnf(output: str) -> Pending:
    """What `check-update` and then `updateinfo list --updates --security` printed, each with its EXIT line.

    The first ends with 100 where there are updates. Raises PackagesError where one of them failed.
    """
    parts: list[tuple[list[str], str]] = [([], "")]
    for line in output.splitlines():
        if line.startswith(EXIT):
            parts[-1] = (parts[-1][0], line.removeprefix(EXIT).strip())
            parts.append(([], ""))
        else:
            parts[-1][0].append(line)
    said = [line for lines, _ in parts for line in lines if line.strip()]
    # Where rpm's database cannot be opened, dnf says so and ends with 0 all the same.
    failed = next((line for line in said if line.lower().startswith(("error:", "config error:"))), None)
    if failed or len(parts) != 3 or parts[0][1] not in ("0", "100") or parts[1][1] != "0":
        raise PackagesError(failed or next(iter(said), "it did not say why"))
    updates: dict[str, tuple[str, str]] = {}
    for line in parts[0][0]:
        if line.startswith("Obsoleting Packages"):
            break
        if match := _RPM.fullmatch(line.strip()):
            version = match["version"].partition(":")[2] or match["version"]
            updates[f"{match['name']}-{version}.{match['arch']}"] = match["name"], match["version"]
    advised = {match["package"] for line in parts[1][0] if (match := _ADVISORY.fullmatch(line.strip()))}
    # An advisory may be for a version before the newest one: then its package's name and arch tell.
    unversioned = {_without_version(package) for package in advised}
    security = {name for package, (name, _) in updates.items() if _without_version(package) in unversioned}
    return Pending(dict(updates.values()), frozenset(security))


def parse_held(status: Iterable[str]) -> list[str]:
    """The packages on hold, by the lines of /var/lib/dpkg/status."""
    held = []
    name = ""
    for line in status:
        if line.startswith("Package: "):
            name = line[9:].strip()
        elif line.startswith("Status: hold ") and line.rstrip().endswith(" installed"):
            held.append(name)
    return sorted(held)


def deleted_libraries(maps: str) -> list[str]:
    """Of /proc/PID/maps, the program and libraries that were replaced on disk since they were loaded."""
    found = set()
    for line in maps.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and "x" in fields[1] and fields[5].endswith(" (deleted)"):
            path = fields[5].removesuffix(" (deleted)")
            if path.startswith(("/usr/", "/lib", "/bin/", "/sbin/", "/opt/")):
                found.add(path)
    return sorted(found)


def unit_of(cgroup: str) -> str:
    """The unit in the text of /proc/PID/cgroup: the innermost service or scope; empty where there is none."""
    for line in cgroup.splitlines():
        for part in reversed(line.rpartition(":")[2].split("/")):
            if part.endswith((".service", ".scope")):
                return part
    return ""


def since(before: Mapping[str, float], names: Iterable[str], now: float) -> dict[str, float]:
    """When each of `names` was first seen; what is no longer there is forgotten, and nothing is of the future."""
    return {name: min(before.get(name, now), now) for name in sorted(names)}


def _without_version(package: str) -> tuple[str, str]:
    """`openssl-libs-3.0-2.x86_64` as openssl-libs and x86_64."""
    full, _, arch = package.rpartition(".")
    return full.rsplit("-", 2)[0], arch
