"""The shape of messages."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.logs.analyse.shape import fold

CASES = [
    ("took 12 of 3,000.5 ms", "took <n> of <n> ms"),
    ("from 10.0.0.1 port 22", "from <ip> port <n>"),
    ("from 10.0.0.1:8080 to ::1", "from <ip>:<n> to <ip>"),
    ("peer 2001:db8::7:1 left", "peer <ip> left"),
    ("peer fe80::1%eth0 left", "peer <ip> left"),
    ("at 12:34:56", "at <n>:<n>:<n>"),
    ("version 1.2.3.4.5", "version <n>"),
    ("request 550e8400-e29b-41d4-a716-446655440000 done", "request <uuid> done"),
    ("at 0xffff8881 in 3f2a9c17", "at <hex> in <hex>"),
    ("a facade of beef", "a facade of beef"),
    ('relation "users" of "a \\" b" gone', 'relation "<text>" of "<text>" gone'),
    ("can't open 'a b', doesn't exist", "can't open '<text>', doesn't exist"),
    ("mail to jo.smith+x@mail.example.org sent", "mail to <mail> sent"),
    ("GET /users/123/orders/9f86d081884c", "GET /users/<n>/orders/<hex>"),
    ("dev 52:54:00:12:34:56 up", "dev <mac> up"),
    ("Failed password for root from 10.0.0.1 port 2 ssh2", "Failed password for <user> from <ip> port <n> ssh2"),
    (
        "Connection closed by invalid user x 10.0.0.1 port 2",
        "Connection closed by invalid user <user> <ip> port <n>",
    ),
    ("Invalid user admin from ::1 port 22", "Invalid user <user> from <ip> port <n>"),
    ("EXT4-fs on sda1, user12 on amd64", "EXT4-fs on sda1, user<n> on amd<n>"),
    ("two\nlines 1", "two lines <n>"),
    ("", ""),
]


@pytest.mark.parametrize(("message", "expected"), CASES)
def test_values_are_folded(message: str, expected: str) -> None:
    assert fold([message.encode()]) == [expected.encode()]


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=80) | st.text("0123456789abcdef:.-@'\"\\/ \n%", max_size=60).map(str.encode)))
def test_messages_do_not_touch_each_other(messages: list[bytes]) -> None:
    """All at once come to the same as each by itself."""
    assert fold(messages) == [fold([message])[0] for message in messages]


@settings(max_examples=60)
@given(st.text("ab:.-@ /", max_size=30), st.integers(0, 10**6), st.integers(0, 10**6))
def test_numbers_do_not_tell_messages_apart(around: str, one: int, other: int) -> None:
    first, second = (f"{around} n={number} {around}".encode() for number in (one, other))
    assert fold([first]) == fold([second])
