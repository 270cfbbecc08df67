"""The parts of which a run is made: chunks, the ring, the set of ids, long paths, targets, messages."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backup.archive import seen
from backup.archive.chunks import MAX_SIZE, MIN_SIZE, Cutter, chunker_seed
from backup.archive.paths import FILE, FOLDER, open_quietly
from backup.archive.previous import parse_previous
from backup.archive.ring import SEGMENTS, FileReader, Ring
from backup.archive.seen import SeenIds
from backup.errors import DamagedError
from backup.format.crypto import MasterKey

KEY = MasterKey(b"k" * 32, b"m" * 16, b"r" * 16)
DATA = random.Random(5).randbytes(40 << 20)


def pieces_of(ring: Ring, data: bytes, cutter: Cutter, most: int = 1 << 30) -> list[bytes]:
    """What comes out of the ring, each piece released two pieces later."""
    stream = io.BytesIO(data)
    waiting: list[int] = []
    pieces = []
    for segment, offset, length in ring.cut(lambda into: stream.readinto(into[:most]), cutter):
        pieces.append(bytes(ring.memory[offset : offset + length]))
        waiting.append(segment)
        if len(waiting) > 2:
            ring.release(waiting.pop(0))
    for segment in waiting:
        ring.release(segment)
    return pieces


def never() -> None:
    raise AssertionError("nothing is to be waited for")


def test_boundaries_are_the_repositorys_own() -> None:
    """Another key cuts elsewhere, the same key cuts the same; what was inserted moves only the cuts beside it."""
    view = memoryview(DATA)
    cuts = Cutter(chunker_seed(KEY)).cut(view, final=True)
    assert sum(cuts) == len(DATA) and cuts == Cutter(chunker_seed(KEY)).cut(view, final=True)
    assert all(MIN_SIZE <= cut <= MAX_SIZE for cut in cuts[:-1])
    for n in range(10):
        other = MasterKey(bytes([n]) * 32, b"m" * 16, b"r" * 16)
        assert Cutter(chunker_seed(other)).cut(view, final=True) != cuts
    ids = {hashlib.sha256(piece).digest() for piece in pieces_of(Ring(never), DATA, Cutter(1))}
    moved = {hashlib.sha256(piece).digest() for piece in pieces_of(Ring(never), b"+" + DATA, Cutter(1))}
    assert len(ids - moved) <= 2 < len(ids)


@pytest.mark.parametrize("most", [1 << 30, 1_000_003])
@pytest.mark.parametrize("size", [0, 1, MIN_SIZE, MAX_SIZE, len(DATA)])
def test_the_ring_cuts_what_a_whole_file_would_be_cut_into(size: int, most: int) -> None:
    """However the reads come, the chunks are those of the whole."""
    data = DATA[:size]
    cuts = Cutter(7).cut(memoryview(data), final=True)
    pieces = pieces_of(Ring(never), data, Cutter(7), most)
    assert [len(piece) for piece in pieces] == cuts
    assert b"".join(pieces) == data


def test_the_ring_waits_for_room() -> None:
    """A segment is filled again only when all its chunks are done."""
    released: list[int] = []
    held: list[tuple[int, int, bytes]] = []

    def wait() -> None:
        assert held
        segment, offset, content = held.pop(0)
        assert ring.memory[offset : offset + len(content)] == content
        released.append(segment)
        ring.release(segment)

    ring = Ring(wait)
    stream = io.BytesIO(DATA * 2)
    for segment, offset, length in ring.cut(stream.readinto, Cutter(7)):
        held.append((segment, offset, ring.memory[offset : offset + length]))
    assert len(set(released)) == SEGMENTS


def test_holes_are_passed_over(tmp_path: Path) -> None:
    """A file with a hole is cut as if it was read, but its hole is not read."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(DATA[: 3 << 20])
        file.seek(100 << 20)
        file.write(DATA[: 5 << 20])
        file.truncate(180 << 20)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        reader = FileReader(descriptor, 180 << 20, sparse=True)
        cutter, ring, read = Cutter(7), Ring(never), 0
        zeros = cutter.zeros()

        def skip(unread: int) -> int:
            position = reader.position - unread
            if reader.hole_at(position) < MAX_SIZE:
                return 0
            reader.position = position + zeros
            return zeros

        digest, lengths = hashlib.sha256(), []
        for segment, offset, length in ring.cut(reader.read, cutter, skip):
            digest.update(bytes(length) if segment < 0 else ring.memory[offset : offset + length])
            read += length * (segment >= 0)
            lengths.append(length)
            ring.release(segment)
        assert digest.digest() == hashlib.sha256(path.read_bytes()).digest()
        assert lengths == Cutter(7).cut(memoryview(path.read_bytes()), final=True)
        assert read < 60 << 20
    finally:
        os.close(descriptor)


def test_ids_are_shared_with_forked_processes() -> None:
    """What one process adds, another knows, over all tables."""
    ids = [os.urandom(32) for _ in range(20_000)]
    shared = SeenIds(2)
    shared.belong_to(0)

    def child() -> None:
        shared.belong_to(1)
        assert all(shared.add(id) for id in ids[10_000:])
        assert not any(shared.add(id) for id in ids[:10_000])

    assert all(shared.add(id) for id in ids[:10_000])
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 0
    assert not any(shared.add(id) for id in ids)


def test_full_tables_take_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """When all tables are full, what is known is known, and what is not is new each time."""
    monkeypatch.setattr(seen, "_TABLES", (1 << 10, 1 << 11))
    ids = [os.urandom(32) for _ in range(4000)]
    small = SeenIds(1)
    assert all(small.add(id) for id in ids)
    assert not any(small.add(id) for id in ids[:1000])
    assert small.add(ids[-1])


@settings(deadline=None)
@given(st.lists(st.binary(min_size=32, max_size=32)))
def test_ids_are_a_set(ids: list[bytes]) -> None:
    """As Python's own set says."""
    shared, known = SeenIds(1), set()
    for id in ids:
        if id != bytes(32):
            assert shared.add(id) is (id not in known)
            known.add(id)


def test_paths_may_be_longer_than_the_kernel_takes(tmp_path: Path) -> None:
    """A folder and a file at a path of 30,000 bytes open; the last component is never followed when it is a link."""
    names = [b"%03d" % n + b"d" * 200 for n in range(150)]
    folder = os.open(tmp_path, os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=folder)
        inner = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open(b"file", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.symlink(b"file", b"link", dir_fd=folder)
    status = os.fstat(folder)
    os.close(folder)
    path = os.fsencode(tmp_path) + b"/" + b"/".join(names)
    opened = open_quietly(path, FOLDER)
    assert os.path.samestat(os.fstat(opened), status)
    os.close(opened)
    os.close(open_quietly(path + b"/file", FILE))
    with pytest.raises(OSError, match="Too many levels"):
        open_quietly(path + b"/link", FILE)


@pytest.mark.parametrize(
    "tree", [b"", b"[]", b'{"nodes":5}', b'{"nodes":[{"name":"\xff"}]}', b'{"nodes":' + b"[" * 1_000_000]
)
def test_a_tree_of_the_parent_that_is_none_is_damaged(tree: bytes) -> None:
    """Whoever wrote the snapshot before may have written anything."""
    with pytest.raises(DamagedError):
        parse_previous(tree)
