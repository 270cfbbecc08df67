"""What is read of packs: every blob once, in order, in pieces that are bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backup.errors import DamagedError
from backup.format.crypto import OVERHEAD
from backup.format.node import Node
from backup.repository.blobs import Location
from backup.repository.runs import GAP, LONGEST
from backup.restore.plan import Plan, Target, locate

lengths = st.integers(OVERHEAD, 2 << 20) | st.sampled_from([5 << 20, 8 << 20])


@st.composite
def places(draw: st.DrawFn) -> dict[bytes, Location]:
    """Blobs in three packs, one after the other with gaps between them."""
    found = {}
    for pack in range(3):
        offset = 0
        for number in range(draw(st.integers(0, 12))):
            offset += draw(st.sampled_from([0, 0, 1, GAP, GAP + 1, 3 << 20]))
            length = draw(lengths)
            found[bytes((pack, number)) * 16] = Location(bytes((pack,)) * 32, offset, length, draw(st.integers(0, 9)))
            offset += length
    return found


@given(places(), st.data())
def test_every_blob_is_read_once(given_places: dict[bytes, Location], data: st.DataObject) -> None:
    """With all places that it goes to; what lies far apart is not read together."""
    wanted = data.draw(st.lists(st.sampled_from(sorted(given_places)), max_size=40)) if given_places else []
    plan = Plan()
    for file, id in enumerate(wanted):
        plan.add(id, given_places[id], Target(file, file * 7))
    pieces = plan.pieces()
    targets = [(target.file, blob.id) for piece in pieces for blob in piece.blobs for target in blob.targets]
    assert sorted(targets) == sorted(enumerate(wanted))
    assert len({blob.id for piece in pieces for blob in piece.blobs}) == len(set(wanted))
    for piece in pieces:
        assert piece.length <= LONGEST or len(piece.blobs) == 1
        at = piece.start
        for blob in piece.blobs:
            assert blob.place.pack == piece.pack
            assert 0 <= blob.place.offset - at <= GAP
            at = blob.place.offset + blob.place.length
        assert at == piece.start + piece.length
    packs = [piece.pack for piece in pieces]
    assert packs == sorted(packs, key=[given_places[id].pack for id in wanted].index)


@given(places(), st.integers(0, 100), st.data())
def test_files_are_whole_or_refused(given_places: dict[bytes, Location], more: int, data: st.DataObject) -> None:
    """A size that is not that of the blobs, and a blob that is nowhere."""
    ids = data.draw(st.lists(st.sampled_from(sorted(given_places)), max_size=5)) if given_places else []
    size = sum(given_places[id].plain_length or given_places[id].length - OVERHEAD for id in ids)
    node = Node(b"file", content=ids, size=size + more)
    try:
        located = locate(node, given_places.get)
    except DamagedError as error:
        assert more and "size" in str(error)
    else:
        assert not more and sum(length for _, length in located) == size
    node = Node(b"file", content=[*ids, b"nowhere"], size=size)
    try:
        locate(node, given_places.get)
    except DamagedError as error:
        assert "index" in str(error)
    else:
        raise AssertionError
