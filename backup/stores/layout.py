"""Where the files of a repository are: restic's default layout (doc/design.rst, "Repository Layout")."""

from __future__ import annotations

from collections.abc import Callable

from backup.stores.contract import FileKind, PermanentStoreError, is_name
from kit.terminal import bounded

FOLDERS: tuple[str, ...] = (
    *(kind.value for kind in FileKind if kind is not FileKind.CONFIG),
    *(f"data/{number:02x}" for number in range(256)),
)
"""What `create` makes where there are folders, each after the one that it is in."""

CONTENT = (FileKind.SNAPSHOT, FileKind.INDEX, FileKind.PACK)
"""Kinds of which a repository may have no file."""


def require_dropped(
    kind: FileKind, folder: str, *, in_the_way: bool, has_config: bool, holds: Callable[[FileKind], bool]
) -> None:
    """Raise PermanentStoreError unless the folder of a kind, which is not there, may be taken for an empty one.

    Many tools leave empty folders out of a copy. But what is taken for empty and is not, as where a disk is not
    mounted, ends in `prune` removing all that it held. `in_the_way` is something else by its name; `holds` is asked
    whether there are files of another kind.
    """
    if in_the_way:
        raise not_a_folder(folder)
    if not has_config:
        raise PermanentStoreError(
            f"{folder}: there is no such folder, nor a config beside it; is a disk not mounted?"
        )
    if kind is FileKind.KEY or (kind in CONTENT and any(holds(other) for other in CONTENT if other is not kind)):
        raise PermanentStoreError(
            f"{folder}: there is no such folder, but others hold files; where it was empty and left out of a copy,"
            " make it again"
        )


def not_a_folder(path: str) -> PermanentStoreError:
    """The error that a link to nowhere is in the place of a folder."""
    return PermanentStoreError(f"{path}: is no folder, nor a link to one that is there; is a disk not mounted?")


def is_inner(name: str) -> bool:
    """Whether a folder in `data` of this name holds packs."""
    return f"data/{name}" in FOLDERS


def path_of(kind: FileKind, name: str) -> str:
    """The path of a file inside the repository: packs lie in folders by the first two digits of their names.

    Raises PermanentStoreError for what is no name of a file: nothing of the kind can be in the place.
    """
    if not is_name(kind, name):
        raise PermanentStoreError(f"{bounded(name, 100)}: not a name of a file in {kind.value}")
    if kind is FileKind.CONFIG:
        return "config"
    return f"data/{name[:2]}/{name}" if kind is FileKind.PACK else f"{kind.value}/{name}"
