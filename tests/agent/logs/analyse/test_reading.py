"""Logs as chunks of complete lines."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.logs.analyse import reading
from agent.logs.analyse.reading import UnreadableLogError, lines_of, pieces


def all_of(stream: io.BytesIO, start: int = 0, end: int | None = None) -> list[bytes]:
    return [line for chunk, _ in lines_of(stream, start, end) for line in chunk.split(b"\n")]


@settings(max_examples=80)
@given(
    st.lists(st.text("ab", max_size=9).map(str.encode), max_size=12),
    st.integers(1, 7),
    st.integers(1, 40),
    st.booleans(),
)
def test_each_line_is_in_exactly_one_part(lines: list[bytes], chunk: int, part: int, ended: bool) -> None:
    """However large the parts and the chunks are."""
    data = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "CHUNK", max(chunk, 10))
        found = [
            line
            for start in range(0, len(data), part)
            for line in all_of(io.BytesIO(data), start, min(start + part, len(data)))
        ]
    expected = data.removesuffix(b"\n").split(b"\n") if data else []
    assert [line for line in found if line] == [line for line in expected if line]


def test_too_long_lines_are_cut_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with them."""
    monkeypatch.setattr(reading, "CHUNK", 10)
    found = list(lines_of(io.BytesIO(b"x" * 95 + b"\nnext\n")))
    assert found == [(b"x" * 10, 1), (b"next", 0)]


def test_holes_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """As truncation leaves them where a program goes on at its old place."""
    monkeypatch.setattr(reading, "CHUNK", 10)
    assert all_of(io.BytesIO(b"\0" * 95 + b"one\n\0\0two\n")) == [b"one", b"two"]


COMPRESSED = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "zst": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_compressed_pieces(suffix: str, tmp_path: Path) -> None:
    """Also of several streams, one after the other; what is cut off is said after what could be read."""
    path = tmp_path / f"a.log.1.{suffix}"
    compress = COMPRESSED[suffix]
    path.write_bytes(compress(b"one\n") + compress(b"two\n"))
    (piece,) = pieces(path, 0)
    assert b"\n".join(chunk for chunk, _ in reading.chunks(piece)) == b"one\ntwo"
    body = compress(os.urandom(50_000))
    path.write_bytes(body[: len(body) // 2])
    with pytest.raises(UnreadableLogError, match=f"a.log.1.{suffix}"):
        list(reading.chunks(piece))


def test_a_damaged_piece_says_so(tmp_path: Path) -> None:
    for suffix in COMPRESSED:
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(b"this is not compressed")
        with pytest.raises(UnreadableLogError):
            list(reading.chunks(pieces(path, 0)[0]))


def test_rotated_pieces_are_put_in_order(tmp_path: Path) -> None:
    """By when they were written to; what is older than asked for is left out, and so is what is there twice."""
    for age, name in enumerate(["a.log", "a.log.1", "a.log.2.gz", "a.log-20260101.zst", "a.log.3.xz"]):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    for name in ("a.log.1.gz", "b.log", "b.log.1", ".a.log.2", "a.log.orig"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "a.log.4").mkdir()

    def named(path: str, since: float) -> list[str]:
        return [Path(piece.path).name for piece in pieces(tmp_path / path, since)]

    assert named("a.log", 0) == ["a.log.3.xz", "a.log-20260101.zst", "a.log.2.gz", "a.log.1", "a.log"]
    assert named("a.log", 999) == ["a.log.1", "a.log"]
    assert named("a.log.2.gz", 0) == ["a.log.2.gz"]


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableLogError, match="No such file"):
        pieces(tmp_path / "missing", 0)
    with pytest.raises(UnreadableLogError, match="not a file"):
        pieces(tmp_path, 0)
