"""The header of packs: there and back, and what damage does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.errors import DamagedError
from backup.format.compression import MAX_BLOB_LENGTH
from backup.format.pack import (
    ENTRY_LENGTH,
    MAX_HEADER,
    BlobKind,
    PackedBlob,
    encode_header,
    header_length,
    parse_header,
)

entries = st.tuples(
    st.sampled_from(BlobKind),
    st.binary(min_size=32, max_size=32),
    st.integers(32, MAX_BLOB_LENGTH),
    st.integers(0, MAX_BLOB_LENGTH),
)


@given(st.lists(entries, max_size=20))
def test_headers_come_back(given_entries: list[tuple[BlobKind, bytes, int, int]]) -> None:
    """What is encoded is parsed, with offsets in the order of the blobs."""
    blobs: list[PackedBlob] = []
    offset = 0
    for kind, id, length, plain_length in given_entries:
        blobs.append(PackedBlob(kind, id, offset, length, plain_length))
        offset += length
    header = encode_header(blobs)
    assert len(header) <= ENTRY_LENGTH * len(blobs)
    assert parse_header(header) == blobs


@given(st.binary(max_size=300))
def test_any_bytes_parse_or_are_refused(plain: bytes) -> None:
    """Bytes that are no header raise the one documented error."""
    try:
        blobs = parse_header(plain)
    except DamagedError:
        return
    assert encode_header(blobs) == plain


def test_what_cannot_be_is_refused() -> None:
    """A type that is not known, a cut entry, lengths that cannot be, a header that is too long."""
    whole = encode_header([PackedBlob(BlobKind.DATA, bytes(32), 0, 100, 200)])
    for bad in (
        b"\x04" + whole[1:],
        whole[:-1],
        encode_header([PackedBlob(BlobKind.DATA, bytes(32), 0, 31, 0)]),
        encode_header([PackedBlob(BlobKind.TREE, bytes(32), 0, 100, MAX_BLOB_LENGTH + 1)]),
        b"\x02" + (100).to_bytes(4, "little") + bytes(4) + bytes(32),
        bytes(MAX_HEADER + 1),
    ):
        with pytest.raises(DamagedError):
            parse_header(bad)


def test_the_length_of_a_header_is_bounded() -> None:
    """The last four bytes tell a length that fits between a seal and the pack."""
    assert header_length((100).to_bytes(4, "little"), 104) == 100
    for tail, size in [(b"", 0), (b"abc", 3), ((100).to_bytes(4, "little"), 103), ((31).to_bytes(4, "little"), 1000)]:
        with pytest.raises(DamagedError):
            header_length(tail, size)
    with pytest.raises(DamagedError):
        header_length((MAX_HEADER + 1).to_bytes(4, "little"), MAX_HEADER * 2)
