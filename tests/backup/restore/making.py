"""Repositories made by hand, folders with everything in them, and what a restore said and left."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from backup.format.keyfile import Cost
from backup.format.node import FILE, FOLDER, Node, encode_node, encode_tree
from backup.format.pack import BlobKind
from backup.repository.opening import open_repository
from backup.repository.repository import Repository
from backup.repository.saver import BlobSaver
from backup.restore.options import Action, Options, Overwrite, Progress
from backup.restore.restorer import Restorer
from backup.stores.local import LocalStore
from backup.stores.memory import MemoryStore

PASSWORD = b"restore"
CHEAP = Cost(1024, 1, 1)
TIME = "2024-05-06T07:08:09.123456789+02:00"


class Made:
    """A repository in memory."""

    def __init__(self) -> None:
        self.repository = Repository.create(MemoryStore(), PASSWORD, cost=CHEAP)

    def blobs(self, *pieces: bytes, kind: BlobKind = BlobKind.DATA) -> list[bytes]:
        """Save blobs, all in one pack; gives back their ids."""
        with BlobSaver(self.repository) as saver:
            ids = [saver.save(kind, piece) for piece in pieces]
            saver.flush()
        return ids

    def raw_tree(self, data: bytes) -> bytes:
        """Save any bytes as a tree."""
        return self.blobs(data, kind=BlobKind.TREE)[0]

    def tree(self, *nodes: Node) -> bytes:
        """Save a tree, in the order that is given."""
        return self.raw_tree(encode_tree(map(encode_node, nodes)))

    def chain(self, depth: int) -> bytes:
        """A tree of folders in each other, with a file at the bottom."""
        mode = 1 << 31 | 0o755
        with BlobSaver(self.repository) as saver:
            content = saver.save(BlobKind.DATA, b"deep")
            node = Node(b"file", mode=0o600, mtime=TIME, size=4, links=1, content=[content])
            for _ in range(depth):
                tree = saver.save(BlobKind.TREE, encode_tree([encode_node(node)]))
                node = Node(b"d", FOLDER, mode, TIME, subtree=tree)
            tree = saver.save(BlobKind.TREE, encode_tree([encode_node(node)]))
            saver.flush()
        return tree

    def file(self, name: bytes, *pieces: bytes, **fields: Any) -> Node:
        """A file of these blobs."""
        return Node(
            name,
            FILE,
            **{
                "mode": 0o644,
                "mtime": TIME,
                "atime": TIME,
                "uid": os.geteuid(),
                "gid": os.getegid(),
                "links": 1,
                "size": sum(map(len, pieces)),
                "content": self.blobs(*pieces),
                **fields,
            },
        )

    def folder(self, name: bytes, *nodes: Node, **fields: Any) -> Node:
        """A folder that holds these."""
        subtree = fields.pop("subtree", None) or self.tree(*nodes)
        given = {"mode": 1 << 31 | 0o755, "mtime": TIME, "uid": os.geteuid(), "gid": os.getegid(), **fields}
        return Node(name, FOLDER, **given, subtree=subtree)


class Said(NamedTuple):
    """What a restore said."""

    progress: Progress
    errors: dict[bytes, str]
    warnings: list[tuple[bytes, str]]
    items: list[tuple[str, bytes, int]]

    def actions(self) -> dict[bytes, str]:
        """What was done with each path."""
        return {path: action for action, path, _ in self.items}


def restore(repository: Repository, tree: bytes, target: Path, **options: Any) -> Said:
    """Restore, and listen."""
    errors: dict[bytes, str] = {}
    warnings: list[tuple[bytes, str]] = []
    items: list[tuple[str, bytes, int]] = []

    def on_item(action: Action, path: bytes, size: int) -> None:
        items.append((action.value, path, size))

    if "overwrite" in options:
        options["overwrite"] = Overwrite(options["overwrite"])
    given = Options(
        on_error=lambda path, message: errors.update({path: message}),
        on_warning=lambda path, message: warnings.append((path, message)),
        on_item=on_item,
        **options,
    )
    progress = Restorer(repository, target, given).run(tree)
    assert progress.errors == len(errors)
    return Said(progress, errors, warnings, items)


def opened(place: Path) -> tuple[Repository, bytes]:
    """A repository in a folder, and the tree of its newest snapshot."""
    repository = open_repository(LocalStore(place), PASSWORD)
    tree = repository.snapshots()[-1].tree
    assert tree is not None
    return repository, tree


def run_restic(program: Path, place: Path, *words: str, cwd: Path | None = None, code: int = 0, **more: str) -> str:
    """What the real restic prints."""
    done = subprocess.run(
        [program, "--no-cache", "-r", place, *words],
        env={**os.environ, "RESTIC_PASSWORD": PASSWORD.decode(), **more},
        cwd=cwd,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def fill(root: Path) -> None:
    """Fill a folder with all that a file system holds; what needs root, as root."""
    top = os.fsencode(root)

    def write(name: bytes, content: bytes = b"x") -> bytes:
        path = top + b"/" + name
        with open(path, "wb") as file:
            file.write(content)
        return path

    for name in ODD_NAMES:
        write(name)
    write(b"empty", b"")
    write(b"large", b"".join(os.urandom(1 << 20) for _ in range(5)))
    with open(write(b"holes", b""), "r+b") as file:
        file.truncate(3 << 20)
        file.seek(1 << 20)
        file.write(b"in the middle")
    os.chmod(write(b"setuid"), 0o4755)  # noqa: PTH101  # bytes
    os.chmod(write(b"setgid"), 0o2755)  # noqa: PTH101
    os.chmod(write(b"mode0"), 0)  # noqa: PTH101
    os.setxattr(write(b"attributes"), "user.b", b"\0\xff")
    os.setxattr(top + b"/attributes", "user.a", b"")
    os.setxattr(top + b"/attributes", 'user.ä<"', b"q")
    for name, seconds, nanoseconds in ((b"1960", -315_619_200, 5), (b"2100", 4_102_444_800, 120_000_000)):
        os.utime(write(name), ns=(0, seconds * 10**9 + nanoseconds))
    (root / "deep/er/still").mkdir(parents=True)
    (root / "deep/er/still/there").write_bytes(b"deep down")
    (root / "sticky").mkdir()
    (root / "sticky").chmod(0o1777)
    (root / "closed").mkdir()
    (root / "closed/inner").write_bytes(b"inner")
    (root / "closed").chmod(0o500)
    os.link(root / "large", root / "deep/large")
    os.link(root / "attributes", root / "again")
    os.symlink(b'bad\xff\xe2\x82<>&"\\\n\x08\x01\xe2\x80\xa8', top + b"/link to bad bytes")  # noqa: PTH211  # bytes
    os.symlink("/etc/passwd", root / "link")  # noqa: PTH211
    os.mkfifo(root / "fifo")
    os.utime(root / "link", ns=(0, 10**18 + 100), follow_symlinks=False)
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(root)  # its path must be short
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
    if os.geteuid() == 0:
        os.mknod(root / "block", 0o60644, os.makedev(7, 3))
        os.mknod(root / "character", 0o20600, os.makedev(300, 70_000))
        os.chown(root / "link", 4242, 4_294_967_294, follow_symlinks=False)
        os.chown(write(b"owned"), 4242, 4_294_967_294)
        os.setxattr(top + b"/setgid", "security.capability", bytes.fromhex("01000002" + "00040000" + "00" * 12))
        acl = bytes.fromhex(
            "02000000 01000600ffffffff 0200060042000000 04000400ffffffff 10000600ffffffff 20000400ffffffff"
        )
        with suppress(OSError):  # a file system without ACLs
            os.setxattr(write(b"listed"), "system.posix_acl_access", acl)
    os.utime(root / "sticky", ns=(0, 10**18))


ODD_NAMES = [
    b"plain.txt",
    b"<>&",
    b'quo"te',
    b"sq'uote",
    b"back\\slash",
    b"new\nline",
    b"tab\tbell\x07bs\x08vt\x0bff\x0ccr\r\x01\x7f",
    b"bad\xff\xfeutf",
    b"\xed\xa0\x80",
    b"\xe2\x82",
    b" ",
    b"-rf",
    b"...",
    b"long" * 63 + b"end",
    *(
        text.encode()
        for text in (
            "nbsp\xa0",
            "soft\xad",
            "u2028\u2028x",
            "\u200b\ufeff",
            "\ue000\U000f0000",
            "😀",
            "e\u0301",
            "\ufffd",
        )
    ),
]


def listing(root: Path, *, leave_out: Sequence[bytes] = (b"socket",)) -> dict[bytes, Any]:
    """All that lstat, links, attributes and content say of what is in a folder; hard links by their first name."""
    top = os.fsencode(root)
    found: dict[bytes, Any] = {}
    first: dict[int, bytes] = {}
    pending = [b""]
    while pending:
        folder = pending.pop()
        for text in sorted(os.listdir(top + folder)):  # noqa: PTH208  # bytes
            path = folder + b"/" + os.fsencode(text)
            if path[1:] in leave_out:
                continue
            full = top + path
            status = os.lstat(full)
            kind = stat.S_IFMT(status.st_mode)
            names = os.listxattr(full, follow_symlinks=False)
            found[path] = (
                oct(status.st_mode),
                status.st_uid,
                status.st_gid,
                status.st_mtime_ns,
                status.st_rdev,
                {name: os.getxattr(full, name, follow_symlinks=False) for name in names},
                os.readlink(full)  # noqa: PTH115
                if kind == stat.S_IFLNK
                else Path(os.fsdecode(full)).read_bytes()
                if kind == stat.S_IFREG
                else b"",
                first.setdefault(status.st_ino, path) if kind == stat.S_IFREG else b"",
            )
            if kind == stat.S_IFDIR:
                pending.append(path)
    return found
