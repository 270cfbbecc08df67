"""fallocate(2) with FALLOC_FL_COLLAPSE_RANGE, which Python does not offer."""

from __future__ import annotations

import ctypes
import os

_COLLAPSE_RANGE = 0x08


def collapse_range(descriptor: int, length: int) -> None:
    """Take the first `length` bytes out of a file: what follows moves to its beginning, in one step for everyone.

    Whoever appends goes on at the new end. Raises OSError: EOPNOTSUPP where the file system cannot (ext4 and XFS
    can), EINVAL where `length` is not whole blocks or is the whole file.
    """
    library = ctypes.CDLL(None, use_errno=True)
    library.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if library.fallocate(descriptor, _COLLAPSE_RANGE, 0, length):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
