"""Bytes into lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.logs.lines import split

LONGEST = 10


@pytest.mark.parametrize(
    ("data", "lines", "used", "skipping"),
    [
        (b"", [], 0, False),
        (b"part", [], 0, False),
        (b"one\ntwo\r\n\npart", [b"one", b"two", b""], 10, False),
        (b"0123456789ab\nx\n", [b"0123456789", b"x"], 15, False),
        (b"x\n0123456789ab", [b"x", b"0123456789"], 14, True),
        (b"\0\0\0one\n", [b"one"], 7, False),
        (b"one\n\0\0\0", [b"one"], 7, False),
        (b"\0\0\0part", [], 3, False),
    ],
)
def test_complete_lines_are_given(data: bytes, lines: list[bytes], used: int, skipping: bool) -> None:
    """Of long ones the beginning, at once; zero bytes before a line are a hole, and no part of it."""
    assert split(data, LONGEST) == (lines, used, skipping)


def test_the_rest_of_a_long_line_is_passed_over() -> None:
    """Up to its end, which may come later."""
    assert split(b"more", LONGEST, skipping=True) == ([], 4, True)
    assert split(b"more\nnext\n", LONGEST, skipping=True) == ([b"next"], 10, False)
    assert split(b"more\npart", LONGEST, skipping=True) == ([], 5, False)


@given(
    st.lists(st.binary(max_size=25).map(lambda line: line.replace(b"\n", b"").replace(b"\0", b"").rstrip(b"\r"))),
    st.lists(st.integers(LONGEST + 1, 60), min_size=1),
)
def test_however_it_comes_in_pieces_the_lines_are_the_same(lines: list[bytes], sizes: list[int]) -> None:
    """Each chunk begins where the one before was used up, as in a file that is read."""
    data = b"".join(line + b"\n" for line in lines)
    given_lines: list[bytes] = []
    offset, skipping, number = 0, False, 0
    while offset < len(data):
        chunk = data[offset : offset + sizes[number % len(sizes)]]
        found, used, skipping = split(chunk, LONGEST, skipping=skipping)
        assert used > 0
        given_lines += found
        offset += used
        number += 1
    assert [line.removesuffix(b"\r") for line in given_lines] == [
        line[:LONGEST].removesuffix(b"\r") for line in lines
    ]
