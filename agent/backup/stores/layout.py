"""Where the files of a repository are: restic's default layout (doc/design.rst, "Repository Layout")."""

from __future__ import annotations

from agent.backup.stores.contract import FileKind, PermanentStoreError, is_name
from kit.terminal import bounded

FOLDERS: tuple[str, ...] = (
    *(kind.value for kind in FileKind if kind is not FileKind.CONFIG),
    *(f"data/{number:02x}" for number in range(256)),
)
"""What `create` makes where there are folders, each after the one that it is in."""


def path_of(kind: FileKind, name: str) -> str:
    """The path of a file inside the repository: packs lie in folders by the first two digits of their names.

    Raises PermanentStoreError for what is no name of a file: nothing of the kind can be in the place.
    """
    if not is_name(kind, name):
        raise PermanentStoreError(f"{bounded(name, 100)}: not a name of a file in {kind.value}")
    if kind is FileKind.CONFIG:
        return "config"
    return f"data/{name[:2]}/{name}" if kind is FileKind.PACK else f"{kind.value}/{name}"
