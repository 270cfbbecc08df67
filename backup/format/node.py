"""Trees: what a folder holds, as JSON that is the same byte for byte as restic's.

The id of a tree is the hash of its JSON, so a tree that differs in one byte from what restic would write is stored
twice. Order of fields, quoting and what is left out are those of Go's `encoding/json` and `strconv.Quote`
(restic's doc/design.rst, "Trees and Data"). Which characters count as printable depends on the version of Unicode:
a name with one that is newer than Python's tables is quoted, which reads the same.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec

from backup.errors import DamagedError
from backup.format.instant import instant_nanoseconds, is_instant

FILE: Final = "file"
FOLDER: Final = "dir"
SYMLINK: Final = "symlink"
BLOCK_DEVICE: Final = "dev"
CHARACTER_DEVICE: Final = "chardev"
FIFO: Final = "fifo"
SOCKET: Final = "socket"
TYPES: Final = frozenset((FILE, FOLDER, SYMLINK, BLOCK_DEVICE, CHARACTER_DEVICE, FIFO, SOCKET))
"""All that restic knows."""

MAX_TREE: Final = 1 << 31
"""Bytes of JSON that are parsed: a folder of some five million files."""
MAX_PATH: Final = 32 << 10
"""Bytes of the path of a folder that is gone into, here as in trees: a chain of folders takes memory by the square of
its path. Linux takes 4096 at once.
"""

NO_TIME: Final = "0001-01-01T00:00:00Z"
"""What Go writes for a time that was never set."""

# Bits of Go's os.FileMode; the lowest nine are the usual permissions.
_MODE_FOLDER: Final = 1 << 31
_MODE_SYMLINK: Final = 1 << 27
_MODE_DEVICE: Final = 1 << 26
_MODE_FIFO: Final = 1 << 25
_MODE_SOCKET: Final = 1 << 24
_MODE_SETUID: Final = 1 << 23
_MODE_SETGID: Final = 1 << 22
_MODE_CHARACTER: Final = 1 << 21
_MODE_STICKY: Final = 1 << 20
_MODE_BITS: Final = _MODE_SETUID | _MODE_SETGID | _MODE_STICKY

# By the format bits of st_mode, S_IFMT (POSIX leaves the values open; these are Linux's, BSD's and macOS's).
_KINDS: Final = {
    0o100000: (FILE, 0),
    0o040000: (FOLDER, _MODE_FOLDER),
    0o120000: (SYMLINK, _MODE_SYMLINK),
    0o060000: (BLOCK_DEVICE, _MODE_DEVICE),
    0o020000: (CHARACTER_DEVICE, _MODE_DEVICE | _MODE_CHARACTER),
    0o010000: (FIFO, _MODE_FIFO),
    0o140000: (SOCKET, _MODE_SOCKET),
}


class Node(msgspec.Struct, gc=False):
    """One entry of a folder. Fields have restic's names; what JSON leaves out is zero, empty or None."""

    name: bytes
    """As the file system has it; never empty, `.`, `..`, nor with a slash or a NUL."""
    type: str = FILE
    """One of the seven above; whatever else is in a tree is kept as it is."""
    mode: int = 0
    """Go's bits: see `permissions` and `mode_of`."""
    mtime: str = NO_TIME
    """RFC 3339 in the zone of the host that was backed up; `instant_nanoseconds` reads it."""
    atime: str = NO_TIME
    ctime: str = NO_TIME
    uid: int = 0
    gid: int = 0
    user: str = ""
    group: str = ""
    inode: int = 0
    device_id: int = 0
    """st_dev."""
    size: int = 0
    """Bytes of a file; 0 for all else."""
    links: int = 0
    linktarget: bytes = b""
    extended_attributes: list[tuple[str, bytes]] = []
    generic_attributes: bytes = b""
    """What other systems add (Windows), as the JSON object that was read; empty where there is none."""
    device: int = 0
    """st_rdev of a device."""
    content: list[bytes] | None = None
    """Ids of a file's blobs, 32 bytes each, in their order; None for what is no file."""
    subtree: bytes | None = None
    """Id of a folder's tree."""
    error: str = ""

    @property
    def permissions(self) -> int:
        """The lowest twelve bits of st_mode."""
        mode = self.mode
        if not mode & _MODE_BITS:
            return mode & 0o777
        return (
            mode & 0o777
            | (0o4000 if mode & _MODE_SETUID else 0)
            | (0o2000 if mode & _MODE_SETGID else 0)
            | (0o1000 if mode & _MODE_STICKY else 0)
        )

    @property
    def mtime_ns(self) -> int:
        """Nanoseconds since 1970."""
        return instant_nanoseconds(self.mtime)


@lru_cache(maxsize=1024)
def mode_of(st_mode: int) -> tuple[str, int]:
    """Type and mode of a node for what lstat says; the type is empty for what restic has none for."""
    kind, bits = _KINDS.get(st_mode & 0o170000, ("", 0))
    bits |= st_mode & 0o777
    if st_mode & 0o4000:
        bits |= _MODE_SETUID
    if st_mode & 0o2000:
        bits |= _MODE_SETGID
    if st_mode & 0o1000:
        bits |= _MODE_STICKY
    return kind, bits


# --- Writing ---

# Bytes that neither Go's quoting nor its JSON change.
_odd_bytes = re.compile(rb"[^ !#-%'-;=?-\[\]-~]").search
_odd_text = re.compile(r'[\x00-\x1f"\\<>&\u2028\u2029\ud800-\udfff]').search

_JSON_ESCAPES = (
    {code: f"\\u{code:04x}" for code in range(0x20)}
    | {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
    | {ord('"'): '\\"', ord("\\"): "\\\\", 8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"}
    # A byte that is no UTF-8, as `surrogateescape` decodes it: Go replaces each by U+FFFD, which it then escapes.
    | dict.fromkeys(range(0xDC80, 0xDD00), "\\ufffd")
)

_GO_ESCAPES = {
    ord('"'): '\\"',
    ord("\\"): "\\\\",
    7: "\\a",
    8: "\\b",
    9: "\\t",
    10: "\\n",
    11: "\\v",
    12: "\\f",
    13: "\\r",
} | {code: f"\\x{code - 0xDC00:02x}" for code in range(0xDC80, 0xDD00)}


@lru_cache(maxsize=4096)
def _json(text: str) -> str:
    """`text` as Go's JSON has it, without the quotes around it."""
    return text.translate(_JSON_ESCAPES) if _odd_text(text) else text


def _go_quote(char: str) -> str:
    code = ord(char)
    known = _GO_ESCAPES.get(code)
    if known is not None:
        return known
    if char.isprintable():
        return char
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def encode_name(name: bytes) -> str:
    """A name as it stands in JSON between its quotes: quoted as Go quotes strings, then escaped for JSON."""
    if _odd_bytes(name) is None:
        return name.decode("ascii")
    text = name.decode("utf-8", "surrogateescape")
    if not text.isprintable() or '"' in text or "\\" in text:
        text = "".join(map(_go_quote, text))
    return text.translate(_JSON_ESCAPES)


def encode_node(node: Node) -> bytes:
    """The node's JSON, to be joined by `encode_tree`."""
    text = f'{{"name":"{encode_name(node.name)}","type":"{_json(node.type)}",'
    if node.mode:
        text += f'"mode":{node.mode},'
    text += f'"mtime":"{node.mtime}","atime":"{node.atime}","ctime":"{node.ctime}","uid":{node.uid},"gid":{node.gid}'
    if node.user:
        text += f',"user":"{_json(node.user)}"'
    if node.group:
        text += f',"group":"{_json(node.group)}"'
    if node.inode:
        text += f',"inode":{node.inode}'
    if node.device_id:
        text += f',"device_id":{node.device_id}'
    if node.size:
        text += f',"size":{node.size}'
    if node.links:
        text += f',"links":{node.links}'
    if node.linktarget:
        text += _linktarget(node.linktarget)
    if node.extended_attributes:
        attributes = (
            f'{{"name":"{_json(name)}","value":"{b64encode(value).decode()}"}}'
            for name, value in node.extended_attributes
        )
        text += ',"extended_attributes":[' + ",".join(attributes) + "]"
    if node.generic_attributes:
        text += f',"generic_attributes":{node.generic_attributes.decode()}'
    if node.device:
        text += f',"device":{node.device}'
    content = node.content
    if content is None:
        text += ',"content":null'
    elif content:
        text += ',"content":["' + '","'.join(map(bytes.hex, content)) + '"]'
    else:
        text += ',"content":[]'
    if node.subtree is not None:
        text += f',"subtree":"{node.subtree.hex()}"'
    if node.error:
        text += f',"error":"{_json(node.error)}"'
    return (text + "}").encode()


def _linktarget(target: bytes) -> str:
    text = target.decode("utf-8", "surrogateescape")
    field = f',"linktarget":"{text.translate(_JSON_ESCAPES)}"'
    if not text.isascii() and any("\udc80" <= char <= "\udcff" for char in text):
        field += f',"linktarget_raw":"{b64encode(target).decode()}"'
    return field


def encode_tree(nodes: Iterable[bytes]) -> bytes:
    """A tree of encoded nodes, which the caller has sorted by the bytes of their names."""
    return b'{"nodes":[' + b",".join(nodes) + b"]}\n"


# --- Reading ---


class _Attribute(msgspec.Struct, gc=False):
    name: str = ""
    value: bytes | None = None


class _RawNode(msgspec.Struct, gc=False):
    name: str = ""
    type: str = ""
    mode: int = 0
    mtime: str = NO_TIME
    atime: str = NO_TIME
    ctime: str = NO_TIME
    uid: int = 0
    gid: int = 0
    user: str = ""
    group: str = ""
    inode: int = 0
    device_id: int = 0
    size: int = 0
    links: int = 0
    linktarget: str = ""
    linktarget_raw: bytes | None = None
    extended_attributes: list[_Attribute] | None = None
    generic_attributes: msgspec.Raw = msgspec.Raw()
    device: int = 0
    content: list[str] | None = None
    subtree: str | None = None
    error: str = ""


class _RawTree(msgspec.Struct, gc=False):
    nodes: list[_RawNode] | None


_decode_tree = msgspec.json.Decoder(_RawTree).decode
_odd_name = re.compile(r'[\\"\n/\0]').search
_GO_ESCAPE = re.compile(
    r"""\\(?:([abfnrtv\\"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))|(\\|"|\n)"""
)
_SIMPLE_ESCAPES = {
    "a": b"\a",
    "b": b"\b",
    "f": b"\f",
    "n": b"\n",
    "r": b"\r",
    "t": b"\t",
    "v": b"\v",
    "\\": b"\\",
    '"': b'"',
}


def decode_name(quoted: str) -> bytes:
    """The name that Go quoted as `quoted` (JSON's escapes are gone already). Raises DamagedError.

    Refused is what cannot be an entry of a folder: nothing, `.`, `..`, a slash or a NUL.
    """
    name = quoted.encode() if _odd_name(quoted) is None else _unquote(quoted)
    if name in _NO_NAMES or b"/" in name or b"\0" in name:
        raise DamagedError(f"The tree has an entry named {name[:80]!r}, which no folder can hold.")
    return name


def shown(path: bytes) -> str:
    """A name or a path, for messages."""
    return path.decode(errors="backslashreplace")


_NO_NAMES = frozenset((b"", b".", b".."))


def _unquote(quoted: str) -> bytes:
    parts = []
    end = 0
    for found in _GO_ESCAPE.finditer(quoted):
        parts.append(quoted[end : found.start()].encode())
        end = found.end()
        simple, byte, octal, short, long, wrong = found.groups()
        if simple is not None:
            parts.append(_SIMPLE_ESCAPES[simple])
            continue
        value = -1 if wrong else int(byte or octal or short or long, 8 if octal else 16)
        if byte or octal:
            wrong = wrong or value > 0xFF
            parts.append(b"" if wrong else bytes((value,)))
        elif wrong or value > 0x10FFFF or 0xD800 <= value <= 0xDFFF:
            wrong = True
        else:
            parts.append(chr(value).encode())
        if wrong:
            raise DamagedError(f"The tree has a name that is not quoted as Go quotes: {quoted[:80]!r}.")
    parts.append(quoted[end:].encode())
    return b"".join(parts)


def parse_id(text: str) -> bytes:
    """The 32 bytes of an id from its hexadecimal digits. Raises ValueError."""
    # `fromhex` skips spaces, so both lengths count.
    if len(text) == 64:
        value = bytes.fromhex(text)
        if len(value) == 32:
            return value
    raise ValueError(f"{text[:80]!r} is no id")


def parse_tree(data: bytes) -> list[Node]:
    """The nodes of a tree, in its order. Raises DamagedError for what is no tree, or holds a hostile or double name.

    Fields that are not known are left out, as restic leaves them out: who writes a changed tree should first see
    that the unchanged one is encoded to the same bytes.
    """
    if len(data) > MAX_TREE:
        raise DamagedError(f"A tree has {len(data)} bytes; at most {MAX_TREE} are read.")
    try:
        raw_nodes = _decode_tree(data).nodes or []
        nodes = [_node(raw) for raw in raw_nodes]
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise DamagedError(f"A tree is damaged: {error}.") from error
    if len({node.name for node in nodes}) != len(nodes):
        raise DamagedError("A tree has two entries of the same name.")
    return nodes


def _node(raw: _RawNode) -> Node:
    mtime, atime, ctime = raw.mtime, raw.atime, raw.ctime
    if (
        not is_instant(mtime)
        or not (atime == mtime or is_instant(atime))
        or not (ctime == mtime or is_instant(ctime))
    ):
        raise ValueError(f"{raw.name[:80]!r} has a time that is none")
    # Negative numbers shift to -1.
    if (raw.inode | raw.device_id | raw.size | raw.links | raw.device) >> 64 or (raw.mode | raw.uid | raw.gid) >> 32:
        raise ValueError(f"{raw.name[:80]!r} has a number out of its bounds")
    if raw.linktarget_raw is not None:
        linktarget = raw.linktarget_raw
    else:
        linktarget = raw.linktarget.encode() if raw.linktarget else b""
    attributes = raw.extended_attributes
    content = raw.content
    subtree = raw.subtree
    return Node(
        decode_name(raw.name),
        raw.type,
        raw.mode,
        mtime,
        atime,
        ctime,
        raw.uid,
        raw.gid,
        raw.user,
        raw.group,
        raw.inode,
        raw.device_id,
        raw.size,
        raw.links,
        linktarget,
        [(attribute.name, attribute.value or b"") for attribute in attributes] if attributes else [],
        bytes(raw.generic_attributes),
        raw.device,
        None if content is None else [parse_id(text) for text in content],
        None if subtree is None else parse_id(subtree),
        raw.error,
    )
