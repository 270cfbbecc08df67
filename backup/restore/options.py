"""What a restore is asked for, and what it tells while it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from backup.select.filters import Excludes, Includes

Select = Callable[[bytes, bool], tuple[bool, bool]]
"""(path in the snapshot, whether it is a folder) to (restore it, something in it may be restored)."""


class Overwrite(StrEnum):
    """What happens to what is in the target already; as restic has it. Metadata is renewed where content may be."""

    ALWAYS = "always"
    """Content is compared, and written where it differs."""
    IF_CHANGED = "if-changed"
    """As ALWAYS, but a file of the same size and time of modification is taken to be the same."""
    IF_NEWER = "if-newer"
    """Only where the snapshot's was modified later."""
    NEVER = "never"


class Action(StrEnum):
    """What was done with an entry, or would be; restic's words."""

    FOLDER_RESTORED = "dir restored"
    RESTORED = "file restored"
    UPDATED = "file updated"
    UNCHANGED = "file unchanged"
    OTHER_RESTORED = "other restored"
    DELETED = "deleted"


@dataclass(slots=True)
class Progress:
    """Counts, for whoever draws them; they may be read at any time. Totals grow while the trees are read."""

    files: int = 0
    """Entries of every kind that are to be restored."""
    files_done: int = 0
    files_skipped: int = 0
    """Left as they are: not to be overwritten, or the same already."""
    bytes: int = 0
    bytes_done: int = 0
    bytes_skipped: int = 0
    deleted: int = 0
    verified: int = 0
    errors: int = 0
    """Entries that are not as the snapshot has them; each has been named. Above 0 the command fails, with code 1."""


def everything(_path: bytes, _is_folder: bool) -> tuple[bool, bool]:
    """Selects all."""
    return True, True


def all_but(excludes: Excludes) -> Select:
    """Selects what no pattern rejects."""

    def select(path: bytes, is_folder: bool) -> tuple[bool, bool]:
        wanted = not excludes.rejects(path)
        return wanted, wanted and is_folder

    return select


def only(includes: Includes) -> Select:
    """Selects what a pattern names."""

    def select(path: bytes, is_folder: bool) -> tuple[bool, bool]:
        return includes.selects(path), is_folder and includes.may_select_in(path)

    return select


def only_paths(paths: list[bytes]) -> Select:
    """Selects these paths of the snapshot, absolute and clean, with all that is in them."""

    def select(path: bytes, is_folder: bool) -> tuple[bool, bool]:
        inner = path.rstrip(b"/") + b"/"
        wanted = any(inner.startswith(chosen.rstrip(b"/") + b"/") for chosen in paths)
        return wanted, is_folder and (wanted or any(chosen.startswith(inner) for chosen in paths))

    return select


@dataclass(slots=True)
class Options:
    """How to restore."""

    overwrite: Overwrite = Overwrite.ALWAYS
    delete: bool = False
    """Remove from restored folders what the snapshot does not have, as far as `select` selects it."""
    sparse: bool = False
    """Leave holes where files have blocks of zeros."""
    verify: bool = False
    """Read what was written, and compare."""
    dry_run: bool = False
    owners_by_name: bool = False
    """Give entries to the user and group of the same name where this host has them, not of the same number."""
    select: Select = everything
    select_attribute: Callable[[str], bool] | None = None
    """Which extended attributes are restored; all where it is None."""
    workers: int = 0
    """Processes that open blobs and write files; 0: as many as there are processors, at most 4."""
    on_item: Callable[[Action, bytes, int], None] | None = None
    """Told of (action, path in the snapshot, bytes) for each entry."""
    on_error: Callable[[bytes, str], None] = lambda _path, _message: None
    """Told of each path that is not as the snapshot has it, and why."""
    on_warning: Callable[[bytes, str], None] = lambda _path, _message: None
    """Told of what an entry could not be given for lack of rights."""
    progress: Progress = field(default_factory=Progress)
