"""Which folders of a snapshot the targets of a backup become, as restic lays them out.

An absolute target keeps its whole path. A relative one keeps what it names, without leading `..`; where two from
different folders begin with the same name, the later one is renamed to `name-1`. `.` and `..` stand for what is in
them. A target within another is found there.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence

from kit.errors import UsageError


class Target:
    """A folder or an entry of the snapshot, above or at what was named."""

    __slots__ = ("children", "explicit", "info", "path", "root")

    def __init__(self, root: bytes = b"") -> None:
        self.children: dict[bytes, Target] = {}
        self.path = b""
        """What is saved here, absolute; empty for a folder of which only `children` are saved."""
        self.info = b""
        """Whose metadata such a folder has."""
        self.explicit = False
        """Named by the user, so that no pattern excludes it."""
        self.root = root


def plan_targets(targets: Sequence[bytes]) -> Target:
    """The root of a snapshot of these targets. Raises UsageError, and OSError where a folder cannot be listed."""
    top = Target()
    seen = set()
    for path, explicit in _resolved(targets):
        if path not in seen:
            seen.add(path)
            _add(top, path, explicit)
    _unroll(top)
    return top


def leaves(top: Target) -> Iterator[Target]:
    """What is saved as a whole, in the order of the snapshot."""
    if top.path:
        yield top
    for _, child in sorted(top.children.items()):
        yield from leaves(child)


def absolute(target: bytes) -> bytes:
    """The path that a snapshot names for a target."""
    return _clean(posixpath.abspath(target))


def _clean(path: bytes) -> bytes:
    path = posixpath.normpath(path)
    return path[1:] if path.startswith(b"//") else path


def _components(path: bytes) -> list[bytes]:
    return [part for part in _clean(b"/" + path).split(b"/") if part]


def _resolved(targets: Sequence[bytes]) -> list[tuple[bytes, bool]]:
    """(clean path, whether it was named as such); `.` and the like are replaced by what is in them."""
    resolved = []
    for target in targets:
        if not target:
            raise UsageError("an empty path cannot be backed up")
        path = _clean(target)
        if _components(path):
            resolved.append((path, True))
        else:
            resolved += [(_clean(posixpath.join(path, name)), False) for name in sorted(_names(path))]
    return resolved


def _names(folder: bytes) -> list[bytes]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _root_of(path: bytes) -> bytes:
    """The folder in which the first component of a target lies."""
    if path.startswith(b"/"):
        return b"/"
    ups = path.split(b"/").count(b"..")
    return b"/".join([b".."] * ups) or b"."


def _add(top: Target, path: bytes, explicit: bool) -> None:
    components = _components(path)
    first, rest = components[0], components[1:]
    root = _root_of(path)
    name, number = first, 0
    while (node := top.children.setdefault(name, Target(root))).root != root:
        number += 1
        name = b"%s-%d" % (first, number)
    info = posixpath.join(root, first)
    for component in rest:
        node.info = info
        info = posixpath.join(info, component)
        node = node.children.setdefault(component, Target())
    if node.path and node.path != path:
        raise UsageError(f"{os.fsdecode(path)} and {os.fsdecode(node.path)} would be the same in the snapshot")
    node.path = path
    node.explicit = explicit


def _unroll(top: Target) -> None:
    """Where a target lies within another, list the outer one, so that only leaves have a path; make all absolute."""
    waiting = [top]
    while waiting:
        node = waiting.pop()
        if node.path and node.children:
            for name in _names(node.path):
                child = node.children.setdefault(name, Target())
                path = posixpath.join(node.path, name)
                if not child.path:
                    child.path = path
                    child.explicit = False
            node.info = node.path
            node.path = b""
        node.path = node.path and absolute(node.path)
        node.info = node.info and absolute(node.info)
        waiting += node.children.values()
