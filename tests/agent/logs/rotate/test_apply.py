"""Doing: compression by our own hands, copies, and what is taken out of a log."""

from __future__ import annotations

import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from agent.logs.rotate.apply import codecs, files, operations

UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "xz": lzma.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


@pytest.mark.parametrize("codec", UNPACK)
@pytest.mark.parametrize("size", [0, 3_000_000])
def test_what_is_compressed_is_unpacked_again(tmp_path: Path, codec: str, size: int) -> None:
    """By the format's usual reader, from nothing to more than a piece."""
    content = (os.urandom(1000) * (size // 1000 + 1))[:size]
    (tmp_path / "log").write_bytes(content)
    with open(tmp_path / "log", "rb") as source, open(tmp_path / "packed", "wb") as target:
        codecs.pour(codec, source.fileno(), target.fileno(), level=1, threads=2)
    assert UNPACK[codec]((tmp_path / "packed").read_bytes()) == content


@pytest.mark.parametrize("can", [True, False])
def test_what_is_written_meanwhile_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can: bool) -> None:
    """What came after the copy is copied, too, or stays in the log: both together are what was written."""

    def collapse(descriptor: int, length: int) -> None:
        if not can:
            raise OSError(95, "Operation not supported")
        assert length % os.fstatvfs(descriptor).f_bsize == 0
        rest = os.pread(descriptor, 1 << 20, length)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, rest, 0)

    monkeypatch.setattr(operations, "collapse", collapse)
    content = b"".join(b"line %d\n" % number for number in range(5000))
    log, copy = tmp_path / "log", tmp_path / "copy"
    log.write_bytes(content + b"later\n")
    copy.write_bytes(content)
    with open(log, "r+b") as first, open(copy, "r+b") as second:
        said = files.empty_copied(first.fileno(), second.fileno(), keep_tail=True)
    assert copy.read_bytes() + log.read_bytes() == content + b"later\n"
    assert (said is None) == can
    if not can:
        assert said is not None and "may be lost" in said


def test_a_log_that_was_emptied_is_not_taken_for_one_that_was_not(tmp_path: Path) -> None:
    """After a kill only what still begins with its copy is truncated."""
    log, copy = tmp_path / "log", tmp_path / "copy"
    for now, alike in ((b"abc", True), (b"abcdef", True), (b"", False), (b"xbcdef", False)):
        log.write_bytes(now)
        copy.write_bytes(b"abc")
        with open(log, "rb") as first, open(copy, "rb") as second:
            assert files.begins_alike(first.fileno(), second.fileno()) == alike
