"""A folder of the snapshot that is being made."""

from __future__ import annotations

import os

from backup.archive.folders import Record
from backup.archive.paths import join
from backup.archive.previous import PreviousNodes
from backup.archive.targets import Target
from backup.format.node import Node


class Folder:
    """What is known of it so far."""

    __slots__ = (
        "above", "before", "device", "digest", "files", "folders", "name", "node", "nodes", "path", "place",
        "previous", "record", "replaced", "size", "sound", "status", "subfolders", "top", "tree", "waiting",
        "walked", "whole",
    )  # fmt: skip

    def __init__(self, above: Folder | None, name: bytes, path: bytes, status: os.stat_result | None) -> None:
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

    def put(self, name: bytes, node: bytes | None) -> None:
        """Give an entry its node; None: it is left out."""
        if self.replaced is None:
            self.nodes[name] = node
        else:
            self.replaced[name] = node

    def add_up(self, files: int, folders: int, size: int) -> None:
        """Count what is in one of its folders."""
        self.files += files
        self.folders += folders
        self.size += size
