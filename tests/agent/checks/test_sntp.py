"""What a time server says: packets, written by hand and by chance."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.sntp import Answer, RefusedError, SntpError, encode_request, parse_answer

NOW = 1_800_000_000.0
COOKIE = 0x0123456789ABCDEF


def stamp(time: float) -> int:
    """Seconds since the epoch as 32 bits of seconds since 1900, in whatever era, and 32 bits of fraction."""
    return round((time + 2_208_988_800) * 2**32) % 2**64


def packet(
    *,
    leap: int = 0,
    version: int = 4,
    mode: int = 4,
    stratum: int = 2,
    reference: bytes = b"\x0a\0\0\1",
    origin: int = COOKIE,
    received: float | None = NOW,
    sent: float | None = NOW,
) -> bytes:
    times = [0 if time is None else stamp(time) for time in (received, sent)]
    first = leap << 6 | version << 3 | mode
    return struct.pack("!BBbbII4sQQQQ", first, stratum, 6, -20, 65536, 32768, reference, 0, origin, *times)


def test_a_request_tells_nothing_but_its_cookie() -> None:
    """Version 4, mode client, and zeros."""
    assert encode_request(COOKIE) == b"\x23" + bytes(39) + COOKIE.to_bytes(8, "big")


def test_an_answer_is_read() -> None:
    """Extensions behind it are passed over."""
    answer = parse_answer(packet(received=NOW + 1, sent=NOW + 1.5) + b"more", COOKIE, NOW)
    assert answer == Answer(2, True, 1.0, 0.5, NOW + 1, NOW + 1.5)


@given(st.floats(-1e5, 1e5), st.floats(0, 100), st.floats(0, 100), st.floats(0, 10))
def test_the_offset_is_right_to_half_the_delay(ahead: float, there: float, back: float, thinking: float) -> None:
    """Whatever way the packets took; exactly so where both ways are as long."""
    received = NOW + ahead + there
    sent = received + thinking
    heard = NOW + there + thinking + back
    answer = Answer(1, True, 0, 0, received, sent)
    assert abs(answer.offset(NOW, heard) - ahead) <= answer.delay(NOW, heard) / 2 + 1e-5
    assert answer.delay(NOW, heard) == pytest.approx(there + back, abs=1e-5)


@pytest.mark.parametrize("now", [0.0, NOW, 2_085_978_495.0, 2_085_978_497.0, 4_000_000_000.0])
def test_the_era_is_the_one_that_is_next(now: float) -> None:
    """The count began anew in February 2036."""
    answer = parse_answer(packet(received=now + 3, sent=now - 3), COOKIE, now)
    assert (answer.received, answer.sent) == pytest.approx((now + 3, now - 3), abs=1e-5)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes, where an answer has 48"),
        (packet()[:47], "47 bytes, where an answer has 48"),
        (packet(mode=3), "not the answer of a time server"),
        (packet(mode=5), "not the answer of a time server"),
        (packet(version=0), "not the answer of a time server"),
        (packet(version=5), "not the answer of a time server"),
        (packet(origin=1), "the answer to another question"),
        (packet(sent=None), "an answer without a time"),
        (packet(received=None), "an answer without a time"),
    ],
)
def test_what_is_no_answer_is_refused(data: bytes, message: str) -> None:
    """With the reason."""
    with pytest.raises(SntpError) as refused:
        parse_answer(data, COOKIE, NOW)
    assert str(refused.value) == message
    assert not isinstance(refused.value, RefusedError)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (b"RATE", "the server refuses: it is asked too often"),
        (b"DENY", "the server refuses: access denied"),
        (b"ACST", "the server refuses: kiss code ACST"),
    ],
)
def test_a_kiss_of_death_is_a_refusal(code: bytes, message: str) -> None:
    """RFC 5905, section 7.4."""
    with pytest.raises(RefusedError) as refused:
        parse_answer(packet(leap=3, stratum=0, reference=code), COOKIE, NOW)
    assert str(refused.value) == message


@pytest.mark.parametrize("bits", [{"leap": 3}, {"stratum": 16}, {"leap": 3, "stratum": 0, "reference": bytes(4)}])
def test_a_server_may_not_know_the_time_itself(bits: dict[str, int]) -> None:
    """By its leap indicator or its stratum."""
    assert not parse_answer(packet(**bits), COOKIE, NOW).synchronized  # type: ignore[arg-type]


@given(st.binary(max_size=80), st.floats(0, 4e9))
def test_any_packet_is_an_answer_or_refused(data: bytes, now: float) -> None:
    """With the one error that is documented, and times next to ours."""
    cookie = int.from_bytes(data[24:32], "big")
    try:
        answer = parse_answer(data, cookie, now)
    except SntpError as error:
        assert str(error).isprintable()
    else:
        assert abs(answer.received - now) <= 2**31 + 1
