"""Mounts that only this process and its children see. See mount_namespaces(7), mount(2)."""

from __future__ import annotations

import ctypes
import os

_NEW_MOUNTS = 0x00020000
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x40000
_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def leave() -> None:
    """Let the calling thread have mounts of its own from now on. Raises OSError, as without CAP_SYS_ADMIN."""
    _require(_libc.unshare(_NEW_MOUNTS), "")
    _require(_libc.mount(b"none", b"/", None, _RECURSIVE | _PRIVATE, None), "/")


def bind(source: bytes, target: bytes, *, with_below: bool = False) -> None:
    """Show `source` at `target` too, with what is mounted below it. Raises OSError."""
    flags = _BIND | (_RECURSIVE if with_below else 0)
    _require(_libc.mount(source, target, None, flags, None), os.fsdecode(target))


def unmount(target: bytes) -> None:
    """Take away what is mounted there last, as soon as nobody uses it. Raises OSError."""
    _require(_libc.umount2(target, _DETACH), os.fsdecode(target))


def _require(result: int, where: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), where or None)
