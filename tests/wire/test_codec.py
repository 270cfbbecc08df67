"""Bytes to reports: what fits is the same again, and everything else is a WireError within the limits of memory."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.reports import FULL, SMALL, reports
from wire import codec, limits
from wire.errors import REFUSALS, WireError
from wire.report import Report

BOMB = zstandard.ZstdCompressor(level=19).compress(b"\0" * (64 << 20))


def pack(document: bytes) -> bytes:
    """What travels."""
    return zstandard.ZstdCompressor().compress(document)


def changed(**fields: Any) -> bytes:
    """The body of FULL with other values."""
    return pack(json.dumps(json.loads(msgspec.json.encode(FULL)) | fields).encode())


def refusal(body: bytes) -> WireError:
    """What decoding raises."""
    with pytest.raises(WireError) as caught:
        codec.decode(body)
    assert "\n" not in str(caught.value)
    return caught.value


@given(reports)
def test_every_report_within_the_limits_comes_back_the_same(report: Report) -> None:
    assert codec.decode(codec.encode(report)) == report


@given(st.binary(max_size=300))
def test_random_bytes_raise_nothing_but_a_wire_error(body: bytes) -> None:
    for attempt in (body, pack(body)):
        with pytest.raises(WireError):
            codec.decode(attempt)
    with pytest.raises(WireError):
        codec.decode_enrolment(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(Report.__struct_fields__), json_values))
def test_random_json_under_the_right_keys_is_a_report_or_a_wire_error(fields: dict[str, Any]) -> None:
    document = json.loads(msgspec.json.encode(FULL)) | fields
    try:
        report = codec.decode(pack(json.dumps(document).encode("utf-8", "surrogatepass")))
    except WireError as error:
        assert error.code in ("malformed_report", "unsupported_version")
    else:
        assert codec.decode(codec.encode(report)) == report


@given(st.data())
def test_a_body_with_one_bit_flipped_is_a_report_or_a_wire_error(data: st.DataObject) -> None:
    body = bytearray(codec.encode(FULL))
    position = data.draw(st.integers(0, len(body) * 8 - 1))
    body[position // 8] ^= 1 << position % 8
    with contextlib.suppress(WireError):
        codec.decode(bytes(body))


def test_deep_nesting_is_a_wire_error() -> None:
    for document in (b"[" * 1_000_000, b'{"version":1,"x":' * 100_000, b'{"x":' + b"[" * 500_000):
        assert refusal(pack(document)).code == "malformed_report"


def test_unknown_fields_are_ignored() -> None:
    document = json.loads(msgspec.json.encode(FULL))
    document["later"] = {"deep": [1, {"deeper": None}]}
    for check in document["checks"]:
        check["later"] = 1
    for reading in document["readings"]:
        reading.append("later")
    assert codec.decode(pack(json.dumps(document).encode())) == FULL


def test_a_newer_report_is_refused_for_its_version_whatever_else_is_in_it() -> None:
    for body in (
        changed(version=2),
        changed(version=2, checks="another shape"),
        pack(b'{"version": 7}'),
        pack(b'{"nothing": [1], "version": 2, "readings": {"a": 1}}'),
    ):
        error = refusal(body)
        assert error.code == "unsupported_version"
        assert "up to version 1" in str(error)
    assert "has version 7" in str(refusal(pack(b'{"version": 7}')))


@pytest.mark.parametrize("version", [0, -1, 1.5, "1", None, True, 1 << 60])
def test_what_is_no_version_is_malformed(version: object) -> None:
    """Neither zero nor text nor a fraction is a version."""
    assert refusal(changed(version=version)).code in ("malformed_report", "unsupported_version")


LABELS = {"l": "v"}
CHECK = {"name": "n", "kind": "k", "state": "ok", "message": "", "since": 0, "time": 0}
EVENT = {"time": 0, "kind": "k", "message": ""}
JOB = {"name": "n", "started": 0, "finished": 0, "outcome": "done"}
GAP = {"reason": "size", "since": 0, "until": 0}


@pytest.mark.parametrize(
    "fields",
    [
        {"host": ""},
        {"host": "h" * (limits.MAX_ID + 1)},
        {"host": "a b"},
        {"epoch": "e\n"},
        {"sequence": 0},
        {"sequence": limits.MAX_COUNT + 1},
        {"time": -1},
        {"time": limits.MAX_TIME * 2},
        {"interval": 0},
        {"interval": limits.MAX_SPAN * 2},
        {"facts": {"n" * (limits.MAX_NAME + 1): ""}},
        {"facts": {"a b": ""}},
        {"facts": {"n": "v" * (limits.MAX_VALUE + 1)}},
        {"facts": {f"n{i}": "" for i in range(limits.MAX_FACTS + 1)}},
        {"facts": {"n": "nul \0"}},
        {"packages": {"manager": "pkg"}},
        {"packages": {"manager": "apt", "installed": [["white space", "1"]]}},
        {"packages": {"manager": "apt", "installed": [["p", "1"]] * (limits.MAX_PACKAGES + 1)}},
        {"packages": {"manager": "apt", "pending": [["a b", "1", "2", True, 0]]}},
        {"checks": [CHECK | {"name": f"n{i}"} for i in range(limits.MAX_CHECKS + 1)]},
        {"checks": [CHECK, CHECK]},
        {"checks": [CHECK | {"state": "green"}]},
        {"checks": [CHECK | {"message": "m" * (limits.MAX_MESSAGE + 1)}]},
        {"checks": [CHECK | {"name": "white space"}]},
        {"checks": [CHECK | {"duration": -1}]},
        {"readings": [["c", "n", 1.0]] * (limits.MAX_READINGS + 1)},
        {"readings": [["c", "n", None]]},
        {"readings": [["c", "n", "1"]]},
        {"readings": [["c", "n-n", 1]]},
        {"readings": [["c", "n" * (limits.MAX_NAME + 1), 1]]},
        {"readings": [["c", "n", 1, "u" * (limits.MAX_UNIT + 1)]]},
        {"readings": [["c", "n", 1, "", {f"l{i}": "" for i in range(limits.MAX_LABELS + 1)}]]},
        {"readings": [["c", "n", 1, "", {"l" * (limits.MAX_LABEL_NAME + 1): ""}]]},
        {"readings": [["c", "n", 1, "", {"l.l": ""}]]},
        {"readings": [["c", "n", 1, "", {"l": "v" * (limits.MAX_VALUE + 1)}]]},
        {"readings": [["c", "n", 1, "", LABELS, -1]]},
        {"events": [EVENT] * (limits.MAX_EVENTS + 1)},
        {"events": [EVENT | {"message": "m" * (limits.MAX_MESSAGE + 1)}]},
        {"events": [EVENT | {"kind": "é"}]},
        {"events": [EVENT | {"check": "a b"}]},
        {"jobs": [JOB] * (limits.MAX_JOBS + 1)},
        {"jobs": [JOB | {"outcome": "great"}]},
        {"jobs": [JOB | {"peak_memory": -1}]},
        {"gaps": [GAP] * (limits.MAX_GAPS + 1)},
        {"gaps": [GAP | {"readings": -1}]},
    ],
)
def test_whatever_is_beyond_a_limit_is_malformed(fields: dict[str, Any]) -> None:
    """Counts, lengths, ranges and letters each have their limit."""
    assert refusal(changed(**fields)).code == "malformed_report"


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"NaN", b"Infinity"])
def test_a_value_that_is_not_finite_is_malformed(number: bytes) -> None:
    """JSON has no such numbers, and one too large for a float is none either."""
    document = msgspec.json.encode(FULL).replace(b"83.5", number)
    assert refusal(pack(document)).code == "malformed_report"


def test_an_escaped_backslash_before_u0000_is_not_a_nul() -> None:
    report = msgspec.structs.replace(FULL, facts={"os": "\\u0000"})
    assert codec.decode(codec.encode(report)) == report


def test_a_body_over_the_limit_is_refused_before_it_is_looked_at() -> None:
    error = refusal(b"\0" * (limits.MAX_BODY + 1))
    assert error.code == "too_large"
    assert str(limits.MAX_BODY) in str(error)


def test_a_report_that_no_reader_takes_is_not_encoded() -> None:
    """The sender finds out before home does."""
    large = msgspec.structs.replace(SMALL, facts={f"n{i}": "v" * 1_000_000 for i in range(3)})
    with pytest.raises(WireError) as caught:
        codec.encode(large)
    assert caught.value.code == "too_large"


def without_size(document: bytes) -> bytes:
    """A frame that does not say how much it holds."""
    return zstandard.ZstdCompressor(write_content_size=False).compress(document)


def lying(document: bytes, size: int) -> bytes:
    """A frame that says it holds `size` bytes."""
    frame = bytearray(zstandard.ZstdCompressor().compress(document))
    assert frame[4] & 0b1110_0000 == 0b1010_0000, "a single segment with four bytes of size"
    frame[5:9] = size.to_bytes(4, "little")
    return bytes(frame)


LONG = b'{"version":1,"x":"' + b"x" * 100_000 + b'"}'


def test_a_frame_without_a_size_is_read_like_any_other() -> None:
    assert codec.decode(without_size(msgspec.json.encode(FULL))) == FULL


def test_a_frame_that_holds_another_amount_than_it_says_is_refused() -> None:
    assert refusal(lying(LONG, len(LONG) - 1)).code == "malformed_report"
    assert refusal(lying(LONG, len(LONG) + 1)).code == "malformed_report"
    assert refusal(lying(LONG, 0xFFFF_FFFF)).code == "too_large"


def test_bytes_after_the_frame_are_refused() -> None:
    body = codec.encode(FULL)
    assert refusal(body + b"more").code == "malformed_report"
    assert refusal(body + body).code == "malformed_report"
    assert refusal(body[:-1]).code == "malformed_report"


def test_what_holds_exactly_the_limit_is_read_and_one_byte_more_is_not() -> None:
    exact = b" " * limits.MAX_DOCUMENT
    for make in (pack, without_size):
        assert codec.decompress(make(exact)) == exact
        with pytest.raises(WireError):
            codec.decompress(make(exact + b" "))


MEASURE = """
import resource, sys, zstandard
from wire import codec
from wire.errors import WireError
body = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    codec.decode(body)
except WireError as error:
    print(error.code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(BOMB, id="honest"),
        pytest.param(
            zstandard.ZstdCompressor(level=19, write_content_size=False).compress(b"\0" * (64 << 20)), id="silent"
        ),
        pytest.param(BOMB[:6] + (1000).to_bytes(4, "little") + BOMB[10:], id="lying"),
    ],
)
def test_a_bomb_takes_no_more_memory_than_the_limits(bomb: bytes) -> None:
    """64 MiB in a few kilobytes: whatever the frame says about its size, a few MiB are the most it gets."""
    assert len(bomb) < 10_000
    assert zstandard.frame_content_size(bomb) in (64 << 20, -1, 1000)
    done = subprocess.run([sys.executable, "-c", MEASURE], input=bomb, capture_output=True, check=True)
    code, grown = done.stdout.split()
    assert code in (b"too_large", b"malformed_report")
    assert int(grown) * 1024 < limits.MAX_DOCUMENT + limits.MAX_WINDOW + (2 << 20)


def test_every_code_has_a_status_of_a_refusal() -> None:
    assert all(400 <= meaning.status < 600 for meaning in REFUSALS.values())
    error = WireError("busy", "try again")
    assert (error.status, error.permanent) == (503, False)


ENROLMENT = {"version": 1, "token": "t", "name": "web 1", "public_key": "A" * 43 + "=", "agent": "0.1.0", "facts": {}}


def test_an_enrolment_is_read_with_the_name_as_people_write_it() -> None:
    assert codec.decode_enrolment(json.dumps(ENROLMENT).encode()).name == "web 1"


@pytest.mark.parametrize(
    "fields",
    [
        {"token": ""},
        {"token": "t" * (limits.MAX_TOKEN + 1)},
        {"name": ""},
        {"name": "a\x1b[31m"},
        {"name": "txt.\N{RIGHT-TO-LEFT OVERRIDE}bew"},
        {"name": " "},
        {"name": "web1 "},
        {"name": " web1"},
        {"name": "web  1"},
        {"name": "web\N{NO-BREAK SPACE}1"},
        {"name": "w\N{CYRILLIC SMALL LETTER IE}b1"},
        {"name": "\N{FULLWIDTH LATIN SMALL LETTER W}eb1"},
        {"name": "n" * (limits.MAX_TITLE + 1)},
        {"public_key": "short"},
        {"agent": "0 1"},
        {"facts": {"a b": "c"}},
        {"facts": {"a": "\0"}},
        {"version": 0},
    ],
)
def test_what_is_no_enrolment_is_a_bad_request(fields: dict[str, Any]) -> None:
    """Each field of an enrolment has its limits."""
    with pytest.raises(WireError) as caught:
        codec.decode_enrolment(json.dumps(ENROLMENT | fields).encode())
    assert caught.value.code == "bad_request"


def test_a_newer_enrolment_is_refused_for_its_version() -> None:
    with pytest.raises(WireError) as caught:
        codec.decode_enrolment(b'{"version": 2, "key": 1}')
    assert caught.value.code == "unsupported_version"


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_answers_that_are_none_are_a_value_error(body: bytes) -> None:
    for decode in (codec.decode_enrolled, codec.decode_refusal):
        with pytest.raises(ValueError):
            decode(body)


def test_the_id_that_home_gives_can_be_signed_with() -> None:
    with pytest.raises(ValueError, match="is not the id of a host"):
        codec.decode_enrolled(b'{"host": "a\\"b", "name": "n", "time": 1}')
