"""Compression: there and back, and what hostile frames do."""

from __future__ import annotations

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from backup.errors import DamagedError
from backup.format.codec import BlobCodec, compress_file, decompress_file
from backup.format.compression import MAX_BLOB_LENGTH, Compression


@given(st.binary(max_size=200), st.integers(1, 50), st.sampled_from(Compression))
def test_blobs_come_back(part: bytes, times: int, mode: Compression) -> None:
    """A blob that is compressed is shorter and comes back; one that would not shrink stays plain."""
    codec = BlobCodec(mode)
    plain = part * times
    packed = codec.compress(memoryview(plain))
    if packed is None:
        assert len(zstandard.compress(plain)) + 10 > len(plain)
    else:
        assert len(packed) < len(plain)
        assert codec.decompress(memoryview(packed), len(plain)) == plain


@given(st.binary(max_size=2000), st.sampled_from(Compression))
def test_files_come_back(plain: bytes, mode: Compression) -> None:
    """The JSON of a file is always compressed, and read plain as well."""
    stored = compress_file(plain, mode)
    assert stored[0] == 2
    assert decompress_file(stored) == plain
    assert decompress_file(b"{" + plain) == b"{" + plain


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(stored: bytes) -> None:
    """Bytes that are no frame raise the one documented error."""
    for attempt in (lambda: BlobCodec().decompress(stored, 100), lambda: decompress_file(b"\x02" + stored)):
        with pytest.raises(DamagedError):
            attempt()


def test_a_wrong_length_is_refused() -> None:
    """A blob has exactly the length that is declared."""
    codec = BlobCodec()
    packed = codec.compress(bytes(1000))
    assert packed is not None
    for wrong in (999, 1001, 0, -1, MAX_BLOB_LENGTH + 1):
        with pytest.raises(DamagedError):
            codec.decompress(packed, wrong)
    with pytest.raises(DamagedError):
        codec.decompress(packed + b"more", 1000)


@pytest.mark.parametrize("told", [True, False])
def test_a_bomb_is_not_unpacked(told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that grows beyond what was declared is refused, whether or not it tells its own length."""
    bomb = zstandard.ZstdCompressor(write_content_size=told).compress(bytes(1 << 22))
    assert (zstandard.frame_content_size(bomb) == -1) is not told
    with pytest.raises(DamagedError):
        BlobCodec().decompress(bomb, 1000)
    monkeypatch.setattr("backup.format.codec.MAX_FILE_LENGTH", 1 << 21)
    with pytest.raises(DamagedError):
        decompress_file(b"\x02" + bomb)
    monkeypatch.setattr("backup.format.codec.MAX_FILE_LENGTH", 1 << 22)
    assert decompress_file(b"\x02" + bomb) == bytes(1 << 22)


def test_what_begins_otherwise_is_refused() -> None:
    """A file begins with 02 or with JSON."""
    for stored in (b"", b"\x01", b"x{"):
        with pytest.raises(DamagedError):
            decompress_file(stored)
