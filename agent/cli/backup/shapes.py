"""JSON as restic 0.19 prints it (doc/075_scripting.rst), so that scripts made for it go on to work."""

from __future__ import annotations

import json
from typing import Any

from backup.format.node import FILE, Node
from backup.format.snapshot import Snapshot, encode_snapshot

Object = dict[str, Any]

_LETTERS = "dalTLDpSugct?"
"""Of the highest bits of Go's os.FileMode, from bit 31 on (its documentation, `FileMode.String`)."""


def snapshot_object(snapshot: Snapshot) -> Object:
    """A snapshot with its id."""
    stored: Object = json.loads(encode_snapshot(snapshot))
    return {**stored, "id": snapshot.id, "short_id": snapshot.short_id}


def node_object(path: bytes, node: Node) -> Object:
    """An entry as `ls` has it."""
    shown: Object = {
        "name": text_of(node.name),
        "type": node.type,
        "path": text_of(path),
        "uid": node.uid,
        "gid": node.gid,
    }
    if node.type == FILE:
        shown["size"] = node.size
    if node.mode:
        shown["mode"] = node.mode
    shown["permissions"] = mode_text(node.mode)
    for name in ("mtime", "atime", "ctime"):
        shown[name] = getattr(node, name)
    if node.inode:
        shown["inode"] = node.inode
    return {**shown, "message_type": "node", "struct_type": "node"}


def match_object(path: bytes, node: Node) -> Object:
    """An entry as `find` has it."""
    shown: Object = {"path": text_of(path), "permissions": mode_text(node.mode), "type": node.type}
    if node.mode:
        shown["mode"] = node.mode
    for name in ("mtime", "atime", "ctime"):
        shown[name] = getattr(node, name)
    shown |= {"uid": node.uid, "gid": node.gid}
    for name in ("user", "group", "inode", "device_id", "size", "links"):
        if value := getattr(node, name):
            shown[name] = value
    if node.linktarget:
        shown["linktarget"] = text_of(node.linktarget)
    return shown


def mode_text(mode: int) -> str:
    """`-rw-r--r--`, of a node's mode, as Go prints it."""
    kind = "".join(letter for place, letter in enumerate(_LETTERS) if mode >> (31 - place) & 1)
    rights = "".join(letter if mode >> (8 - place) & 1 else "-" for place, letter in enumerate("rwxrwxrwx"))
    return (kind or "-") + rights


def text_of(name: bytes) -> str:
    """A name as JSON can have it: U+FFFD stands for each byte that is not UTF-8, as Go has it."""
    text = name.decode("utf-8", "surrogateescape")
    return "".join("\N{REPLACEMENT CHARACTER}" if "\udc80" <= char <= "\udcff" else char for char in text)
