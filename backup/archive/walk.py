"""Walking the targets: which folders are listed, which entries are compared and read."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Container
from functools import partial

from backup.archive.completing import Completing
from backup.archive.course import Course
from backup.archive.devices import Devices, of_origin
from backup.archive.early import EarlyLook, Seen
from backup.archive.folder import Folder
from backup.archive.folders import FolderCache, Record, entries_state, own_state
from backup.archive.listing import Overview, list_folder, overview_of
from backup.archive.messages import SavedFile
from backup.archive.paths import FOLDER, join, open_quietly, reachable
from backup.archive.previous import Entry, PreviousNodes, same_content, same_node
from backup.archive.report import OnEntry, Progress
from backup.archive.saving import Saving
from backup.archive.scope import FileSystems, Scope
from backup.archive.targets import Target
from backup.archive.worker import LARGE
from backup.format.node import MAX_PATH, encode_node
from backup.format.pack import BlobKind
from backup.metadata import read_metadata
from backup.repository.repository import Repository

_TELL_EVERY = 0.1
"""Seconds between two words on the progress."""


class Walk:
    """Builds the tree of a snapshot."""

    def __init__(
        self,
        repository: Repository,
        scope: Scope,
        *,
        ignore_ctime: bool,
        ignore_inode: bool,
        with_atime: bool,
        devices: Devices,
        cache: FolderCache,
        changed_folders: Container[bytes] | None,
        early: EarlyLook | None,
        file_systems: FileSystems | None,
        progress: Progress,
        on_progress: Callable[[], None],
        on_problem: Callable[[bytes, str], None],
        on_entry: OnEntry | None,
    ) -> None:
        """`on_entry` is told what became of each file and folder, for which `cache` must know none."""
        self.course = Course(repository, cache, on_problem, on_entry)
        self._repository = repository
        self._cache = cache
        self._counts = self.course.counts
        self._scope = scope
        self._ignore_ctime = ignore_ctime or ignore_inode
        self._ignore_inode = ignore_inode
        self._with_atime = with_atime
        self._devices = devices
        self._changed = changed_folders
        self._early = early
        self._file_systems = file_systems
        self._progress = progress
        self._on_progress = on_progress
        self._told = 0.0
        self._stack: list[Folder] = []
        self._saving: Saving
        self._completing: Completing

    def run(
        self, saving: Saving, target: Target, parent_tree: bytes | None, save_rest: Callable[[], dict[bytes, bytes]]
    ) -> bytes:
        """The id of the root tree, whose content is on its way. `save_rest` gives the nodes by name that are to be
        beside the targets, when these are done.

        Raises RepositoryError, of which MisleadingCacheError means that another walk without the cache can go on.
        """
        self._saving = saving
        completing = self._completing = Completing(self.course, saving.tree)
        root = Folder(None, b"", b"", None)
        root.tree = parent_tree
        self._enter_targets(root, target)
        root.waiting += 1  # for the rest
        self._stack.append(root)
        while self._stack:
            folder = self._stack[-1]
            if folder.subfolders:
                self._descend(folder, *folder.subfolders.pop())
            else:
                self._stack.pop()
                folder.walked = True
                if not folder.waiting:
                    completing.complete(folder)
        saving.drain()
        if rest := save_rest():
            root.nodes = dict(sorted((root.nodes | rest).items()))
        completing.answered(root)
        self._progress.size = self._counts.total_bytes_processed
        assert completing.root_tree is not None
        return completing.root_tree

    # Entering

    def _descend(
        self,
        above: Folder,
        name: bytes,
        path: bytes,
        status: os.stat_result | None,
        target: Target | None,
        device: int | None,
    ) -> None:
        """Begin with a folder: of targets, or of this host."""
        folder = Folder(above, name, path, status)
        folder.device = device
        if len(folder.place) > MAX_PATH:
            reason = f"lies deeper than {MAX_PATH} bytes of a path can say, and is left out"
            self.course.problem(above, path[-200:], reason)
            above.put(name, None)
            return
        self._progress.current = path
        self.tick()
        record = folder.record = self._cache.find(folder.place) if self._cache.usable and target is None else None
        entry = None
        if record is not None:
            folder.tree = record.tree
        if above.replaced is None and (found := self.course.previous(above).get(name)) is not None:
            before, entry = found
            if folder.tree is None:
                folder.tree = entry.subtree_id()
            if status is not None and target is None and not self._with_atime and same_node(entry, status):
                folder.before = before
        elif record is None and above.replaced is not None:
            found = self.course.previous(above).get(name)
            folder.tree = found[1].subtree_id() if found is not None else None
        if record is not None and self._vouched(folder, record):
            return
        try:
            if target is not None:
                folder.status = of_origin(os.stat(path), self._devices)  # noqa: PTH116  # paths are bytes here
                folder.node = read_metadata(path, folder.status, self.course.warn(folder, path), name=name)
                self._enter_targets(folder, target)
            else:
                self._enter(folder)
        except OSError as error:
            self.course.problem(above, path, f"cannot be listed: {error.strerror}")
            above.put(name, None)
            return
        above.waiting += 1
        self._stack.append(folder)

    def _enter_targets(self, folder: Folder, target: Target) -> None:
        """Begin with a folder of which only some entries are saved."""
        folder.whole = False  # not a state that the cache could know
        folder.top = True
        listing: list[tuple[bytes, bytes, os.stat_result]] = []
        for name, child in sorted(target.children.items()):
            if not child.path:
                folder.nodes[name] = None
                folder.subfolders.append((name, child.info, None, child, None))
                continue
            path = child.path
            if not child.explicit and self._scope.rejects(path):
                continue
            try:
                status = of_origin(os.lstat(path), self._devices)
            except OSError as error:
                self.course.problem(folder, path, f"cannot be read: {error.strerror}")
                continue
            if child.explicit or not self._scope.too_large(status):
                folder.nodes[name] = None
                listing.append((name, path, status))
        previous = self.course.previous(folder)
        for name, path, status in listing:
            device = self._file_systems.device_at(path) if self._file_systems is not None else None
            self._take(folder, name, path, status, previous, device)
        folder.subfolders.reverse()

    def _enter(self, folder: Folder) -> None:
        """List a folder of this host, and see to its files. Raises OSError where it cannot be listed."""
        path, record = folder.path, folder.record
        if record is not None and (seen := self._seen_before(folder)) and seen.overview.entries == record.entries:
            folder.status = seen.status
            self._enter_same(folder, seen.overview)
            return
        descriptor = open_quietly(path, FOLDER)
        try:
            status = folder.status = of_origin(os.fstat(descriptor), self._devices)
            tell = partial(self.course.problem, folder)
            listing = list_folder(path, descriptor, folder.device, self._devices, self._scope, tell)
            if self._cache.wanted:
                folder.digest = entries_state(listing)
                if record is not None and record.entries == folder.digest:
                    self._enter_same(folder, overview_of(listing, folder.digest))
                    return
            assert folder.above is not None
            if folder.before is None and folder.above.replaced is None:
                folder.node = read_metadata(
                    descriptor, status, self.course.warn(folder, path), name=folder.name, with_atime=self._with_atime
                )
            folder.nodes = dict.fromkeys([name for name, _ in listing])
            previous = self.course.previous(folder)
            for name, entry_status in listing:
                self._take(folder, name, join(path, name), entry_status, previous, folder.device, descriptor)
            folder.subfolders.reverse()
        finally:
            os.close(descriptor)

    def _seen_before(self, folder: Folder) -> Seen | None:
        """What the early look saw of a folder, unless another stands in its place now."""
        seen = self._early.take(folder.path) if self._early is not None else None
        # Without a status, the folder above is as the early look saw it, too.
        if seen is not None and folder.status is not None and own_state(folder.status) != own_state(seen.status):
            return None
        return seen

    def _enter_same(self, folder: Folder, overview: Overview) -> None:
        """Its entries are what the cache says: only its subfolders are looked at."""
        folder.replaced = {}
        folder.digest, folder.files, folder.size, subfolders = overview
        folder.folders = len(subfolders)
        path, device = folder.path, folder.device
        folder.subfolders = [(name, join(path, name), status, None, device) for name, status in reversed(subfolders)]
        self._counts.files_unmodified += folder.files
        self._counts.total_bytes_processed += folder.size
        self._progress.files += folder.files

    def _vouched(self, folder: Folder, record: Record) -> bool:
        """Whether the watcher has seen no change in a folder, at any depth, and it is what the cache knows."""
        if self._changed is None or folder.path in self._changed or not record.whole:
            return False
        above, status = folder.above, folder.status
        if above is None or status is None or record.own != own_state(status):
            return False
        if above.replaced is None and folder.before is None:
            return False
        self._cache.pass_by(folder.place)
        self._counts.files_unmodified += record.files
        self._counts.dirs_unmodified += record.folders + 1
        self._counts.total_bytes_processed += record.size
        self._progress.files += record.files
        above.add_up(record.files, record.folders, record.size)
        if above.replaced is None:
            above.nodes[folder.name] = folder.before
        return True

    # Entries

    def _take(
        self,
        folder: Folder,
        name: bytes,
        path: bytes,
        status: os.stat_result,
        previous: PreviousNodes,
        device: int | None,
        descriptor: int = -1,
    ) -> None:
        """See to an entry of a folder: a file is read unless it has not changed, a folder is left for later."""
        if self._cache.wanted:
            self._cache.owners(status)
        mode = status.st_mode
        if stat.S_ISDIR(mode):
            folder.folders += 1
            folder.subfolders.append((name, path, status, None, device))
            return
        before = previous.get(name)
        if stat.S_ISREG(mode):
            folder.files += 1
            if before is not None and self._take_unchanged(folder, name, path, status, *before, descriptor):
                return
            self._read(folder, name, path, status.st_size)
            return
        if before is not None and not self._with_atime and same_node(before[1], status):
            folder.nodes[name] = before[0]
            return
        if descriptor >= 0:
            path = reachable(path, descriptor, name)
        try:
            node = read_metadata(path, status, self.course.warn(folder, path), name=name, with_atime=self._with_atime)
        except OSError as error:
            self.course.problem(folder, join(folder.path, name), f"cannot be read: {error.strerror}")
            folder.put(name, None)
            return
        folder.nodes[name] = encode_node(node)

    def _take_unchanged(
        self,
        folder: Folder,
        name: bytes,
        path: bytes,
        status: os.stat_result,
        before: bytes,
        entry: Entry,
        descriptor: int,
    ) -> bool:
        """Whether the file is as it was, and its content need not be read."""
        # A node that is the same speaks for the content, too, and is all that is asked of most files.
        same = not self._with_atime and same_node(entry, status)
        if not same and not same_content(
            entry, status, ignore_ctime=self._ignore_ctime, ignore_inode=self._ignore_inode
        ):
            return False
        has = self._repository.blobs.has
        ids = entry.content_ids()
        if (entry.size and not ids) or not all(has(BlobKind.DATA, id) for id in ids):
            self.course.problem(folder, path, "parts of it are missing in the repository's index; it is stored again")
            return False
        if same:
            json = before
            self._counts.files_unmodified += 1
        else:
            if descriptor >= 0:
                path = reachable(path, descriptor, name)
            node = read_metadata(path, status, self.course.warn(folder, path), name=name, with_atime=self._with_atime)
            node.content = ids
            json = encode_node(node)
            if json == before:
                self._counts.files_unmodified += 1
            else:
                self._counts.files_changed += 1
        folder.nodes[name] = json
        if self.course.on_entry is not None:
            self.course.tell_entry(before, json, join(folder.place, name), status.st_size)
        self._done(folder, status.st_size)
        return True

    def _read(self, folder: Folder, name: bytes, path: bytes, size: int) -> None:
        folder.waiting += 1
        ticket = (folder, name)
        place, _, own_name = path.rpartition(b"/")
        if size > LARGE or own_name != name:
            self._saving.large_file(path, name, ticket)
        else:
            self._saving.file(place or b"/", name, size, ticket)

    def on_file(self, ticket: tuple[Folder, bytes], saved: SavedFile) -> None:
        """A file was read."""
        folder, name = ticket
        if saved.problem:
            self.course.problem(folder, join(folder.path, name), saved.problem)
        if saved.node:
            folder.nodes[name] = saved.node
            self._counts.bytes_read += saved.size
            before = self.course.previous(folder).get(name)
            if before is None:
                self._counts.files_new += 1
            elif before[0] == saved.node:
                self._counts.files_unmodified += 1
            else:
                self._counts.files_changed += 1
            self.course.tell_entry(before and before[0], saved.node, join(folder.place, name), saved.size)
            self._done(folder, saved.size)
        else:
            folder.files -= 1
            folder.put(name, None)
        self._completing.answered(folder)

    def _done(self, folder: Folder, size: int) -> None:
        folder.size += size
        self._counts.total_bytes_processed += size
        self._progress.files += 1

    # Telling

    def tick(self) -> None:
        """Tell the progress, if it is time."""
        now = time.monotonic()
        if now - self._told >= _TELL_EVERY:
            self._told = now
            self._progress.size = self._counts.total_bytes_processed + self._saving.partial
            self._on_progress()
