"""Reports that no host of this name made, or that were made for something else."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.collector import support
from tests.collector.support import REPORT_HEADERS, Home, Host
from wire.codec import encode
from wire.report import Reading
from wire.signature import sign

REPORTS = "/api/v1/reports"


def signed(host: Host, body: bytes, **changes: object) -> dict[str, str]:
    """The headers of a request that the host signs, with something else in the place of what is right."""
    given = {
        "method": "POST",
        "target": REPORTS,
        "created": int(host.clock()),
        "nonce": secrets.token_urlsafe(16),
        "key_id": host.id,
        **changes,
    }
    method, target = str(given.pop("method")), str(given.pop("target"))
    return {**REPORT_HEADERS, **sign(host.key, method, target, body, **given)}  # type: ignore[arg-type]


def code(answer: httpx.Response) -> str:
    """Of the refusal."""
    assert answer.status_code >= 400, answer.text
    return str(answer.json()["error"]["code"])


@pytest.fixture
def other(home: Home) -> Host:
    """A second host that is enrolled there."""
    made = Host(home.client, home.clock)
    assert made.enroll(home.token(), "web2").status_code == 200
    return made


FORGERIES: dict[str, tuple[Callable[[Host, bytes], dict[str, str]], str]] = {
    "signed for GET": (lambda host, body: signed(host, body, method="GET"), "bad_signature"),
    "signed for another path": (lambda host, body: signed(host, body, target="/api/v1/enroll"), "bad_signature"),
    "signed for another query": (lambda host, body: signed(host, body, target=f"{REPORTS}?a=b"), "bad_signature"),
    "signed for an absolute target": (
        lambda host, body: signed(host, body, target=f"https://home.test{REPORTS}"),
        "bad_signature",
    ),
    "signed for another body": (lambda host, body: signed(host, body + b"x"), "bad_signature"),
    "signed an hour ago": (lambda host, body: signed(host, body, created=int(host.clock()) - 3600), "clock_skew"),
    "signed in an hour": (lambda host, body: signed(host, body, created=int(host.clock()) + 3600), "clock_skew"),
    "signed in 1970": (lambda host, body: signed(host, body, created=0), "clock_skew"),
    "by a host that is not there": (lambda host, body: signed(host, body, key_id="0" * 16), "unknown_host"),
    "without a signature": (lambda host, body: dict(REPORT_HEADERS), "bad_signature"),
    "with the digest of another body": (
        lambda host, body: {
            **signed(host, body),
            "Content-Digest": signed(host, b"")["Content-Digest"],
        },
        "bad_signature",
    ),
    "with another time": (
        lambda host, body: {
            **(headers := signed(host, body)),
            "Signature-Input": headers["Signature-Input"].replace(f"created={int(host.clock())}", "created=5"),
        },
        "bad_signature",
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_or_altered_report_is_refused_and_changes_nothing(home: Home, host: Host, forgery: str) -> None:
    """Whatever of it was changed; and the true one is taken afterwards."""
    headers, expected = FORGERIES[forgery]
    body = encode(host.report())
    before = home.stored()
    answer = home.client.post(REPORTS, content=body, headers=headers(host, body))
    assert code(answer) == expected
    assert home.stored() == before
    assert home.client.post(REPORTS, content=body, headers=signed(host, body)).status_code == 200


def test_no_host_signs_for_another(home: Home, host: Host, other: Host) -> None:
    """Neither under the other's key id, nor in a report that says it is the other's, nor with a key id swapped in."""
    before = home.stored()
    body = encode(other.report())
    assert code(host.post(REPORTS, body, key_id=other.id)) == "bad_signature"
    assert code(host.post(REPORTS, body)) == "bad_request"
    swapped = signed(host, body)
    swapped["Signature-Input"] = swapped["Signature-Input"].replace(host.id, other.id)
    assert code(home.client.post(REPORTS, content=body, headers=swapped)) == "bad_signature"
    assert home.stored() == before


def test_a_nonce_is_taken_once_also_for_another_report(home: Home, host: Host, other: Host) -> None:
    """But it is no other host's business."""
    nonce = secrets.token_urlsafe(16)
    assert host.send(nonce=nonce).status_code == 200
    assert code(host.send(nonce=nonce)) == "replayed"
    assert other.send(nonce=nonce).status_code == 200


def test_a_sequence_that_is_known_keeps_its_first_content(home: Home, host: Host) -> None:
    """What comes under it again, signed afresh, is answered as a repeat and changes nothing."""
    host.send()
    before = home.host()
    again = host.report(sequence=1, readings=[Reading("cpu", "cpu_used_percent", 99.0, "percent", {}, home.clock())])
    answer = host.send(again)
    assert (answer.status_code, answer.json()["duplicate"]) == (200, True)
    assert home.host() == before


def test_a_request_that_is_replayed_after_a_restart_counts_once(data_folder: Path) -> None:
    """The server forgets the nonces that it saw; the report's number is in the database."""
    with support.serving(data_folder) as real, real.client() as client:
        host = Host(client, time.time)
        assert host.enroll(real.made("token", "create")).status_code == 200
        body = encode(host.report())
        headers = signed(host, body)
        assert client.post(REPORTS, content=body, headers=headers).status_code == 200
        assert code(client.post(REPORTS, content=body, headers=headers)) == "replayed"
    with support.serving(data_folder) as real, real.client() as client:
        answer = client.post(REPORTS, content=body, headers=headers)
        assert (answer.status_code, answer.json()["duplicate"]) == (200, True)
        bearer = {"Authorization": f"Bearer {real.made('api-token', 'create')}"}
        [series] = client.get("/api/v1/hosts/web1/readings", headers=bearer).json()["series"]
        assert len(series["values"]) == 1
