"""What clients send: any bytes are a request, the beginning of one, or refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.metrics import request
from agent.metrics.request import RefusedError, parse

PIECES = st.sampled_from(
    [b"GET ", b"/metrics", b" HTTP/1.1", b"\r\n", b"Host: ", b"localhost", b":", b"Content-Length: 0", b"\x00", b" "]
)


@given(st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=20).map(b"".join)))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing else is raised, and no more is taken than there is."""
    try:
        found = parse(data)
    except RefusedError as error:
        assert error.status >= 400
        return
    assert found is None or 0 < found[1] <= len(data)


@given(st.integers(0, 60))
def test_a_part_of_a_request_is_waited_for(cut: int) -> None:
    """However little has come."""
    whole = b"GET /metrics?a=b HTTP/1.1\r\nHost: 127.0.0.1:9843\r\nAccept-Encoding: br, gzip;q=0.5\r\n\r\n"
    assert parse(whole[:cut]) is None
    found = parse(whole + b"GET")
    assert found is not None
    assert found[0] == request.Request("GET", "/metrics", keep=True, gzip=True)
    assert found[1] == len(whole)
