"""A name is all that the daemon can say, and neither side trusts the other's bytes."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.name import Name
from agent.privileged.protocol import (
    MAX_BEFORE,
    MAX_LINE,
    Before,
    ProtocolError,
    Reply,
    Request,
    decode_before,
    decode_line,
    decode_reply,
    encode_reply,
    encode_request,
)
from wire.limits import MAX_MESSAGE

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}", fullmatch=True)


@given(NAMES)
def test_a_name_that_the_configuration_takes_gets_through(name: str) -> None:
    """Whatever a job or a check can be called, it can be asked for."""
    assert msgspec.convert(name, Name) == name
    assert decode_line(encode_request("job", name)) == Request("job", name)
    line, _, body = encode_request("check", name, Before([1], 2.0)).partition(b"\n")
    assert decode_line(line + b"\n") == Request("check", name, len(body))
    assert decode_before(body) == Before([1], 2.0)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"job\n",
        b"job \n",
        b"job a b\n",
        b"job a\nb\n",
        b"job a",
        b"job ../a\n",
        b"job a;reboot\n",
        b"job a\0\n",
        b"job -a\n",
        b"jobs a\n",
        b"check a\n",
        b"check a -1\n",
        b"check a 01\n",
        b"check a 131073\n",
        b"run a\n",
        b"job " + b"a" * 65 + b"\n",
        b"check a " + b"9" * 200 + b"\n",
    ],
)
def test_any_other_line_is_refused(line: bytes) -> None:
    """No arguments, no environment, no path: there is no way to say them."""
    with pytest.raises(ProtocolError):
        decode_line(line)


@given(st.binary(max_size=2 * MAX_LINE))
def test_no_line_does_harm(line: bytes) -> None:
    """Any bytes are a request for a name, or refused."""
    try:
        request = decode_line(line)
    except ProtocolError:
        return
    assert msgspec.convert(request.name, Name)
    assert request.length <= MAX_BEFORE


@given(st.binary(max_size=500))
def test_what_was_before_is_data_or_nothing(data: bytes) -> None:
    """Nonsense is a first run."""
    before = decode_before(data)
    assert before.elapsed is None or (math.isfinite(before.elapsed) and before.elapsed > 0)


@pytest.mark.parametrize("elapsed", [math.inf, -math.inf, math.nan, -1.0, 0.0])
def test_no_time_is_made_up(elapsed: float) -> None:
    """Rates are divided by it."""
    assert decode_before(msgspec.msgpack.encode([1, elapsed])) == Before()
    assert decode_before(msgspec.msgpack.encode({"previous": 1, "elapsed": elapsed})) == Before()


def test_nesting_without_end_is_nothing() -> None:
    """A thousand arrays in one another would exhaust the stack of who follows them."""
    assert decode_before(b"\x82\xa8previous" + b"\x91" * 100_000 + b"\x01\xa7elapsed\x01") == Before()
    with pytest.raises(ProtocolError):
        decode_reply(b"\x91" * 100_000)


def test_a_check_that_remembers_too_much_is_told_so() -> None:
    """To leave it out would let a check that follows a file begin anew, and tell everything twice."""
    with pytest.raises(ProtocolError, match="128KiB"):
        encode_request("check", "log", Before("x" * MAX_BEFORE))


REPLIES = st.builds(
    Reply,
    outcome=st.sampled_from(["done", "failed", "timed_out", "killed"]),
    exit_code=st.none() | st.integers(0, 255),
    output=st.binary(),
    error=st.binary(),
    truncated=st.booleans(),
    cpu=st.floats(0, 1e9),
    peak_memory=st.integers(0, 2**53),
    message=st.text(st.characters(exclude_categories=("C", "Z")), max_size=MAX_MESSAGE),
)


@given(REPLIES)
def test_a_reply_comes_back_as_it_was(reply: Reply) -> None:
    """Nothing is lost on the way."""
    assert decode_reply(encode_reply(reply)) == reply


@given(st.binary(max_size=500))
def test_bytes_that_are_no_reply_are_refused(data: bytes) -> None:
    """With one sentence, never with another error."""
    try:
        decode_reply(data)
    except ProtocolError as error:
        assert "root's half" in str(error)


@given(REPLIES, st.data())
def test_a_reply_that_was_cut_is_refused(reply: Reply, data: st.DataObject) -> None:
    """Root's half that dies in the middle of it reports nothing."""
    whole = encode_reply(reply)
    with pytest.raises(ProtocolError):
        decode_reply(whole[: data.draw(st.integers(0, len(whole) - 1))])


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"outcome": "fine"},
        {"outcome": "done", "cpu": -1.0},
        {"outcome": "done", "cpu": math.nan},
        {"outcome": "done", "cpu": 1e300},
        {"outcome": "failed", "exit_code": -1},
        {"outcome": "failed", "exit_code": 256},
        {"outcome": "done", "peak_memory": -1},
        {"outcome": "done", "peak_memory": 2**64 - 1},
    ],
)
def test_a_reply_that_makes_no_sense_is_refused(reply: dict[str, object]) -> None:
    """Its fields are judged, not only their types."""
    with pytest.raises(ProtocolError):
        decode_reply(msgspec.msgpack.encode(reply))


def test_what_a_reply_says_is_one_short_line() -> None:
    """Who runs inside as another user could write the reply, and the message goes into logs, events and reports."""
    said = "failed\n<0>kernel: panic\x1b[2J\r" + "x" * 2**20
    message = decode_reply(encode_reply(Reply(outcome="failed", message=said))).message
    assert message.isprintable()
    assert len(message) <= MAX_MESSAGE
    assert message.startswith("failed <0>kernel: panic")
