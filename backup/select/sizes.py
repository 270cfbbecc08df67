"""Sizes and shares as restic's options have them: `10M`, `5%`, `1/5`. Raise UsageError, saying what was expected."""

from __future__ import annotations

import re
from typing import NamedTuple

from kit.errors import UsageError

MOST_GROUPS = 256
"""Packs are told apart by the first byte of their ids."""

_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_LARGEST = 2**63 - 1
_SIZE = re.compile(r"([0-9]{1,19})([bkmgt]?)", re.IGNORECASE | re.ASCII)
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)%")
_GROUP = re.compile(r"([0-9]{1,3})/([0-9]{1,3})")


class Size(NamedTuple):
    """So many bytes."""

    bytes: int


class Share(NamedTuple):
    """So much of a hundred."""

    percent: float


class Group(NamedTuple):
    """The packs of one of several groups of about one size; all groups together are all packs."""

    number: int
    """From 1."""
    of: int

    def holds(self, pack: bytes) -> bool:
        """Whether the pack with this id belongs to the group."""
        return pack[0] % self.of == self.number - 1


def parse_size(text: str) -> int:
    """Bytes, with the suffixes `k`, `M`, `G`, `T` (powers of 1024, either case): `500`, `10M`."""
    size = _size(text)
    if size is None:
        raise UsageError(f'"{text}" is no size: expected a number of bytes, as "500", "64k", "10M" or "2G"')
    return size


def parse_subset(text: str) -> Group | Share | Size:
    """Which packs to read: `1/5` is the first of five groups, `5%` and `500M` are chosen by chance."""
    if group := _GROUP.fullmatch(text):
        number, of = int(group[1]), int(group[2])
        if 1 <= number <= of <= MOST_GROUPS:
            return Group(number, of)
    elif (share := _share(text)) is not None:
        if 0 < share.percent <= 100:
            return share
    elif not text.isdigit() and (size := _size(text)):
        return Size(size)
    raise UsageError(
        f'"{text}" is no part of the data: expected a group as "1/5" (of at most {MOST_GROUPS}), a share as "5%"'
        ' or a size with its unit as "500M"'
    )


def parse_unused_limit(text: str) -> Share | Size | None:
    """How much unused data a repository may keep: `5%` of its size (below 100), `500M`, `unlimited` (None)."""
    if text == "unlimited":
        return None
    if (share := _share(text)) is not None:
        if share.percent < 100:
            return share
    elif (size := _size(text)) is not None:
        return Size(size)
    raise UsageError(f'"{text}" is no limit: expected a share below 100 % as "5%", a size as "500M", or "unlimited"')


def _size(text: str) -> int | None:
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    size = int(match[1]) * _UNITS[match[2].lower()]
    return size if size <= _LARGEST else None


def _share(text: str) -> Share | None:
    match = _SHARE.fullmatch(text)
    return Share(float(match[1])) if match else None
