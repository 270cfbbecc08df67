"""Walking the targets: what is compared, what is read, and how folders are completed from the leaves up."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import time
from collections.abc import Callable, Container

from agent.backup.archive.folders import FolderCache, Record, entries_state, own_state
from agent.backup.archive.messages import SavedFile
from agent.backup.archive.paths import FOLDER, join, open_quietly, reachable
from agent.backup.archive.previous import Entry, PreviousNodes, parse_previous, same_content, same_node
from agent.backup.archive.report import Became, Counts, OnEntry, Progress
from agent.backup.archive.saving import Saving
from agent.backup.archive.scope import FileSystems, Scope
from agent.backup.archive.targets import Target
from agent.backup.archive.worker import LARGE
from agent.backup.errors import RepositoryError
from agent.backup.format.node import MAX_PATH, Node, encode_node, encode_tree
from agent.backup.format.pack import BlobKind
from agent.backup.metadata import read_metadata
from agent.backup.repository.repository import Repository

_TELL_EVERY = 0.1
"""Seconds between two words on the progress."""
_ENCODING = sys.getfilesystemencoding()
_KIND = 0o170000
"""The bits that stat.S_IFMT takes."""
Listing = list[tuple[bytes, os.stat_result]]


class _Folder:
    """A folder of the snapshot that is being made."""

    __slots__ = (
        "above", "before", "device", "digest", "files", "folders", "name", "node", "nodes", "path", "place",
        "previous", "record", "replaced", "size", "sound", "status", "subfolders", "top", "tree", "waiting",
        "walked", "whole",
    )  # fmt: skip

    def __init__(self, above: _Folder | None, name: bytes, path: bytes, status: os.stat_result | None) -> None:
        self.above = above
        self.name = name
        self.path = path
        """Where it lies on this host."""
        self.place: bytes = join(above.place, name) if above is not None else b"/"
        """Where it lies in the snapshot."""
        self.status = status
        self.node: Node | None = None
        self.before: bytes | None = None
        """Its node in the parent snapshot, where all of it but the subtree holds still."""
        self.tree: bytes | None = None
        """Its tree in the parent snapshot."""
        self.previous: PreviousNodes | None = None
        """What is in that tree, once it was loaded."""
        self.record: Record | None = None
        """What the cache knows of it."""
        self.digest = b""
        """The state of its entries."""
        self.replaced: dict[bytes, bytes | None] | None = None
        """In a folder whose entries are in the state that the cache knows: what became of its subfolders. All else in
        it is as in the parent's tree.
        """
        self.nodes: dict[bytes, bytes | None] = {}
        """In any other: all nodes by name, sorted; None until one is known."""
        self.subfolders: list[tuple[bytes, bytes, os.stat_result | None, Target | None, int | None]] = []
        """To be walked, the last one first: name, path, status, targets in it, the device that belongs to it."""
        self.waiting = 0
        """Files and folders that are not known yet."""
        self.walked = False
        self.device: int | None = None
        """With one file system: the one that its entries may be on."""
        self.files = self.folders = self.size = 0
        """In it at any depth: files, folders, bytes."""
        self.sound = True
        """Nothing went wrong with its own entries."""
        self.whole = True
        """Nothing in it, at any depth, went wrong."""
        self.top = False
        """It is above the targets."""


class MisleadingCacheError(RepositoryError):
    """The cache says what a folder was, but the tree that it became cannot be read."""


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
        cache: FolderCache,
        changed_folders: Container[bytes] | None,
        file_systems: FileSystems | None,
        progress: Progress,
        on_progress: Callable[[], None],
        on_problem: Callable[[bytes, str], None],
        on_entry: OnEntry | None,
    ) -> None:
        """`on_entry` is told what became of each file and folder, for which `cache` must know none."""
        self._repository = repository
        self._scope = scope
        self._ignore_ctime = ignore_ctime or ignore_inode
        self._ignore_inode = ignore_inode
        self._with_atime = with_atime
        self._cache = cache
        self._changed = changed_folders
        self._progress = progress
        self._on_progress = on_progress
        self._on_problem = on_problem
        self._on_entry = on_entry
        self._told = 0.0
        self._file_systems = file_systems
        self._stack: list[_Folder] = []
        self._root_tree: bytes | None = None
        self.counts = Counts()
        self.saving: Saving

    def run(self, saving: Saving, target: Target, parent_tree: bytes | None) -> bytes:
        """The id of the root tree, whose content is on its way.

        Raises RepositoryError, of which MisleadingCacheError means that another walk without the cache can go on.
        """
        self.saving = saving
        root = _Folder(None, b"", b"", None)
        root.tree = parent_tree
        self._enter_targets(root, target)
        self._stack.append(root)
        while self._stack:
            folder = self._stack[-1]
            if folder.subfolders:
                self._descend(folder, *folder.subfolders.pop())
            else:
                self._stack.pop()
                folder.walked = True
                if not folder.waiting:
                    self._complete(folder)
        saving.drain()
        self._progress.size = self.counts.total_bytes_processed
        assert self._root_tree is not None
        return self._root_tree

    # Entering

    def _descend(
        self,
        above: _Folder,
        name: bytes,
        path: bytes,
        status: os.stat_result | None,
        target: Target | None,
        device: int | None,
    ) -> None:
        """Begin with a folder: of targets, or of this host."""
        folder = _Folder(above, name, path, status)
        folder.device = device
        if len(folder.place) > MAX_PATH:
            self._problem(above, path[-200:], f"lies deeper than {MAX_PATH} bytes of a path can say, and is left out")
            self._put(above, name, None)
            return
        self._progress.current = path
        self.tick()
        record = folder.record = self._cache.find(folder.place) if self._cache.usable and target is None else None
        entry = None
        if record is not None:
            folder.tree = record.tree
        if above.replaced is None and (found := self._previous(above).get(name)) is not None:
            before, entry = found
            if folder.tree is None:
                folder.tree = entry.subtree_id()
            if status is not None and target is None and not self._with_atime and same_node(entry, status):
                folder.before = before
        elif record is None and above.replaced is not None:
            found = self._previous(above).get(name)
            folder.tree = found[1].subtree_id() if found is not None else None
        if record is not None and self._vouched(folder, record):
            return
        try:
            if target is not None:
                folder.status = os.stat(path)  # noqa: PTH116  # paths are bytes here
                folder.node = read_metadata(path, folder.status, self._warn(folder, path), name=name)
                self._enter_targets(folder, target)
            else:
                self._enter(folder)
        except OSError as error:
            self._problem(above, path, f"cannot be listed: {error.strerror}")
            self._put(above, name, None)
            return
        above.waiting += 1
        self._stack.append(folder)

    def _enter_targets(self, folder: _Folder, target: Target) -> None:
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
                status = os.lstat(path)
            except OSError as error:
                self._problem(folder, path, f"cannot be read: {error.strerror}")
                continue
            if child.explicit or not self._scope.too_large(status):
                folder.nodes[name] = None
                listing.append((name, path, status))
        previous = self._previous(folder)
        for name, path, status in listing:
            device = self._file_systems.device_at(path) if self._file_systems is not None else None
            self._take(folder, name, path, status, previous, device)
        folder.subfolders.reverse()

    def _enter(self, folder: _Folder) -> None:
        """List a folder of this host, and see to its files. Raises OSError where it cannot be listed."""
        path = folder.path
        descriptor = open_quietly(path, FOLDER)
        try:
            status = folder.status = os.fstat(descriptor)
            listing = self._list(folder, descriptor) if folder.device in (None, status.st_dev) else []
            record = folder.record
            if self._cache.wanted:
                folder.digest = entries_state(listing)
                if record is not None and record.entries == folder.digest:
                    self._enter_same(folder, listing)
                    return
            assert folder.above is not None
            if folder.before is None and folder.above.replaced is None:
                folder.node = read_metadata(
                    descriptor, status, self._warn(folder, path), name=folder.name, with_atime=self._with_atime
                )
            folder.nodes = dict.fromkeys([name for name, _ in listing])
            previous = self._previous(folder)
            for name, entry_status in listing:
                self._take(folder, name, join(path, name), entry_status, previous, folder.device, descriptor)
            folder.subfolders.reverse()
        finally:
            os.close(descriptor)

    def _list(self, folder: _Folder, descriptor: int) -> Listing:
        """The entries that are to be saved, sorted by name."""
        path, scope, device = folder.path, self._scope, folder.device
        filtered, bounded = bool(scope.excludes), scope.larger_than is not None
        listing: Listing = []
        names: set[bytes] = set()
        with os.scandir(descriptor) as entries:
            for entry in entries:
                name = entry.name.encode(_ENCODING, "surrogateescape")  # os.fsencode, without its checks
                if scope.marks:
                    names.add(name)
                if filtered and scope.rejects(join(path, name)):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # it is no longer there, and so not listed
                except OSError as error:
                    self._problem(folder, join(path, name), f"cannot be read: {error.strerror}")
                    continue
                kind = status.st_mode & _KIND
                if kind == stat.S_IFSOCK or (bounded and scope.too_large(status)):
                    continue
                if device is not None and status.st_dev != device and kind != stat.S_IFDIR:
                    continue
                listing.append((name, status))
        if scope.marks:
            mark = scope.mark_in(descriptor, names, self._warn(folder, path))
            if mark is not None:
                listing = [entry for entry in listing if entry[0] == mark]
        listing.sort()
        return listing

    def _enter_same(self, folder: _Folder, listing: Listing) -> None:
        """Its entries are what the cache says: only its subfolders are looked at."""
        folder.replaced = {}
        path = folder.path
        for name, status in listing:
            kind = status.st_mode & _KIND
            if kind == stat.S_IFREG:
                folder.files += 1
                folder.size += status.st_size
            elif kind == stat.S_IFDIR:
                folder.subfolders.append((name, join(path, name), status, None, folder.device))
                folder.folders += 1
        self.counts.files_unmodified += folder.files
        self.counts.total_bytes_processed += folder.size
        self._progress.files += folder.files
        folder.subfolders.reverse()

    def _vouched(self, folder: _Folder, record: Record) -> bool:
        """Whether the watcher has seen no change in a folder, at any depth, and it is what the cache knows."""
        if self._changed is None or folder.path in self._changed or not record.whole:
            return False
        above, status = folder.above, folder.status
        if above is None or status is None or record.own != own_state(status):
            return False
        if above.replaced is None and folder.before is None:
            return False
        self._cache.pass_by(folder.place)
        self.counts.files_unmodified += record.files
        self.counts.dirs_unmodified += record.folders + 1
        self.counts.total_bytes_processed += record.size
        self._progress.files += record.files
        self._add_up(above, record.files, record.folders, record.size)
        if above.replaced is None:
            above.nodes[folder.name] = folder.before
        return True

    # Entries

    def _take(
        self,
        folder: _Folder,
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
            node = read_metadata(path, status, self._warn(folder, path), name=name, with_atime=self._with_atime)
        except OSError as error:
            self._problem(folder, join(folder.path, name), f"cannot be read: {error.strerror}")
            self._put(folder, name, None)
            return
        folder.nodes[name] = encode_node(node)

    def _take_unchanged(
        self,
        folder: _Folder,
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
            self._problem(folder, path, "parts of it are missing in the repository's index; it is stored again")
            return False
        if same:
            json = before
            self.counts.files_unmodified += 1
        else:
            if descriptor >= 0:
                path = reachable(path, descriptor, name)
            node = read_metadata(path, status, self._warn(folder, path), name=name, with_atime=self._with_atime)
            node.content = ids
            json = encode_node(node)
            if json == before:
                self.counts.files_unmodified += 1
            else:
                self.counts.files_changed += 1
        folder.nodes[name] = json
        if self._on_entry is not None:
            self._on_entry(_compared(before, json), join(folder.place, name), status.st_size)
        self._done(folder, status.st_size)
        return True

    def _read(self, folder: _Folder, name: bytes, path: bytes, size: int) -> None:
        folder.waiting += 1
        ticket = (folder, name)
        place, _, own_name = path.rpartition(b"/")
        if size > LARGE or own_name != name:
            self.saving.large_file(path, name, ticket)
        else:
            self.saving.file(place or b"/", name, size, ticket)

    def on_file(self, ticket: tuple[_Folder, bytes], saved: SavedFile) -> None:
        """A file was read."""
        folder, name = ticket
        if saved.problem:
            self._problem(folder, join(folder.path, name), saved.problem)
        if saved.node:
            folder.nodes[name] = saved.node
            before = self._previous(folder).get(name)
            if before is None:
                self.counts.files_new += 1
            elif before[0] == saved.node:
                self.counts.files_unmodified += 1
            else:
                self.counts.files_changed += 1
            if self._on_entry is not None:
                found = _compared(before and before[0], saved.node)
                self._on_entry(found, join(folder.place, name), saved.size)
            self._done(folder, saved.size)
        else:
            folder.files -= 1
            self._put(folder, name, None)
        self._answered(folder)

    def _done(self, folder: _Folder, size: int) -> None:
        folder.size += size
        self.counts.total_bytes_processed += size
        self._progress.files += 1

    # Completing

    def _answered(self, folder: _Folder) -> None:
        folder.waiting -= 1
        if folder.walked and not folder.waiting:
            self._complete(folder)

    def _complete(self, completed: _Folder) -> None:
        """Save the tree of a folder of which all is known, and of those above it that become known by it."""
        folder: _Folder | None = completed
        while folder is not None:
            tree = self._tree_of(folder)
            above = folder.above
            if above is None:
                self._root_tree = tree
                return
            node = self._node_of(folder, tree)
            if node is not None:
                self._put(above, folder.name, node)
            if self._on_entry is not None:
                before = self._previous(above).get(folder.name)
                self._on_entry(_compared(before and before[0], node or b""), folder.place + b"/", 0)
            self._remember(folder, tree)
            self._add_up(above, folder.files, folder.folders, folder.size)
            above.whole = above.whole and folder.whole
            above.waiting -= 1
            folder = above if above.walked and not above.waiting else None

    def _tree_of(self, folder: _Folder) -> bytes:
        replaced = folder.replaced
        if replaced is None:
            nodes = folder.nodes
        elif not replaced:
            assert folder.record is not None
            return folder.record.tree
        else:
            nodes = {name: before for name, (before, _) in self._previous(folder).items()}
            nodes.update(replaced)
        found = [node for node in nodes.values() if node is not None]
        if folder.above is None and not found:
            raise RepositoryError("nothing of the targets can be saved; no snapshot was made")
        data = encode_tree(found)
        if folder.top:
            self._cache.add_tree(data)
            id = hashlib.sha256(data).digest()
            if self._cache.tree(id) is not None:
                return id  # without a look into the index
        return self.saving.tree(data)

    def _node_of(self, folder: _Folder, tree: bytes) -> bytes | None:
        """The folder's node; None where the folder above has it as it is."""
        above = folder.above
        assert above is not None
        unchanged = tree == folder.tree
        if above.replaced is not None:
            if unchanged:
                self.counts.dirs_unmodified += 1
                return None
            found = self._previous(above).get(folder.name)
            folder.before = found[0] if found is not None else None
        if folder.before is not None and folder.tree is not None:
            if unchanged:
                self.counts.dirs_unmodified += 1
                return folder.before
            # Who writes trees otherwise than restic may have it in another form, and then the node is made anew.
            if folder.before.count(_subtree(folder.tree)) == 1:
                self.counts.dirs_changed += 1
                return folder.before.replace(_subtree(folder.tree), _subtree(tree))
        node = folder.node
        if node is None:
            assert folder.status is not None
            node = read_metadata(folder.path, folder.status, self._warn(folder, folder.path), name=folder.name)
        node.subtree = tree
        json = encode_node(node)
        before = self._previous(above).get(folder.name)
        if before is None:
            self.counts.dirs_new += 1
        elif before[0] == json:
            self.counts.dirs_unmodified += 1
        else:
            self.counts.dirs_changed += 1
        return json

    def _remember(self, folder: _Folder, tree: bytes) -> None:
        if folder.digest and folder.sound:
            assert folder.above is not None and folder.status is not None
            record = Record(
                own_state(folder.status), folder.digest, tree, folder.files, folder.folders, folder.size, folder.whole
            )
            self._cache.add(folder.place, folder.above.place, record)

    def _put(self, folder: _Folder, name: bytes, node: bytes | None) -> None:
        """Give an entry its node; None: it is left out."""
        if folder.replaced is None:
            folder.nodes[name] = node
        else:
            folder.replaced[name] = node

    def _add_up(self, above: _Folder, files: int, folders: int, size: int) -> None:
        above.files += files
        above.folders += folders
        above.size += size

    # The parent snapshot

    def _previous(self, folder: _Folder) -> PreviousNodes:
        """What the parent snapshot has in a folder; empty where there is none, or it cannot be read."""
        if folder.previous is None:
            folder.previous = {}
            if folder.tree is not None:
                try:
                    data = self._cache.tree(folder.tree)
                    if data is None:
                        data = self._repository.load_blob(BlobKind.TREE, folder.tree)
                    folder.previous = parse_previous(data)
                except RepositoryError as error:
                    if folder.replaced is not None:  # its files were not looked at, and would be left out
                        raise MisleadingCacheError(str(error)) from error
                    self._problem(folder, folder.path or b"/", f"the parent snapshot cannot be used for it: {error}")
        return folder.previous

    # Telling

    def _problem(self, folder: _Folder, path: bytes, reason: str) -> None:
        folder.sound = folder.whole = False  # so that the next run looks again
        self._on_problem(path, reason)

    def _warn(self, folder: _Folder, path: bytes) -> Callable[[str], None]:
        return lambda reason: self._problem(folder, path, reason)

    def tick(self) -> None:
        """Tell the progress, if it is time."""
        now = time.monotonic()
        if now - self._told >= _TELL_EVERY:
            self._told = now
            self._progress.size = self.counts.total_bytes_processed + self.saving.partial
            self._on_progress()


def _compared(before: bytes | None, node: bytes) -> Became:
    if before is None:
        return Became.NEW
    return Became.UNCHANGED if before == node else Became.MODIFIED


def _subtree(id: bytes) -> bytes:
    return b'"subtree":"%s"' % id.hex().encode()
