"""What package managers' books say is installed, and which of it waits. Pure: text in, packages out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from agent.checks.packages import UpdatesMemory
from wire.packages import Package, PendingUpdate

WHOLE = {"installed", "triggers-awaited", "triggers-pending"}
"""dpkg's words for a package that is there and works (dpkg(1))."""
RPM_FORMAT = "%{NAME}\\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\\t%{ARCH}\\t%{INSTALLTIME}\\n"


@dataclass(frozen=True, slots=True)
class Installed:
    """A package, as the books have it."""

    name: str
    version: str
    architecture: str
    time: int = 0
    """When it was installed, in seconds since the epoch, where that is known: of a kernel there are several."""


def dpkg(status: Iterable[str]) -> Iterator[Installed]:
    """The lines of /var/lib/dpkg/status."""
    fields: dict[str, str] = {}
    for line in status:
        if line.strip():
            key, colon, value = line.partition(":")
            if colon and key in ("Package", "Status", "Version", "Architecture"):
                fields[key] = value.strip()
        else:
            yield from _dpkg_package(fields)
            fields = {}
    yield from _dpkg_package(fields)


def apt_automatic(states: Iterable[str]) -> set[tuple[str, str]]:
    """The lines of /var/lib/apt/extended_states: name and architecture of what came because others need it."""
    found = set()
    name = architecture = ""
    for line in states:
        key, _, value = line.partition(":")
        if key == "Package":
            name, architecture = value.strip(), ""
        elif key == "Architecture":
            architecture = value.strip()
        elif key == "Auto-Installed" and value.strip() == "1":
            found.add((name, architecture))
    return found


def of_apt(installed: Iterable[Installed], automatic: set[tuple[str, str]]) -> list[Package]:
    """What is for all architectures stands in apt's book under the host's own."""
    names = {name for name, _ in automatic}
    return [
        Package(
            each.name,
            each.version,
            each.architecture,
            each.name not in names if each.architecture == "all" else (each.name, each.architecture) not in automatic,
        )
        for each in installed
    ]


def rpm(output: str) -> list[Installed]:
    """What `rpm -qa` prints by RPM_FORMAT, the oldest first; keys of repositories are no packages."""
    found = []
    for line in output.splitlines():
        words = line.split("\t")
        if len(words) == 4 and words[0] != "gpg-pubkey":
            name, version, architecture, time = words
            installed = int(time) if time.isascii() and time.isdigit() else 0
            found.append(Installed(name, version.removeprefix("0:"), architecture, installed))
    return sorted(found, key=lambda each: each.time)


def of_dnf(installed: Iterable[Installed], asked_for: str | None) -> list[Package]:
    """`asked_for` is what `dnf history userinstalled` prints; without it, everything counts as asked for."""
    named = None if asked_for is None else set(asked_for.split())
    return [
        Package(
            each.name,
            each.version,
            each.architecture,
            named is None or f"{each.name}-{each.version}.{each.architecture}" in named,
        )
        for each in installed
    ]


def waiting(memory: UpdatesMemory, installed: Iterable[Package]) -> list[PendingUpdate]:
    """What the check of updates saw, without what was updated or removed since then.

    Of a package that is there several times, as kernels are, the last of `installed` is the one that waits.
    """
    versions: dict[str, list[str]] = {}
    for package in installed:
        versions.setdefault(package.name, []).append(package.version)
    found: dict[str, PendingUpdate] = {}
    for full, (candidate, since) in memory.pending.items():
        name = full.partition(":")[0]  # `libc6:i386`, of an architecture that is not the host's own
        candidate = candidate.removeprefix("0:")
        if name in versions and candidate not in versions[name]:
            security = full in memory.security
            found[name] = PendingUpdate(name, versions[name][-1], candidate, security, since)
    return list(found.values())


def _dpkg_package(fields: Mapping[str, str]) -> Iterator[Installed]:
    words = fields.get("Status", "").split()
    if "Package" in fields and len(words) == 3 and words[2] in WHOLE:
        yield Installed(fields["Package"], fields.get("Version", ""), fields.get("Architecture", ""))
