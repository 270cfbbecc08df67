"""How collectors read /proc and /sys: small files, many of which a host does not have."""

from __future__ import annotations

from pathlib import Path


class NoDataError(Exception):
    """This host has nothing of the kind. As in node_exporter the collector counts as without success, quietly."""


def text(path: Path) -> str:
    """The file's text; bytes that are none are replaced. Raises OSError."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def word(path: Path) -> str | None:
    """The text without the white space around it; None where there is no such file, or the kernel has no answer."""
    try:
        return text(path).strip()
    except OSError:
        return None


def whole(path: Path) -> int | None:
    """The whole number that is all of the file, decimal or as 0x…; None where it is not there or is none."""
    found = word(path)
    try:
        return None if found is None else int(found, 0)
    except ValueError:
        return None


def entries(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing where there is none."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
