"""The index in memory against a plain dictionary."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.format.pack import BlobKind, PackedBlob
from backup.repository.blobs import BlobIndex, Location

NUMBERS = st.integers(0, (1 << 32) - 1)
# Few ids, and some that differ in their last byte only, so that slots collide.
IDS = st.builds(lambda head, tail: bytes([head] * 31 + [tail]), st.integers(0, 5), st.integers(0, 3))
BLOBS = st.builds(PackedBlob, st.sampled_from(BlobKind), IDS, NUMBERS, NUMBERS, NUMBERS)
PACKS = st.lists(st.tuples(st.binary(min_size=32, max_size=32), st.lists(BLOBS, max_size=6)), max_size=6)


@given(PACKS)
def test_every_place_of_a_blob_is_found(packs: list[tuple[bytes, list[PackedBlob]]]) -> None:
    """By kind and id, in all packs, and nothing else is."""
    index = BlobIndex()
    expected: Counter[tuple[BlobKind, bytes, Location]] = Counter()
    for pack, blobs in packs:
        index.add(pack, blobs)
        for kind, id, offset, length, plain_length in blobs:
            expected[kind, id, Location(pack, offset, length, plain_length)] += 1
    assert set(index) == set(expected)
    assert len(index) == len(list(index))
    for kind in BlobKind:
        for head in range(6):
            for tail in range(4):
                id = bytes([head] * 31 + [tail])
                places = {place for found_kind, found_id, place in expected if (found_kind, found_id) == (kind, id)}
                assert set(index.find_all(kind, id)) == places
                assert index.has(kind, id) is bool(places)
                assert (index.find(kind, id) in places) if places else index.find(kind, id) is None


def test_an_index_that_is_read_twice_counts_once() -> None:
    """Two index files may list the same pack, after a prune that was interrupted."""
    index = BlobIndex()
    blobs = [PackedBlob(BlobKind.DATA, os.urandom(32), offset, 10, 0) for offset in range(0, 100, 10)]
    index.add(b"p" * 32, blobs)
    index.add(b"p" * 32, blobs)
    index.add(b"p" * 32, [*blobs, PackedBlob(BlobKind.DATA, blobs[0].id, 100, 10, 0)])
    assert len(index) == 11
    assert len(list(index.find_all(BlobKind.DATA, blobs[0].id))) == 2


def test_the_table_grows_and_keeps_what_it_has() -> None:
    """Far beyond its first size; also when room was reserved."""
    index = BlobIndex()
    ids = [os.urandom(32) for _ in range(5000)]
    for start in range(0, 5000, 100):
        index.add(
            start.to_bytes(32, "big"),
            [PackedBlob(BlobKind.TREE, id, n, 1, 2) for n, id in enumerate(ids[start : start + 100])],
        )
    index.reserve(20_000)
    assert len(index) == 5000
    for number, id in enumerate(ids):
        assert index.find(BlobKind.TREE, id) == Location(
            (number // 100 * 100).to_bytes(32, "big"), number % 100, 1, 2
        )
    assert not index.has(BlobKind.DATA, ids[0])


def test_a_forked_worker_sees_what_is_added_later() -> None:
    """As long as the table does not grow: that is what it is reserved for."""
    index = BlobIndex()
    index.reserve(100)
    id = os.urandom(32)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(read, 1)
        os._exit(0 if index.has(BlobKind.DATA, id) else 1)
    index.add(b"p" * 32, [PackedBlob(BlobKind.DATA, id, 0, 1, 0)])
    os.write(write, b"x")
    _, status = os.waitpid(child, 0)
    os.close(read)
    os.close(write)
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.parametrize("expected", [0, 1, 767, 768, 769, 10_000])
def test_room_that_was_asked_for_is_there(expected: int) -> None:
    """Without growing."""
    index = BlobIndex(expected)
    before = id(index._memory)
    index.add(b"p" * 32, [PackedBlob(BlobKind.DATA, os.urandom(32), n, 1, 0) for n in range(expected)])
    assert id(index._memory) == before


def test_no_choice_of_ids_makes_the_table_slow() -> None:
    """Ids that begin alike, and one that is in very many packs: each would be compared with all before it."""
    index = BlobIndex()
    others = [os.urandom(32) for _ in range(300)]
    alike = [bytes(8) + number.to_bytes(24) for number in range(30_000)]
    for number in range(30):
        these = alike[number * 1000 :][:1000]
        index.add(os.urandom(32), [PackedBlob(BlobKind.DATA, id, 0, 40, 0) for id in these])
    many = os.urandom(32)
    packs = [number.to_bytes(32) for number in range(30_000)]
    for number, pack in enumerate(packs):
        if number % 100 == 0:
            index.add(bytes(32), [PackedBlob(BlobKind.TREE, others[number // 100], 0, 40, 0)])
        index.add(pack, [PackedBlob(BlobKind.TREE, many, 0, 40, 0)])
    assert all(index.has(BlobKind.DATA, id) for id in alike)
    assert all(index.has(BlobKind.TREE, id) and not index.has(BlobKind.DATA, id) for id in others)
    assert sorted(place.pack for place in index.find_all(BlobKind.TREE, many)) == packs
    assert len(index) == 60_300
