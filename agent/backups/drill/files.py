"""Drills of files: everything, or a random sample of it, restored into the scratch folder and compared."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.backups.drill.compare import Comparison
from agent.backups.drill.contract import DrillError, Restored, Tell
from agent.backups.drill.estimate import Measured, estimate
from agent.backups.drill.sample import Chosen, Sampler, halves
from agent.backups.drill.space import blocks, require_room
from agent.config.drills import DrillOptions
from backup.format.node import FILE, Node, shown
from backup.maintain.walk import walk
from backup.repository.repository import Repository
from backup.restore.options import Options, Progress, Select, everything
from backup.restore.restorer import Restorer
from kit.units import format_size

_REMEMBERED = 1000
"""Reasons that are kept why something was not restored. Of files, the comparison finds the others too."""


@dataclass(slots=True)
class _Whole:
    """What a snapshot holds, and what was drawn of it."""

    files: int
    size: int
    needed: int
    """Bytes of disk that all of it takes."""
    sample: list[Chosen]
    live: frozenset[bytes]
    """Paths to be compared with this host."""


class _Chosen:
    """The files to restore, and the folders on the way to them."""

    def __init__(self, sample: Sequence[Chosen]) -> None:
        self.files = {chosen.path for chosen in sample}
        self._folders: set[bytes] = set()
        for path in self.files:
            while (path := path.rpartition(b"/")[0]) and path not in self._folders:
                self._folders.add(path)

    def select(self, path: bytes, is_folder: bool) -> tuple[bool, bool]:
        """For backup.restore.options.Options."""
        return path in self.files, is_folder and path in self._folders

    def enters(self, path: bytes) -> bool:
        """Whether any of them lies in this folder."""
        return path in self._folders


def drill_files(
    repository: Repository, tree: bytes, folder: Path, options: DrillOptions, *, seed: str, startup: float, tell: Tell
) -> Restored:
    """Restore the tree, or a sample of it, into `folder`, which is empty; `startup` is what opening took, in seconds.

    Raises DrillError, RepositoryError, OSError.
    """
    whole = _look(repository, tree, options, seed, tell)
    found = Restored(total_files=whole.files, total_bytes=whole.size)
    if options.kind == "full":
        require_room(folder, whole.needed, int(options.space))
        found.files, found.bytes = whole.files, whole.size
        failed: dict[bytes, str] = {}
        found.seconds = startup + _restore(repository, tree, folder, everything, failed, tell)
        _compare(repository, tree, folder, None, whole.live, failed, found, tell)
        return found
    if not whole.sample:
        raise DrillError(
            "the snapshot holds no file"
            if not whole.files
            else f"each of its {whole.files:,} files is larger than sample_bytes, {format_size(options.sample_bytes)}"
        )
    require_room(folder, sum(blocks(chosen.size) for chosen in whole.sample), int(options.space))
    parts, failed = [], {}
    for half in halves(whole.sample):
        size = sum(chosen.size for chosen in half)
        seconds = _restore(repository, tree, folder, _Chosen(half).select, failed, tell) if half else 0.0
        parts.append(Measured(len(half), size, seconds))
        found.files += len(half)
        found.bytes += size
    found.estimated = found.files < whole.files
    found.seconds = estimate(startup, *parts, files=whole.files, size=whole.size)
    _compare(repository, tree, folder, _Chosen(whole.sample), whole.live, failed, found, tell)
    return found


def _look(repository: Repository, tree: bytes, options: DrillOptions, seed: str, tell: Tell) -> _Whole:
    """Go through all trees. One that cannot be read is told of by the restore, or by the comparison."""
    sampler = Sampler(seed, files=options.sample_files, size=int(options.sample_bytes))
    live = Sampler(seed, files=max(1, options.live_files), size=int(options.sample_bytes))
    files = size = needed = 0
    for path, node in _files(repository, tree, None):
        files += 1
        size += node.size
        needed += blocks(node.size)
        if options.kind == "sample":
            sampler.offer(path, node.size)
        live.offer(path, node.size)
        tell("files found", files, 0)
    sample = sampler.drawn()
    compared = live.drawn() if options.live_files else []
    return _Whole(files, size, needed, sample, frozenset(chosen.path for chosen in compared))


def _files(repository: Repository, tree: bytes, chosen: _Chosen | None) -> Iterator[tuple[bytes, Node]]:
    """Path and node of each file, or of each chosen one, in the order of the trees. Raises RepositoryError."""
    enter = None if chosen is None else (lambda visited: chosen.enters(visited.path))
    for visited in walk(repository, tree, enter=enter):
        if visited.node.type == FILE and (chosen is None or visited.path in chosen.files):
            yield visited.path, visited.node


def _restore(
    repository: Repository, tree: bytes, folder: Path, select: Select, failed: dict[bytes, str], tell: Tell
) -> float:
    """Seconds that it took. What could not be restored, and why, goes to `failed`."""
    state = Progress()

    def fail(path: bytes, message: str) -> None:
        if len(failed) < _REMEMBERED:
            failed[path] = message

    wanted = Options(
        select=select,
        on_error=fail,
        on_item=lambda *_: tell("data", state.bytes_done, state.bytes),
        progress=state,
    )
    begun = time.monotonic()
    Restorer(repository, folder, wanted).run(tree)
    return time.monotonic() - begun


def _compare(
    repository: Repository,
    tree: bytes,
    folder: Path,
    chosen: _Chosen | None,
    live: frozenset[bytes],
    failed: dict[bytes, str],
    found: Restored,
    tell: Tell,
) -> None:
    """Every file that was to come back, and what is no file and did not."""
    comparison = Comparison(repository)
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for done, (path, node) in enumerate(_files(repository, tree, chosen), 1):
            problem = comparison.restored(root, path, node)
            if problem:
                problem = failed.pop(path, problem)
            elif path in live and (answer := comparison.live(path, node)) is not None:
                found.live_files += 1
                problem = answer
            if problem:
                found.differs(f"{shown(path)}: {problem}")
            tell("files compared", done, found.files)
    finally:
        os.close(root)
    for path, problem in failed.items():
        found.differs(f"{shown(path)}: {problem}")
