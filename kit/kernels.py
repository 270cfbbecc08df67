"""Which of a host's kernels is the newest. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

_RELEASE = re.compile(r"(?P<version>[0-9][0-9.+~-]*[0-9]|[0-9])(?P<flavour>.*)")


def newer_kernel(running: str, images: Iterable[str]) -> str | None:
    """The newest of the installed kernels of the running one's flavour, where it is newer; else None.

    Each is known by its release, as `uname -r` prints it. Kernels of another flavour are passed over.
    """
    mine = _RELEASE.fullmatch(running)
    if mine is None:
        return None
    newest, found = _version(mine["version"]), None
    for image in images:
        match = _RELEASE.fullmatch(image)
        if match and _flavour(match) == _flavour(mine) and _version(match["version"]) > newest:
            newest, found = _version(match["version"]), image
    return found


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"[0-9]{1,18}", text))


def _flavour(match: re.Match[str]) -> str:
    """What follows the version, whatever numbers are in it: `-amd64`, `.el9_3.x86_64` as `.el9_4.x86_64`."""
    return re.sub(r"[0-9]+", "#", match["flavour"])
