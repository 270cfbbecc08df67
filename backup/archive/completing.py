"""Completing folders, from the leaves up: one of which all is known becomes a tree, and a node in another."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from backup.archive.course import Course
from backup.archive.folder import Folder
from backup.archive.folders import Record, own_state
from backup.errors import RepositoryError
from backup.format.node import encode_node, encode_tree
from backup.metadata import read_metadata


class Completing:
    """Saves the trees of a walk."""

    def __init__(self, course: Course, save_tree: Callable[[bytes], bytes]) -> None:
        """`save_tree` saves the JSON of a tree, and gives its id."""
        self._course = course
        self._save_tree = save_tree
        self.root_tree: bytes | None = None
        """The id of the root's tree, when all is known."""

    def answered(self, folder: Folder) -> None:
        """One thing that a folder waited for is known."""
        folder.waiting -= 1
        if folder.walked and not folder.waiting:
            self.complete(folder)

    def complete(self, completed: Folder) -> None:
        """Save the tree of a folder of which all is known, and of those above it that become known by it."""
        folder: Folder | None = completed
        while folder is not None:
            tree = self._tree_of(folder)
            above = folder.above
            if above is None:
                self.root_tree = tree
                return
            node = self._node_of(folder, tree)
            if node is not None:
                above.put(folder.name, node)
            if self._course.on_entry is not None:
                before = self._course.previous(above).get(folder.name)
                self._course.tell_entry(before and before[0], node or b"", folder.place + b"/", 0)
            self._remember(folder, tree)
            above.add_up(folder.files, folder.folders, folder.size)
            above.whole = above.whole and folder.whole
            above.waiting -= 1
            folder = above if above.walked and not above.waiting else None

    def _tree_of(self, folder: Folder) -> bytes:
        replaced = folder.replaced
        if replaced is None:
            nodes = folder.nodes
        elif not replaced:
            assert folder.record is not None
            return folder.record.tree
        else:
            nodes = {name: before for name, (before, _) in self._course.previous(folder).items()}
            nodes.update(replaced)
        found = [node for node in nodes.values() if node is not None]
        if folder.above is None and not found:
            raise RepositoryError("nothing of the targets can be saved; no snapshot was made")
        data = encode_tree(found)
        if folder.top:
            self._course.cache.add_tree(data)
            id = hashlib.sha256(data).digest()
            if self._course.cache.tree(id) is not None:
                return id  # without a look into the index
        return self._save_tree(data)

    def _node_of(self, folder: Folder, tree: bytes) -> bytes | None:
        """The folder's node; None where the folder above has it as it is."""
        above = folder.above
        assert above is not None
        unchanged = tree == folder.tree
        if above.replaced is not None:
            if unchanged:
                self._course.counts.dirs_unmodified += 1
                return None
            found = self._course.previous(above).get(folder.name)
            folder.before = found[0] if found is not None else None
        if folder.before is not None and folder.tree is not None:
            if unchanged:
                self._course.counts.dirs_unmodified += 1
                return folder.before
            # Who writes trees otherwise than restic may have it in another form, and then the node is made anew.
            if folder.before.count(_subtree(folder.tree)) == 1:
                self._course.counts.dirs_changed += 1
                return folder.before.replace(_subtree(folder.tree), _subtree(tree))
        node = folder.node
        if node is None:
            assert folder.status is not None
            node = read_metadata(folder.path, folder.status, self._course.warn(folder, folder.path), name=folder.name)
        node.subtree = tree
        json = encode_node(node)
        before = self._course.previous(above).get(folder.name)
        if before is None:
            self._course.counts.dirs_new += 1
        elif before[0] == json:
            self._course.counts.dirs_unmodified += 1
        else:
            self._course.counts.dirs_changed += 1
        return json

    def _remember(self, folder: Folder, tree: bytes) -> None:
        if folder.digest and folder.sound:
            assert folder.above is not None and folder.status is not None
            record = Record(
                own_state(folder.status), folder.digest, tree, folder.files, folder.folders, folder.size, folder.whole
            )
            self._course.cache.add(folder.place, folder.above.place, record)


def _subtree(id: bytes) -> bytes:
    return b'"subtree":"%s"' % id.hex().encode()
