"""Packs as they are written: whole, verified, and nothing left behind."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from backup.errors import DamagedError, RepositoryError
from backup.format.cipher import Cipher, Sealed
from backup.format.codec import BlobCodec
from backup.format.compression import Compression
from backup.format.crypto import MasterKey
from backup.format.pack import LENGTH_FIELD, BlobKind, header_length, parse_header
from backup.repository.packer import PackWriter

KEY = MasterKey.generate()
BLOBS = [b"a" * 5000, os.urandom(3000), b"", b"x", os.urandom(400_000), b"text " * 100_000]


def id_of(plain: bytes) -> bytes:
    return hashlib.sha256(plain).digest()


@pytest.mark.parametrize("mode", Compression)
@pytest.mark.parametrize("kind", BlobKind)
def test_a_pack_holds_what_was_added(tmp_path: Path, kind: BlobKind, mode: Compression) -> None:
    """The file's name is its hash, its header lists the blobs, and each opens; trees are compressed in every mode."""
    writer = PackWriter(tmp_path, KEY, kind, compression=mode)
    added = [writer.add(id_of(plain), memoryview(plain)) for plain in BLOBS]
    finished = writer.finish()
    assert finished is not None and finished.file is not None
    assert finished.blobs == added and len(writer) == 0 and writer.finish() is None
    content = finished.file.path.read_bytes()
    assert len(content) == finished.file.size
    assert finished.file.trees == (kind is BlobKind.TREE), "a cache keeps those of trees"
    assert hashlib.sha256(content).digest() == finished.id
    length = header_length(content[-LENGTH_FIELD:], len(content))
    assert parse_header(KEY.open(content[-LENGTH_FIELD - length : -LENGTH_FIELD])) == added
    for plain, blob in zip(BLOBS, added, strict=True):
        opened = KEY.open(content[blob.offset : blob.offset + blob.length])
        assert (BlobCodec().decompress(opened, blob.plain_length) if blob.plain_length else opened) == plain
    compressed = [bool(blob.plain_length) for blob in added]
    none = mode is Compression.OFF and kind is BlobKind.DATA
    assert compressed == ([False] * 6 if none else [True, False, False, False, False, True])


@pytest.mark.parametrize("mode", Compression)
def test_a_blob_is_named_by_what_it_opens_to(tmp_path: Path, mode: Compression) -> None:
    """Sealed ahead, in whatever memory it lies, it has the id, the length and the content that it would get else."""
    writer = PackWriter(tmp_path, KEY, BlobKind.DATA, compression=mode)
    for plain in BLOBS:
        for given in (plain, memoryview(plain), memoryview(bytearray(b"-" + plain))[1:]):
            ready = writer.seal(given)
            assert ready.id == id_of(plain)
            opened = KEY.open(b"".join(ready.sealed))
            assert (BlobCodec().decompress(opened, ready.plain_length) if ready.plain_length else opened) == plain
            blob, usual = writer.add_sealed(*ready), writer.add(id_of(plain), given)
            assert blob._replace(offset=usual.offset) == usual
    writer.abandon()


@pytest.mark.parametrize("most", [1, 1000, 300_000], ids=["a byte", "some", "nearly all"])
def test_a_file_system_that_takes_less_at_a_time_gets_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """As the kernel may: large blobs are written in their parts."""
    real = os.writev

    def writev(descriptor: int, parts: list[bytes]) -> int:
        return real(descriptor, [b"".join(parts)[:most]])

    monkeypatch.setattr(os, "writev", writev)
    writer = PackWriter(tmp_path, KEY, BlobKind.DATA)
    plains = [os.urandom(300_000), b"small", os.urandom(300_000), *(b"%d" % number for number in range(20))]
    for plain in plains:
        writer.add(id_of(plain), plain)
    finished = writer.finish()
    assert finished is not None and finished.file is not None
    content = finished.file.path.read_bytes()
    assert len(content) == finished.file.size and hashlib.sha256(content).digest() == finished.id
    assert [KEY.open(content[blob.offset : blob.offset + blob.length]) for blob in finished.blobs] == plains


def test_a_writer_fills_pack_after_pack(tmp_path: Path) -> None:
    """A pack is full at its size, and the next one begins at offset 0 in a file of its own."""
    writer = PackWriter(tmp_path, KEY, BlobKind.DATA, pack_size=10_000)
    paths = set()
    for _ in range(3):
        while not writer.full:
            plain = os.urandom(3000)
            blob = writer.add(id_of(plain), plain)
        finished = writer.finish()
        assert finished is not None and finished.file is not None
        assert finished.blobs[0].offset == 0 and len(finished.blobs) == 4
        assert blob.offset + blob.length < finished.file.size
        paths.add(finished.file.path)
    assert len(paths) == 3


def test_what_does_not_open_is_not_written(tmp_path: Path) -> None:
    """A blob that is not what its id says is refused, but without extra verification it is not looked at."""
    writer = PackWriter(tmp_path, KEY, BlobKind.DATA)
    with pytest.raises(DamagedError, match="memory of this host"):
        writer.add(id_of(b"other"), b"this")
    PackWriter(tmp_path, KEY, BlobKind.DATA, extra_verify=False).add(id_of(b"other"), b"this")


def test_memory_that_flips_bits_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bit that flips in what was compressed is noticed before the pack is written."""
    flipped = bytearray(BlobCodec().compress(bytes(range(256)) * 100) or b"")
    flipped[-20] ^= 1
    monkeypatch.setattr(BlobCodec, "compress", lambda self, plain: bytes(flipped))
    plain = bytes(range(256)) * 100
    writer = PackWriter(tmp_path, KEY, BlobKind.DATA)
    with pytest.raises(DamagedError, match=f"data {id_of(plain).hex()[:8]} .*memory of this host"):
        writer.add(id_of(plain), plain)
    with pytest.raises(DamagedError, match=f"data {id_of(plain).hex()[:8]} .*memory of this host"):
        writer.seal(plain)


@pytest.mark.parametrize("part", range(3), ids=["nonce", "ciphertext", "code"])
@pytest.mark.parametrize("plain", [b"", bytes(100), os.urandom(5000)], ids=["empty", "zeros", "random"])
def test_a_seal_that_does_not_open_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: bytes, part: int
) -> None:
    """A bit that flips in any part of what was sealed is noticed, also in that of nothing."""
    seal = Cipher.seal_in_parts

    def flipped(self: Cipher, plain: bytes) -> Sealed:
        parts = [bytearray(each) for each in seal(self, plain)]
        parts[part][-1:] = bytes([parts[part][-1] ^ 1]) if parts[part] else b"x"
        return Sealed(*map(bytes, parts))

    monkeypatch.setattr(Cipher, "seal_in_parts", flipped)
    writer = PackWriter(tmp_path, KEY, BlobKind.DATA)
    with pytest.raises(DamagedError, match="memory of this host"):
        writer.add(id_of(plain), plain)
    with pytest.raises(DamagedError, match="memory of this host"):
        writer.seal(plain)


@pytest.mark.parametrize("flip", [0, 2500, 4999, None], ids=["first", "middle", "last", "shorter"])
def test_a_bit_that_flips_before_compression_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flip: int | None
) -> None:
    """What is sealed has to be what was given, from its first byte to its last."""
    compress = BlobCodec.compress

    def flipped(self: BlobCodec, plain: bytes) -> bytes | None:
        other = bytearray(plain)
        if flip is None:
            other.pop()
        else:
            other[flip] ^= 1
        return compress(self, bytes(other))

    monkeypatch.setattr(BlobCodec, "compress", flipped)
    plain = b"text " * 1000
    writer = PackWriter(tmp_path, KEY, BlobKind.DATA)
    with pytest.raises(DamagedError, match="memory of this host"):
        writer.add(id_of(plain), plain)
    with pytest.raises(DamagedError, match="memory of this host"):
        writer.seal(plain)


def test_nothing_is_left_of_what_was_abandoned(tmp_path: Path) -> None:
    """A pack that is given up leaves no file, and a dry run writes none."""
    for discard in (False, True):
        writer = PackWriter(tmp_path, KEY, BlobKind.DATA, discard=discard)
        plain = os.urandom(1 << 20)
        writer.add(id_of(plain), plain)
        assert bool(list(tmp_path.iterdir())) is not discard
        if discard:
            finished = writer.finish()
            assert finished is not None and finished.file is None
        writer.abandon()
        assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """An error of the file system is one sentence."""
    (tmp_path / "file").touch()
    writer = PackWriter(tmp_path / "file", KEY, BlobKind.DATA)
    with pytest.raises(RepositoryError, match=r"a pack could not be written to .*file"):
        writer.add(id_of(bytes(1)), bytes(1))
        writer.finish()
