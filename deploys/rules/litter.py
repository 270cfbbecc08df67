"""What of a host can go: which kernels, which files of the journal, which images. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

_KERNEL = re.compile(r"linux-(image|image-unsigned|modules|modules-extra|headers)-(\d.*)")
_FLAVOUR = re.compile(r"[\d.]+(?:-\d+)?")
_ARCHIVED = re.compile(r"@[0-9a-f]{32}-[0-9a-f]{16}-([0-9a-f]{16})\.journal$")
_DISPOSED = re.compile(r"@([0-9a-f]{16})-[0-9a-f]{16}\.journal~$")


class Package(msgspec.Struct, frozen=True):
    """An installed package of Debian's."""

    name: str
    size: int
    """Bytes when installed."""


class JournalFile(msgspec.Struct, frozen=True):
    """A file of the journal."""

    path: str
    size: int
    """Bytes that it takes on the disk."""


def old_kernels(installed: Iterable[Package], running: str, keep: int) -> list[Package]:
    """The packages of kernels that may go: neither the running one's, nor those of the `keep` newest of each flavour.

    `running` is what `uname -r` says. A kernel is known by its image; its modules and headers go with it.
    """
    parts: dict[str, list[Package]] = defaultdict(list)
    images = set()
    for package in installed:
        if match := _KERNEL.fullmatch(package.name):
            parts[match[2]].append(package)
            if match[1].startswith("image"):
                images.add(match[2])
    flavours: dict[str, list[str]] = defaultdict(list)
    for release in sorted(images, key=_by_number, reverse=True):
        flavours[_FLAVOUR.sub("", release, count=1)].append(release)
    kept = {running, *(release for releases in flavours.values() for release in releases[: max(1, keep)])}
    gone = [package for release in images - kept for package in parts[release]]
    return sorted(gone, key=lambda package: package.name)


def _by_number(release: str) -> list[tuple[int, int, str]]:
    """6.1.0-9 is before 6.1.0-18."""
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.findall(r"\d+|\D+", release)]


def too_much_journal(
    files: Iterable[JournalFile], *, now: float, max_age: float | None, max_size: int | None
) -> list[JournalFile]:
    """The archived files that `journalctl --vacuum-time --vacuum-size` removes, as journal_directory_vacuum() does.

    Of each folder the oldest go, as long as they begin more than `max_age` seconds ago, or all archived ones together
    are larger than `max_size` bytes. Names tell when a file begins.
    https://github.com/systemd/systemd/blob/main/src/libsystemd/sd-journal/journal-vacuum.c
    """
    folders: dict[str, list[tuple[float, JournalFile]]] = defaultdict(list)
    for file in files:
        if match := _ARCHIVED.search(file.path) or _DISPOSED.search(file.path):
            folders[file.path.rpartition("/")[0]].append((int(match[1], 16) / 1e6, file))
    found = []
    for archived in folders.values():
        total = sum(file.size for _, file in archived)
        for begins, file in sorted(archived, key=lambda one: (one[0], one[1].path)):
            young = max_age is None or begins >= now - max_age
            if young and (max_size is None or total <= max_size):
                break
            total -= file.size
            found.append(file)
    return found


def unused_images(dangling: Sequence[tuple[str, int]], used: Iterable[str]) -> list[tuple[str, int]]:
    """Of images that have no name (id, bytes), those that no container was made from."""
    taken = set(used)
    return [image for image in dangling if image[0] not in taken]
