"""Checking a repository: that all is there that should be, and on request that every byte is what was written.

Problems are what may cost data. Hints are what costs space or is merely odd, as packs that no index knows, which an
interrupted backup leaves behind.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from backup.errors import DamagedError, RepositoryError
from backup.forked import Forked
from backup.format.keyfile import parse_key_file
from backup.format.lock import parse_lock
from backup.format.node import FILE, FOLDER, TYPES, Node, parse_tree, shown
from backup.format.pack import BlobKind, PackedBlob
from backup.format.snapshot import Snapshot
from backup.maintain.contents import PackContents, sizes_and_kinds
from backup.maintain.packcheck import PackResult, check_pack
from backup.maintain.subset import Sample, choose_packs
from backup.maintain.touched import Touched, touched_paths
from backup.maintain.trees import each_tree
from backup.maintain.used import Marks
from backup.repository.files import content_of
from backup.repository.repository import Repository
from backup.select.sizes import Group, Share, Size
from backup.stores.contract import FileKind, FileMissingError
from backup.uncollected import uncollected

_MOST_LOADED = 1000
"""Damaged blobs that are looked for in other packs; of more, only whether another pack that seems whole has them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that may cost data."""

    message: str
    """A sentence."""
    file: str = ""
    """Of the repository, as `data/NAME`; empty where it is about no one file."""
    blob: tuple[BlobKind, bytes] | None = None


@dataclass(frozen=True, slots=True)
class Hint:
    """Something that does no harm."""

    message: str
    remedy: str
    """The command that ends it: `prune`, `repair index` or `unlock --remove-all`."""
    file: str = ""


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What to do besides looking at the structure."""

    read_data: bool = False
    """Read and verify every pack."""
    subset: Group | Share | Size | None = None
    """Read and verify some packs."""
    processes: int = field(default_factory=lambda: max(len(os.sched_getaffinity(0)), 2))
    """That verify packs."""
    on_problem: Callable[[Problem], None] = lambda _: None
    on_hint: Callable[[Hint], None] = lambda _: None
    on_progress: Callable[[str, int, int], None] = lambda phase, done, total: None
    """Told of `index` (files), `trees` (so far; the total is 0, for nobody knows it) and `data` (bytes)."""


@dataclass(slots=True)
class CheckReport:
    """What was found."""

    problems: list[Problem] = field(default_factory=list)
    hints: list[Hint] = field(default_factory=list)
    touched: list[Touched] = field(default_factory=list)
    """What of which snapshots is lost."""
    damaged_packs: list[str] = field(default_factory=list)
    """Names of packs from which `repair packs` would save what is good."""
    index_damaged: bool = False
    """`repair index` would help."""
    snapshots: int = 0
    trees: int = 0
    packs_read: int = 0
    bytes_read: int = 0

    @property
    def sound(self) -> bool:
        """Whether there is no problem."""
        return not self.problems


def check(
    repository: Repository, options: CheckOptions | None = None, *, sample: Sample | None = None
) -> CheckReport:
    """Check a repository; the caller holds a lock. Nothing is changed, and one problem does not hide the next.

    `sample` chooses packs for a random subset. Raises RepositoryError only where the store cannot even be listed.
    """
    return _Check(repository, options or CheckOptions(), sample or random.SystemRandom().sample).run()


class _Check:
    def __init__(self, repository: Repository, options: CheckOptions, sample: Sample) -> None:
        self._repository = repository
        self._options = options
        self._sample = sample
        self._report = CheckReport()
        self._lost: set[tuple[BlobKind, bytes]] = set()
        """Blobs that are referred to and not there, or of which at least one copy is damaged."""
        self._faulty: set[bytes] = set()
        """Packs that are gone or with which anything is wrong."""
        self._index_whole = True
        """Whether all index files could be read."""

    def run(self) -> CheckReport:
        self._check_small_files()
        snapshots = list(self._load_snapshots())
        with uncollected():
            self._load_index()
            stored = self._check_packs()
            with self._reading(stored) as workers:
                self._check_trees(snapshots, workers)
                for _, result in workers.outcomes():
                    self._note(result)
        self._find_touched(snapshots)
        return self._report

    def _problem(
        self, message: str, kind: FileKind | None = None, name: str = "", blob: tuple[BlobKind, bytes] | None = None
    ) -> None:
        problem = Problem(message, f"{kind.value}/{name}" if kind else "", blob)
        self._report.problems.append(problem)
        self._options.on_problem(problem)

    def _hint(self, message: str, remedy: str, kind: FileKind, name: str) -> None:
        hint = Hint(message, remedy, f"{kind.value}/{name}")
        self._report.hints.append(hint)
        self._options.on_hint(hint)

    def _check_small_files(self) -> None:
        """Keys and locks. The config was read, and its code verified, when the repository was opened."""
        repository = self._repository
        for name, _ in list(repository.names(FileKind.KEY)):
            try:
                parse_key_file(content_of(repository.store, FileKind.KEY, name))
            except FileMissingError:
                continue
            except RepositoryError as error:
                self._problem(f"key {name[:8]}: {error}", FileKind.KEY, name)
        for name, size in list(repository.names(FileKind.LOCK)):
            if size == 0:
                self._hint(f"lock {name[:8]} is empty", "unlock --remove-all", FileKind.LOCK, name)
                continue
            try:
                parse_lock(repository.load_file(FileKind.LOCK, name))
            except FileMissingError:
                continue
            except RepositoryError as error:
                self._problem(f"lock {name[:8]}: {error}", FileKind.LOCK, name)

    def _load_snapshots(self) -> Iterator[Snapshot]:
        def damaged(name: str, error: RepositoryError) -> None:
            self._problem(f"snapshot {name[:8]}: {error}", FileKind.SNAPSHOT, name)

        for snapshot in self._repository.snapshots(damaged):
            self._report.snapshots += 1
            if snapshot.tree is None:
                self._problem(f"snapshot {snapshot.short_id} has no tree", FileKind.SNAPSHOT, snapshot.id)
            else:
                yield snapshot

    def _load_index(self) -> None:
        indexes: dict[bytes, list[str]] = {}

        def loaded(name: str, packs: list[tuple[bytes, list[PackedBlob]]]) -> None:
            for pack, _ in packs:
                indexes.setdefault(pack, []).append(name)

        def damaged(name: str, error: RepositoryError) -> None:
            self._index_whole = False
            if isinstance(error, DamagedError):
                self._report.index_damaged = True
            self._problem(f"index {name[:8]}: {error}", FileKind.INDEX, name)

        self._repository.load_index(
            on_loaded=loaded, on_damaged=damaged, on_progress=partial(self._options.on_progress, "index")
        )
        for pack, names in indexes.items():
            if len(names) > 1:
                several = ", ".join(sorted(name[:8] for name in names))
                self._hint(
                    f"pack {pack.hex()[:8]} is in several indexes: {several}",
                    "repair index",
                    FileKind.PACK,
                    pack.hex(),
                )

    def _check_packs(self) -> dict[bytes, int]:
        """Packs against the index; returns (id, size) of those that both have."""
        index = self._repository.blobs
        sizes, kinds = sizes_and_kinds(index)
        stored = {bytes.fromhex(name): size for name, size in self._repository.names(FileKind.PACK)}
        known: dict[bytes, int] = {}
        for pack, size, kind in zip(index.packs, sizes, kinds, strict=True):
            name = pack.hex()
            found = stored.pop(pack, None)
            if found is None:
                self._report.index_damaged = True
                self._problem(f"pack {name[:8]} is in the index, but not there", FileKind.PACK, name)
                continue
            known[pack] = found
            if found != size:
                self._faulty.add(pack)
                self._report.damaged_packs.append(name)
                self._problem(
                    f"pack {name[:8]} has {found} bytes; by the index it should have {size}", FileKind.PACK, name
                )
            if kind == 3:  # both kinds
                self._hint(f"pack {name[:8]} holds trees and data", "prune", FileKind.PACK, name)
        for pack in stored:
            remedy = "prune" if self._index_whole and not self._report.index_damaged else "repair index"
            self._hint(f"pack {pack.hex()[:8]} is in no index", remedy, FileKind.PACK, pack.hex())
        missing = set(index.packs).difference(known)
        self._faulty |= missing
        if missing:
            for kind, id, place in index:
                if place.pack in missing:
                    self._lost.add((kind, id))
        return known

    def _reading(self, stored: dict[bytes, int]) -> Forked[bytes, PackResult]:
        options = self._options
        if options.read_data:
            chosen = list(stored)
        elif options.subset is not None:
            chosen = choose_packs(options.subset, stored, self._sample)
        else:
            chosen = []
        repository = self._repository
        contents = PackContents(repository.blobs) if chosen else None

        def work(pack: bytes) -> PackResult:
            assert contents is not None
            return check_pack(repository, pack, stored[pack], contents.blobs(pack))

        self._total = sum(stored[pack] for pack in chosen)
        return Forked(chosen, work, options.processes)

    def _note(self, result: PackResult) -> None:
        """Take down what came out for a pack."""
        report, name = self._report, result.pack.hex()
        report.packs_read += 1
        report.bytes_read += result.size
        self._options.on_progress("data", report.bytes_read, self._total)
        for fault in result.faults:
            self._problem(fault, FileKind.PACK, name)
        if result.faults:
            self._faulty.add(result.pack)
        if result.faults and not result.unreadable and name not in report.damaged_packs:
            report.damaged_packs.append(name)
        self._lost.update(result.blobs)

    def _check_trees(self, snapshots: list[Snapshot], workers: Forked[bytes, PackResult]) -> None:
        index = self._repository.blobs
        marks = Marks(index)

        def is_new(id: bytes) -> bool:
            new = marks.add(BlobKind.TREE, id)
            if new is None and (BlobKind.TREE, id) not in self._lost:
                self._miss(BlobKind.TREE, id, f"tree {id.hex()[:8]} is in no index")
            return bool(new)

        def unreadable(id: bytes, error: RepositoryError) -> None:
            self._miss(BlobKind.TREE, id, f"tree {id.hex()[:8]} cannot be read: {error}")

        roots = [snapshot.tree for snapshot in snapshots if snapshot.tree is not None]
        for count, (id, nodes) in enumerate(each_tree(self._repository, roots, parse_tree, is_new, unreadable), 1):
            for node in nodes:
                self._check_node(id, node)
            self._report.trees = count
            self._options.on_progress("trees", count, 0)
            for _, result in workers.outcomes(block=False):
                self._note(result)

    def _check_node(self, tree: bytes, node: Node) -> None:
        """A node of a tree; a folder's tree is looked into by itself."""
        if node.type == FILE:
            if node.content is None:
                self._problem(f"tree {tree.hex()[:8]}: file {shown(node.name)!r} has no list of blobs")
                return
            slot_of = self._repository.blobs.slot_of
            for id in node.content:
                if slot_of(BlobKind.DATA, id) < 0 and (BlobKind.DATA, id) not in self._lost:
                    self._miss(
                        BlobKind.DATA,
                        id,
                        f"tree {tree.hex()[:8]}: file {shown(node.name)!r}: data {id.hex()[:8]} is in no index",
                    )
        elif node.type == FOLDER:
            if node.subtree is None:
                self._problem(f"tree {tree.hex()[:8]}: folder {shown(node.name)!r} has no tree")
        elif node.type not in TYPES:
            self._problem(f"tree {tree.hex()[:8]}: {shown(node.name)!r} is of the unknown type {node.type[:40]!r}")

    def _miss(self, kind: BlobKind, id: bytes, message: str) -> None:
        self._lost.add((kind, id))
        packs = [place.pack for place in self._repository.blobs.find_all(kind, id)]
        self._faulty.update(packs)
        if not packs:
            self._problem(message, blob=(kind, id))
        else:
            self._problem(message, FileKind.PACK, packs[0].hex(), (kind, id))

    def _find_touched(self, snapshots: list[Snapshot]) -> None:
        """Say which files suffer; a blob that is whole in another pack is not lost."""
        if not self._lost:
            return
        for count, (kind, id) in enumerate(list(self._lost)):
            if not (self._is_lost(kind, id) if count < _MOST_LOADED else self._seems_lost(kind, id)):
                self._lost.discard((kind, id))
        self._report.touched = touched_paths(self._repository, snapshots, lambda kind, id: (kind, id) in self._lost)

    def _is_lost(self, kind: BlobKind, id: bytes) -> bool:
        try:
            self._repository.load_blob(kind, id)
        except RepositoryError:
            return True
        return False

    def _seems_lost(self, kind: BlobKind, id: bytes) -> bool:
        return all(place.pack in self._faulty for place in self._repository.blobs.find_all(kind, id))
