"""Each format, line by line; and anything at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.logs.analyse.formats import access, plain, postgresql, structured, syslog, webserver
from agent.logs.analyse.formats.entry import CONTINUED, Entry
from agent.logs.analyse.recognise import READERS, reader_of, recognise
from agent.logs.analyse.times import Clock

TIME = datetime(2026, 11, 22, 14, 17, 29, tzinfo=UTC).timestamp()
CLOCK = Clock(UTC, TIME)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Nov 22 14:17:29 web sshd[12]: Accepted", Entry(TIME, None, b"sshd", b"Accepted")),
        ("Nov 22 14:17:29 web kernel: [  12.345678] oops", Entry(TIME, None, b"kernel", b"oops")),
        ("<11>Nov 22 14:17:29 web app: no", Entry(TIME, 3, b"app", b"no")),
        ("Nov 22 14:17:29 web last message repeated", Entry(TIME, None, b"", b"web last message repeated")),
        ("2026-11-22T14:17:29+00:00 web CRON[9]: (root) CMD", Entry(TIME, None, b"CRON", b"(root) CMD")),
        (
            '<165>1 2026-11-22T14:17:29Z web app 12 ID47 [a@1 k="v \\" ]"][b] \ufeffsaid it',
            Entry(TIME, 5, b"app", b"said it"),
        ),
        ("<165>1 - web - - - -", Entry(None, 5, b"", b"")),
        ("2026-11-22T14:17:29Z ERROR module: no", None),
        ("what is this", None),
    ],
)
def test_syslog(line: str, expected: Entry | None) -> None:
    assert syslog.entry(line.encode(), CLOCK) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-11-22 14:17:29.000 UTC [7] ERROR:  no such column", Entry(TIME, 3, b"postgresql", b"no such column")),
        ("2026-11-22 14:17:29 CET [7] app@db LOG:  checkpoint", Entry(TIME, 6, b"postgresql", b"checkpoint")),
        ("2026-11-22 14:17:29 UTC [7] STATEMENT:  SELECT 1", CONTINUED),
        ("\tFROM x", CONTINUED),
        ("LOG:  nothing", None),
    ],
)
def test_postgresql(line: str, expected: Entry | None) -> None:
    assert postgresql.entry(line.encode(), CLOCK) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            '2026/11/22 14:17:29 [error] 7#7: *1 open() "/x" failed, client: 10.0.0.1, server: _',
            Entry(TIME, 3, b"nginx", b'open() "/x" failed'),
        ),
        (
            "[Sun Nov 22 14:17:29.000000 2026] [core:warn] [pid 1:tid 2] [client 10.0.0.1:5] AH1: no",
            Entry(TIME, 4, b"apache", b"AH1: no"),
        ),
        ("[what]", None),
    ],
)
def test_webserver(line: str, expected: Entry | None) -> None:
    assert webserver.entry(line.encode(), CLOCK) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"time": "2026-11-22T14:17:29Z", "level": "warn", "msg": "no"}, Entry(TIME, 4, b"", b"no")),
        ({"ts": TIME * 1000, "level": 50, "message": "no", "logger": "a"}, Entry(TIME, 3, b"a", b"no")),
        (
            {
                "__REALTIME_TIMESTAMP": f"{TIME * 1e6:.0f}",
                "PRIORITY": "3",
                "SYSLOG_IDENTIFIER": "sshd",
                "MESSAGE": [110, 111],
            },
            Entry(TIME, 3, b"sshd", b"no"),
        ),
        ([], None),
    ],
)
def test_json(row: object, expected: Entry | None) -> None:
    assert structured.entry(json.dumps(row).encode(), CLOCK) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-11-22 14:17:29,000 ERROR no", Entry(TIME, None, b"", b"ERROR no")),
        ("[2026-11-22T14:17:29Z] said", Entry(TIME, None, b"", b"said")),
        (f"{TIME:.0f} said", Entry(TIME, None, b"", b"said")),
        ("  at Main.java", CONTINUED),
        ("said", Entry(None, None, b"", b"said")),
    ],
)
def test_plain(line: str, expected: Entry) -> None:
    assert plain.entry(line.encode(), CLOCK) == expected


COMBINED = '10.0.0.1 - jo [22/Nov/2026:14:17:29 +0000] "GET /a?b=c HTTP/1.1" 200 12 "http://r/" "curl/8"'


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (COMBINED, (b"10.0.0.1", b"/a", b"200", b"12", b"curl/8")),
        (COMBINED.replace("curl", 'a \\" b'), (b"10.0.0.1", b"/a", b"200", b"12", b'a \\" b/8')),
        (
            COMBINED.replace("GET /a?b=c HTTP/1.1", "\\x16\\x03"),
            (b"10.0.0.1", b"\\x16\\x03", b"200", b"12", b"curl/8"),
        ),
        (COMBINED.partition(' "http')[0].replace(" 12", " -"), (b"10.0.0.1", b"/a", b"200", b"-", b"")),
        (COMBINED.replace("jo", "jo with blanks"), (b"10.0.0.1", b"/a", b"200", b"12", b"curl/8")),
        ("::1" + COMBINED[8:], (b"::1", b"/a", b"200", b"12", b"curl/8")),
    ],
)
def test_requests(line: str, expected: tuple[bytes, ...]) -> None:
    """Whatever clients put into them."""
    columns, others = access.Dialect([COMBINED.encode()]).columns(line.encode())
    address, time, path, status, size, agent = (column[0] for column in columns)
    assert (address, path, status, size, agent) == expected
    assert time == b"22/Nov/2026:14:17:29 +0000"
    assert not others


@pytest.mark.parametrize(
    ("tail", "took"),
    [
        (" 0.123", (b"0.123", b"")),
        (' "0.123"', (b"0.123", b"")),
        (' "10.1.1.1, 10.2.2.2" rt=1.500 uct=0.1', (b"1.500", b"")),
        (" 12345", (b"", b"12345")),
        (' "10.1.1.1"', (b"", b"")),
    ],
)
def test_how_long_requests_took(tail: str, took: tuple[bytes, bytes]) -> None:
    """By both expressions."""
    line = (COMBINED + tail).encode()
    request = access.strict(line)
    assert request is not None
    assert (request.took, request.took_micro) == took
    dialect = access.Dialect([(COMBINED + " 0.1").encode()])
    columns, _ = dialect.columns(line)
    assert (columns[6][0], columns[7][0]) == took


def test_virtual_hosts() -> None:
    line = ("example.org:443 " + COMBINED).encode()
    columns, others = access.Dialect([line]).columns(line + b"\n" + line)
    assert columns[0] == (b"10.0.0.1", b"10.0.0.1")
    assert not others


piece = st.text('ab "\\?[]\n-', max_size=12)


@settings(max_examples=80)
@given(
    st.lists(
        st.builds(lambda a, b, c: (COMBINED.replace("/a", a).replace("curl", b) + c).encode(), piece, piece, piece)
    )
)
def test_many_lines_at_once_come_to_the_same_as_each_by_itself(lines: list[bytes]) -> None:
    """The fast expression never takes one line for two, nor two for one."""
    dialect = access.Dialect([COMBINED.encode()])
    chunk = b"\n".join(lines)
    columns, others = dialect.columns(chunk)
    rows = [read[:6] for line in chunk.split(b"\n") if (read := access.strict(line)) is not None]
    assert sorted(zip(*columns, strict=True)) == sorted(rows)
    assert len(rows) + len(others) == sum(1 for line in chunk.split(b"\n") if line)


SAMPLES = {
    "access": COMBINED,
    "syslog": "Nov 22 14:17:29 web sshd[12]: Accepted",
    "postgresql": "2026-11-22 14:17:29.000 UTC [7] ERROR:  no",
    "webserver": "2026/11/22 14:17:29 [error] 7#7: no",
    "json": '{"msg": "no"}',
    "plain": "2026-11-22 14:17:29 said",
}


@pytest.mark.parametrize("name", SAMPLES)
def test_formats_are_recognised(name: str) -> None:
    """Also with a few other lines among them."""
    assert recognise([SAMPLES[name].encode()] * 3 + [b"what", b""], CLOCK) == name


@settings(max_examples=150)
@given(
    st.binary(max_size=200)
    | st.builds(
        lambda line, at, other: line.encode()[:at] + other + line.encode()[at:],
        st.sampled_from(sorted(SAMPLES.values())),
        st.integers(0, 90),
        st.binary(max_size=20),
    )
    | st.dictionaries(
        st.sampled_from(["time", "ts", "level", "msg", "log", "__REALTIME_TIMESTAMP", "MESSAGE", "PRIORITY"]),
        st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), st.lists),
    ).map(lambda row: json.dumps(row).encode())
)
def test_anything_is_an_entry(line: bytes) -> None:
    """Of every format: never an error, whatever a log holds."""
    for name in READERS:
        entry = reader_of(name)(line, CLOCK)
        assert isinstance(entry.message, bytes)
        assert isinstance(entry.program, bytes)
        assert entry.severity is None or 0 <= entry.severity < 8
    access.fits(line)
    access.Dialect([line]).columns(line)
