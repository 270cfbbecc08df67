"""Bytes of a log into lines (pure)."""

from __future__ import annotations


def split(data: bytes, longest: int, *, skipping: bool = False) -> tuple[list[bytes], int, bool]:
    """The complete lines at the beginning of `data`, without their ends; how many bytes of `data` they are; and
    whether these end within a line whose beginning was given already.

    `skipping` says that `data` begins within such a line: the rest of it is passed over. Of a longer line only the
    first `longest` bytes are given, as soon as they are there. Zero bytes before a line are passed over: they are the
    hole that a program leaves which goes on writing where it was after its log was truncated.
    """
    start = 0
    if skipping:
        end = data.find(b"\n")
        if end < 0:
            return [], len(data), True
        start = end + 1
    last = data.rfind(b"\n", start)
    lines = [_whole(line, longest) for line in data[start:last].split(b"\n")] if last >= 0 else []
    used = last + 1 if last >= 0 else start
    rest = data[used:].lstrip(b"\0")
    if not rest:
        return lines, len(data), False
    if len(rest) <= longest:
        return lines, len(data) - len(rest), False
    return [*lines, _whole(rest, longest)], len(data), True


def _whole(line: bytes, longest: int) -> bytes:
    return line.lstrip(b"\0")[:longest].removesuffix(b"\r")
