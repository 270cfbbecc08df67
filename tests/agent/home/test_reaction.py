"""What each answer from home means for the report."""

from __future__ import annotations

from email.utils import formatdate

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.home.reaction import Delivered, Later, Refused, SignAgain, judge
from wire.errors import REFUSALS
from wire.report import Problem, Refusal, Reply

NOW = 1_700_000_000.0


def refusal(code: str, *, permanent: bool = True, time: float | None = None) -> bytes:
    """A body."""
    return msgspec.json.encode(Refusal(Problem(code=code, message="because", permanent=permanent, time=time)))


def test_a_reply_is_a_delivery() -> None:
    reply = Reply(time=NOW, duplicate=True, interval=60)
    assert judge(200, msgspec.json.encode(reply), None, now=NOW) == Delivered(reply)


@pytest.mark.parametrize("code", ["bad_request", "malformed_report", "too_large"])
def test_a_report_at_fault_is_given_up(code: str) -> None:
    """It would be refused for ever, and those behind it wait."""
    assert isinstance(judge(400, refusal(code), None, now=NOW), Refused)


@pytest.mark.parametrize("code", ["unsupported_version", "bad_signature", "unknown_host", "revoked"])
def test_a_report_is_kept_where_a_person_must_act(code: str) -> None:
    """Slowly, and with home's words."""
    verdict = judge(401, refusal(code), "5", now=NOW)
    assert isinstance(verdict, Later)
    assert verdict.slowly
    assert verdict.after is None
    assert "because" in verdict.message


def test_a_signature_at_fault_is_made_again() -> None:
    assert judge(401, refusal("clock_skew", time=12.5), None, now=NOW) == SignAgain(
        "the collector refuses (clock_skew): because", 12.5
    )
    assert isinstance(judge(401, refusal("replayed"), None, now=NOW), SignAgain)


def test_every_code_of_the_wire_has_its_reaction() -> None:
    """A code that is added without one would be waited out for ever."""
    for code, meaning in REFUSALS.items():
        verdict = judge(meaning.status, refusal(code, permanent=meaning.permanent), None, now=NOW)
        if meaning.permanent and not isinstance(verdict, Refused):
            assert isinstance(verdict, Later)
            assert verdict.slowly, code
        elif code != "unsupported_version":
            assert verdict != Later(getattr(verdict, "message", ""), slowly=True), code


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_server_in_trouble_never_costs_a_report(status: int) -> None:
    """Whatever it says: even the code of a refusal for good is not believed from a 5xx."""
    for body in (refusal("busy"), refusal("malformed_report"), b"<html>", b""):
        verdict = judge(status, body, "7", now=NOW)
        assert isinstance(verdict, Later)
        assert (verdict.slowly, verdict.after) == (False, 7)


def test_a_code_of_a_later_version_never_costs_a_report() -> None:
    assert judge(400, refusal("later"), None, now=NOW) == Later("the collector refuses (later): because", slowly=True)
    assert judge(400, refusal("later", permanent=False), None, now=NOW) == Later(
        "the collector refuses (later): because"
    )


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 413, 422])
@pytest.mark.parametrize(
    "body", [b"", b"<html>no</html>", b"{}", b'{"error":', b'{"error":{}}', b"\xff", b"[]", b"null"]
)
def test_nonsense_never_costs_a_report(status: int, body: bytes) -> None:
    """A proxy, a captive portal, another server on that port."""
    verdict = judge(status, body, None, now=NOW)
    assert isinstance(verdict, Later)
    assert not verdict.slowly
    assert str(status) in verdict.message


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("9" * 30, 999999999.0),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("Fri, 31 Dec 9999999 23:59:59 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    """RFC 9110; anything else is as if it were not there."""
    verdict = judge(503, b"", header, now=NOW)
    assert isinstance(verdict, Later)
    assert verdict.after == seconds


@given(st.integers(100, 999), st.binary(max_size=100), st.none() | st.text(max_size=40))
def test_no_answer_raises_or_loses_a_report(status: int, body: bytes, retry_after: str | None) -> None:
    assert isinstance(judge(status, body, retry_after, now=NOW), Later)


def test_what_home_says_is_one_line_that_cannot_steer_a_terminal() -> None:
    body = msgspec.json.encode(Refusal(Problem(code="revoked", message="a\n\x1b[2Jb" + "c" * 10_000)))
    verdict = judge(403, body, None, now=NOW)
    assert isinstance(verdict, Later)
    assert verdict.message.isprintable()
    assert len(verdict.message) < 600
