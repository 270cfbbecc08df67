"""What is sent to a server: a body that goes piece by piece, and what becomes of its spooled file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from backup.stores.contract import PIECE, PermanentStoreError, SpooledFile


class Upload:
    """The content of a file, as a body that HTTP libraries read: never in one piece.

    A body of bytes would be sent by one call, for which the whole time limit of a piece holds.
    """

    def __init__(self, content: bytes | SpooledFile, sending: Callable[[int], None]) -> None:
        """Raises PermanentStoreError where a spooled file is not there or has another size than it should."""
        self._sending = sending
        self._stream, self._size = _opened(content)

    def __enter__(self) -> Upload:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read(PIECE):
            yield piece

    def read(self, size: int = PIECE) -> bytes:
        """The next piece, smaller than `size` where that is much."""
        piece = self._stream.read(min(size, PIECE) if size >= 0 else PIECE)
        self._sending(len(piece))
        return piece


def _opened(content: bytes | SpooledFile) -> tuple[BinaryIO, int]:
    if not isinstance(content, SpooledFile):
        return io.BytesIO(content), len(content)
    try:
        found = content.path.stat().st_size
        if found == content.size:
            return content.path.open("rb"), found
    except OSError as error:
        raise PermanentStoreError(f"{content.path}: {error.strerror}") from error
    raise PermanentStoreError(f"{content.path}: is {found} bytes long, expected {content.size}")


def forget_spooled(content: bytes | SpooledFile) -> None:
    """Remove a spooled file once it is saved."""
    if isinstance(content, SpooledFile):
        Path(content.path).unlink(missing_ok=True)
