"""The bytes in which readings lie: rows as they come, and blocks of one host's hour. Pure, and exact to the bit.

A block groups what belongs together before zstd sees it. Series that were sampled together share one list of
times. Whole and decimal numbers become integers, these become small by subtracting the one before (or the
smallest), and each list of integers is laid out as planes: all lowest bytes, then all second bytes and so on
(the byte shuffle of Blosc and HDF5), so that what repeats lies together. What all differences are a multiple of
(memory comes in pages) is divided out. Values that are no short decimals lie as planes of their IEEE 754 bits.

A row is `<n u16 numbers, n f64 times, n f64 values>`, little-endian, n from the length.
A block is MAGIC and one zstd frame with its checksum, of:

    u16 lists of times, u16 series
    per list of times: u32 count, u32 first offset, u8 width
    per series: u16 number, u16 list of times, u8 kind, u8 decimals, u8 width, u64 unit, 8 bytes base
    the planes of each list of times: differences from one to the next, count - 1 of them
    the planes of each series, count of them; see Kind
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import IntEnum
from itertools import accumulate, pairwise
from typing import NamedTuple

import zstandard

HOUR_MS = 3_600_000
MAGIC = b"HWB1"
MAX_SERIES = 65_536
"""Series of one host that have a number."""
MAX_CONTENT = 256 * 2**20
"""Bytes of a block's content: ten thousand series sampled each second need less."""

_COUNTS = struct.Struct("<HH")
_TIMES = struct.Struct("<IIB")
_SERIES = struct.Struct("<HHBBBQ8s")
_FLOAT = struct.Struct("<d")
_INTEGER = struct.Struct("<q")
_EXACT = 2**53
"""Every whole number up to here has a float of its own."""
_MAX_DECIMALS = 9
_LEVEL = 3
"""Of zstd: level 19 saves 5 % and takes twice the time."""


class BlockError(ValueError):
    """These bytes are no row or block: they were damaged, or written by something else."""


class Column(NamedTuple):
    """The samples of one series within one hour."""

    number: int
    """Which series, 0 to 65,535."""
    offsets: Sequence[int]
    """Milliseconds since the hour began, ascending, each once."""
    values: Sequence[float]


class Kind(IntEnum):
    """How the values of a series lie."""

    CONSTANT = 0
    """All have the bits of the base."""
    STEPS = 1
    """Integers: the base is the first, a plane number the units from the one before (0 for the first), zigzag."""
    LEVELS = 2
    """Integers: the base is the smallest, a plane number how many units it is more."""
    BITS = 3
    """The plane numbers are the floats' bits."""


def to_milliseconds(time: float) -> int:
    """`time`, in seconds, as history keeps it. Later times never give less. Raises ValueError or OverflowError
    for what is no time."""
    return math.floor(time * 1000 + 0.5)


def encode_row(numbers: Sequence[int], times: Sequence[float], values: Iterable[float]) -> bytes:
    """Samples that arrived together, of any series within one hour. `times` are seconds since the epoch."""
    count = len(numbers)
    return struct.pack(f"<{count}H{count}d{count}d", *numbers, *times, *values)


def decode_row(body: bytes, hour: int) -> Iterator[tuple[int, int, float]]:
    """Series number, milliseconds since the `hour` began and value of each sample. Raises BlockError."""
    count, rest = divmod(len(body), 18)
    if rest:
        raise BlockError(f"a row of {len(body)} bytes, which is no multiple of 18")
    fields = struct.unpack(f"<{count}H{count}d{count}d", body)
    try:
        offsets = [to_milliseconds(time) - hour * HOUR_MS for time in fields[count : 2 * count]]
    except (ValueError, OverflowError) as error:
        raise BlockError("a row with something that is no time") from error
    if offsets and not 0 <= min(offsets) <= max(offsets) < HOUR_MS:
        raise BlockError("a row with a time outside its hour")
    return zip(fields[:count], offsets, fields[2 * count :], strict=True)


def encode_block(columns: Iterable[Column]) -> bytes:
    """One host's hour. Every column has at least one sample; series numbers are distinct."""
    times: dict[tuple[int, ...], int] = {}
    time_entries: list[bytes] = []
    time_planes: list[bytes] = []
    entries: list[bytes] = []
    planes: list[bytes] = []
    for number, offsets, values in columns:
        key = tuple(offsets)
        if (index := times.setdefault(key, len(times))) == len(time_entries):
            width, data = _to_planes([later - earlier for earlier, later in pairwise(key)])
            time_entries.append(_TIMES.pack(len(key), key[0], width))
            time_planes.append(data)
        kind, decimals, unit, base, unsigned = _reduce(values)
        width, data = _to_planes(unsigned)
        entries.append(_SERIES.pack(number, index, kind, decimals, width, unit, base))
        planes.append(data)
    content = b"".join(
        [_COUNTS.pack(len(time_entries), len(entries)), *time_entries, *entries, *time_planes, *planes]
    )
    return MAGIC + zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(content)


def decode_block(body: bytes, wanted: Collection[int] | None = None) -> list[Column]:
    """What `encode_block` was given, or only the series whose numbers are `wanted`. Raises BlockError."""
    content = _decompress(body)
    try:
        return _decode(content, wanted)
    except (struct.error, IndexError, OverflowError) as error:
        raise BlockError(f"a block whose parts do not fit together ({error})") from error


def _decompress(body: bytes) -> bytes:
    if body[: len(MAGIC)] != MAGIC:
        raise BlockError("a block that does not start as one")
    frame = body[len(MAGIC) :]
    try:
        if not 0 <= zstandard.frame_content_size(frame) <= MAX_CONTENT:
            raise BlockError("a block that does not tell a sensible size")
        return zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BlockError(f"a damaged block ({error})") from error


def _decode(content: bytes, wanted: Collection[int] | None) -> list[Column]:
    list_count, series_count = _COUNTS.unpack_from(content)
    position = _COUNTS.size
    lists = [_TIMES.unpack_from(content, position + i * _TIMES.size) for i in range(list_count)]
    position += list_count * _TIMES.size
    entries = [_SERIES.unpack_from(content, position + i * _SERIES.size) for i in range(series_count)]
    position += series_count * _SERIES.size

    places: list[int] = []
    for count, _, width in lists:
        if not count or (count > 1 and not width):
            raise BlockError("a block with times that do not ascend")
        places.append(position)
        position += (count - 1) * width

    columns: list[Column] = []
    decoded: dict[int, list[int]] = {}
    for number, index, kind, decimals, width, unit, base in entries:
        count = lists[index][0]
        if wanted is None or number in wanted:
            if index not in decoded:
                decoded[index] = _decode_times(content, places[index], *lists[index])
            unsigned = _from_planes(content, position, count, width)
            columns.append(Column(number, decoded[index], _restore(kind, decimals, unit, base, unsigned)))
        position += count * width
    if position != len(content):
        raise BlockError(f"a block of {len(content)} bytes that needs {position}")
    return columns


def _decode_times(content: bytes, position: int, count: int, first: int, width: int) -> list[int]:
    differences = _from_planes(content, position, count - 1, width)
    offsets = list(accumulate(differences, initial=first))
    if 0 in differences or offsets[-1] >= HOUR_MS:
        raise BlockError("a block with times that do not ascend within the hour")
    return offsets


def _reduce(values: Sequence[float]) -> tuple[Kind, int, int, bytes, Sequence[int]]:
    """The kind, decimals, unit, base and plane numbers that hold `values` in the fewest bits."""
    bits = array("d", values).tobytes()
    if bits == bits[:8] * len(values):
        return Kind.CONSTANT, 0, 0, _FLOAT.pack(values[0]), [0] * len(values)
    for decimals in range(_MAX_DECIMALS + 1):
        integers = _integers(values, 10.0**decimals)
        # The bits are compared, because -0.0 == 0.0.
        if integers is not None and array("d", _floats(integers, decimals)).tobytes() == bits:
            least = min(integers)
            unit = math.gcd(*(integer - least for integer in integers))
            levels = [(integer - least) // unit for integer in integers]
            steps = [0, *(_zigzag(later - earlier) for earlier, later in pairwise(levels))]
            if sum(map(int.bit_length, steps)) < sum(map(int.bit_length, levels)):
                return Kind.STEPS, decimals, unit, _INTEGER.pack(integers[0]), steps
            return Kind.LEVELS, decimals, unit, _INTEGER.pack(least), levels
    return Kind.BITS, 0, 0, bytes(8), struct.unpack(f"={len(values)}Q", bits)


def _restore(kind: int, decimals: int, unit: int, base: bytes, unsigned: Sequence[int]) -> Sequence[float]:
    match kind:
        case Kind.CONSTANT:
            return list(_FLOAT.unpack(base)) * len(unsigned)
        case Kind.STEPS:
            first: int = _INTEGER.unpack(base)[0]
            steps = (unit * _unzigzag(step) for step in unsigned[1:])
            return _floats(accumulate(steps, initial=first), decimals)
        case Kind.LEVELS:
            least: int = _INTEGER.unpack(base)[0]
            return _floats((least + unit * level for level in unsigned), decimals)
        case Kind.BITS:
            return list(struct.unpack(f"={len(unsigned)}d", array("Q", unsigned).tobytes()))
        case _:
            raise BlockError(f"a block with a series of the unknown kind {kind}")


def _integers(values: Sequence[float], scale: float) -> list[int] | None:
    """`values * scale` where each is a whole number that gives the value back, else None."""
    integers: list[int] = []
    for value in values:
        scaled = value * scale
        if not abs(scaled) <= _EXACT:  # nor is it for a NaN
            return None
        integer = round(scaled)
        if integer / scale != value:
            return None
        integers.append(integer)
    return integers


def _floats(integers: Iterable[int], decimals: int) -> list[float]:
    scale = 10.0**decimals
    return [integer / scale for integer in integers]


def _zigzag(number: int) -> int:
    """0, -1, 1, -2, 2… as 0, 1, 2, 3, 4…"""
    return 2 * number if number >= 0 else -2 * number - 1


def _unzigzag(number: int) -> int:
    return (number >> 1) ^ -(number & 1)


def _to_planes(numbers: Sequence[int]) -> tuple[int, bytes]:
    """How many bytes the largest number needs, and that many planes: the lowest byte of each, and so on."""
    width = (max(numbers, default=0).bit_length() + 7) // 8
    little = _little_endian(array("Q", numbers)).tobytes()
    return width, b"".join(little[plane::8] for plane in range(width))


def _from_planes(content: bytes, position: int, count: int, width: int) -> Sequence[int]:
    if width > 8 or position + count * width > len(content):
        raise BlockError("a block that is too short for its series")
    little = bytearray(8 * count)
    for plane in range(width):
        little[plane::8] = content[position + plane * count : position + (plane + 1) * count]
    return _little_endian(array("Q", bytes(little)))


def _little_endian(numbers: array[int]) -> array[int]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
