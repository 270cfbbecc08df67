"""The bytes in which readings lie: exact to the bit, and one error for all that is damaged."""

from __future__ import annotations

import contextlib
import math
import random
import struct
from functools import partial

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from collector.metrics.blocks import (
    HOUR_MS,
    MAGIC,
    BlockError,
    Column,
    decode_block,
    decode_row,
    encode_block,
    encode_row,
    to_milliseconds,
)

HOUR = 472_222
ANY_BITS = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0])
VALUES = st.one_of(
    ANY_BITS,
    st.floats(),
    st.integers(-(2**60), 2**60).map(float),
    st.integers(0, 1000).map(lambda n: n / 100),
    st.sampled_from([0.0, -0.0, 5e-324, -2.2e-308, 1.7976931348623157e308, 2.0**53, 2.0**53 + 2, 0.1, 1e-9, 1e22]),
)


def bits(values: object) -> bytes:
    return b"".join(struct.pack("<d", value) for value in values)  # type: ignore[attr-defined]


def repeated(value: float, count: int) -> list[float]:
    return [value] * count


@st.composite
def columns(draw: st.DrawFn) -> list[Column]:
    offsets = st.lists(st.integers(0, HOUR_MS - 1), min_size=1, max_size=12, unique=True).map(sorted)
    shared = draw(offsets)
    numbers = draw(st.lists(st.integers(0, 65_535), max_size=6, unique=True))
    built = []
    for number in numbers:
        times = shared if draw(st.booleans()) else draw(offsets)
        kind = draw(st.sampled_from(["any", "constant", "whole", "decimal"]))
        size = {"min_size": len(times), "max_size": len(times)}
        values = {
            "any": st.lists(VALUES, **size),
            "constant": VALUES.map(partial(repeated, count=len(times))),
            "whole": st.lists(st.integers(-(2**54), 2**54).map(float), **size),
            "decimal": st.lists(st.integers(-(10**7), 10**7).map(lambda n: n / 1000), **size),
        }[kind]
        built.append(Column(number, times, draw(values)))
    return built


@given(columns())
def test_a_block_gives_back_every_bit(given: list[Column]) -> None:
    """Whatever the values (-0.0, subnormals, NaN, huge whole numbers) and however irregular the times."""
    back = decode_block(encode_block(given))
    assert [(c.number, list(c.offsets), bits(c.values)) for c in back] == [
        (c.number, list(c.offsets), bits(c.values)) for c in given
    ]


@given(columns(), st.sets(st.integers(0, 65_535)), st.data())
def test_the_wanted_series_alone_are_decoded(given: list[Column], others: set[int], data: st.DataObject) -> None:
    """Asking for some numbers gives these, as a whole decoding has them; unknown numbers give nothing."""
    wanted = others | set(data.draw(st.lists(st.sampled_from([c.number for c in given])))) if given else others
    body = encode_block(given)
    assert [(c.number, list(c.offsets), bits(c.values)) for c in decode_block(body, wanted)] == [
        (c.number, list(c.offsets), bits(c.values)) for c in decode_block(body) if c.number in wanted
    ]


@given(st.lists(st.tuples(st.integers(0, 65_535), st.integers(0, HOUR_MS - 1), ANY_BITS)))
def test_a_row_gives_back_what_it_was_given(samples: list[tuple[int, int, float]]) -> None:
    """Numbers and values exactly, times to the millisecond."""
    times = [(HOUR * HOUR_MS + offset) / 1000 for _, offset, _ in samples]
    body = encode_row([number for number, _, _ in samples], times, [value for _, _, value in samples])
    back = list(decode_row(body, HOUR))
    assert [(number, offset) for number, offset, _ in back] == [(number, offset) for number, offset, _ in samples]
    assert bits(value for _, _, value in back) == bits(value for _, _, value in samples)


@given(st.floats(0, 1e11), st.floats(0, 1e11))
def test_milliseconds_keep_the_order_of_times(one: float, other: float) -> None:
    """So that a report lies in one hour when its first and its last reading do."""
    assert (to_milliseconds(one) <= to_milliseconds(other)) or one > other


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(body: bytes) -> None:
    """Neither a block nor, but for lucky lengths and times, a row: BlockError and nothing else."""
    for data in (body, MAGIC + body):
        with pytest.raises(BlockError):
            decode_block(data)
    with contextlib.suppress(BlockError):
        assert all(0 <= offset < HOUR_MS for _, offset, _ in decode_row(body, HOUR))


@given(st.binary(max_size=120))
def test_a_sound_frame_of_nonsense_is_refused_or_sound(content: bytes) -> None:
    """Content that no encoder wrote gives BlockError, or columns that keep what a column promises."""
    try:
        found = decode_block(MAGIC + zstandard.ZstdCompressor().compress(content))
    except BlockError:
        return
    for column in found:
        assert len(column.offsets) == len(column.values) > 0
        assert list(column.offsets) == sorted(set(column.offsets))
        assert 0 <= column.offsets[0] <= column.offsets[-1] < HOUR_MS


def test_a_frame_that_claims_gigabytes_is_refused() -> None:
    """Before anything is allocated for it."""
    size = struct.pack("<Q", 1 << 40)
    with pytest.raises(BlockError, match="sensible size"):
        decode_block(MAGIC + b"\x28\xb5\x2f\xfd" + b"\xe0" + size + bytes(16))


@given(columns(), st.data())
def test_damage_is_noticed(given: list[Column], data: st.DataObject) -> None:
    """A flipped bit or a cut end of a block raises BlockError, or changed nothing that is read."""
    body = encode_block(given)
    place = data.draw(st.integers(0, 8 * len(body) - 1))
    flipped = bytearray(body)
    flipped[place // 8] ^= 1 << place % 8
    try:
        back = decode_block(bytes(flipped))
    except BlockError:
        pass
    else:
        assert [(c.number, list(c.offsets), bits(c.values)) for c in back] == [
            (c.number, list(c.offsets), bits(c.values)) for c in given
        ]
    with pytest.raises(BlockError):
        decode_block(body[: data.draw(st.integers(0, len(body) - 1))])


def test_a_block_of_the_first_version_is_still_read() -> None:
    """These bytes lie in databases: a change that cannot read them must grow the magic and keep the old reader."""
    body = bytes.fromhex(GOLDEN)
    assert decode_block(body) == GOLDEN_COLUMNS


GOLDEN_COLUMNS = [
    Column(0, [15, 15_015, 30_017], [12.5, 12.75, 11.0]),
    Column(1, [15, 15_015, 30_017], [4096.0, 8192.0, 1_000_000_000_000.0]),
    Column(7, [0, 3_599_999], [1.0, 1.0]),
    Column(65_535, [15, 15_015, 30_017], [1 / 3, -0.0, math.pi]),
]
GOLDEN = (
    "4857423128b52ffd24a03d030092451320a029ad0170d8d50900c04c463bab6a9c9c3d2638381de362e2bf59dbcade72a70b"
    "89236841bccc833cc64b3cc31b3cb9f103bd008a4ba4692a9407a69fc7c1ac4215ad1c0fc86cb3139eaa160a00398fcb35f0"
    "6cb7f20240a2d306b0184cd10cc000ea2837aab4"
)


def test_an_hour_of_a_host_takes_less_than_a_byte_and_a_quarter_a_sample() -> None:
    """Of readings that move as a busy host's do, a third of them constant: the budget is 2 bytes."""
    chance = random.Random(1)
    times = [15_000 * tick + chance.randrange(5) for tick in range(240)]
    columns: list[Column] = []
    for group in range(20):
        memory, received = 4_000_000_000, 0
        noise, pages, counter = [], [], []
        for _ in times:
            memory += 4096 * chance.randrange(-500, 500)
            received += chance.randrange(100_000)
            noise.append(round(chance.gauss(20, 3), 2))
            pages.append(float(memory))
            counter.append(float(received))
        columns += (
            Column(number, times, values)
            for number, values in enumerate([noise, pages if group % 2 else counter, [float(group)] * 240], 3 * group)
        )
    assert len(encode_block(columns)) < 60 * 240 * 1.25
