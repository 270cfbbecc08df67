"""Which files are the configuration."""

from __future__ import annotations

from pathlib import Path

from kit.options.tree import UnreadableError, listing


def folder_beside(file: Path) -> Path:
    """Where the files are that are merged over `file`, in the order of their names."""
    return file.parent / "agent.d"


def files_and_folder(file: Path) -> list[Path]:
    """The file, the folder beside it, and what is read there."""
    folder = folder_beside(file)
    try:
        return [file, folder, *listing(folder)]
    except UnreadableError:
        return [file, folder]  # loading tells
