"""How a host becomes known: once per token, and again only for itself."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from collector.store import hosts
from tests.collector.support import Home, Host
from wire.report import Enrolment
from wire.signature import generate_key, public_text


def newcomer(home: Home) -> Host:
    """With a key of its own."""
    return Host(home.client, home.clock)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code."""
    assert answer.json()["error"]["message"]
    return answer.status_code, answer.json()["error"]["code"]


def names(home: Home) -> list[str]:
    """Of all hosts."""
    return [one["name"] for one in home.client.get("/api/v1/hosts", headers=home.bearer()).json()["hosts"]]


def test_a_host_with_a_token_becomes_known_and_waits_for_its_first_report(home: Home) -> None:
    """Under the name that it asks for."""
    host = newcomer(home)
    answer = host.enroll(home.token())
    assert (answer.status_code, answer.json()["name"], answer.json()["time"]) == (200, "web1", home.clock())
    assert home.host()["host"]["state"] == "pending"
    assert host.send().status_code == 200
    assert home.host()["host"]["state"] == "ok"


def test_the_same_host_gets_the_same_answer_to_the_same_token(home: Home) -> None:
    """The first answer may have been lost on the way, and the token may have expired meanwhile."""
    host, token = newcomer(home), home.token(expires=60)
    first = host.enroll(token).json()["host"]
    home.clock.now += 61
    assert host.enroll(token).json()["host"] == first
    assert names(home) == ["web1"]


def test_another_host_cannot_use_a_used_token(home: Home) -> None:
    """Also under another name."""
    token = home.token()
    newcomer(home).enroll(token)
    assert refusal(newcomer(home).enroll(token, name="web2")) == (403, "token_used")
    assert names(home) == ["web1"]


def test_a_token_that_expired_is_refused_and_stays_unused(home: Home) -> None:
    """By home's clock."""
    token = home.token(expires=60)
    home.clock.now += 60
    assert refusal(newcomer(home).enroll(token)) == (403, "token_expired")
    assert names(home) == []


def test_a_token_that_was_never_made_is_refused(home: Home) -> None:
    """The sentence tells how one is made."""
    answer = newcomer(home).enroll("hwe_wrong")
    assert refusal(answer) == (401, "token_unknown")
    assert "hostward-collector token create" in answer.json()["error"]["message"]


def test_a_name_that_is_taken_is_refused_and_the_token_can_still_be_used(home: Home, host: Host) -> None:
    """The sentence tells what to do, and doing it works."""
    other, token = newcomer(home), home.token()
    answer = other.enroll(token)
    assert refusal(answer) == (409, "name_taken")
    assert "hostward-collector host revoke web1" in answer.json()["error"]["message"]
    with home.database.write() as connection:
        hosts.revoke(connection, host.id, home.clock())
    assert other.enroll(token).status_code == 200
    assert other.id != host.id
    assert names(home) == ["web1"]


def test_a_host_that_enrols_again_with_a_new_token_stays_the_same_host(home: Home, host: Host) -> None:
    """And may take another name."""
    before = host.id
    assert host.enroll(home.token(), name="web9").json() == {
        "version": 1,
        "host": before,
        "name": "web9",
        "time": home.clock(),
    }
    assert names(home) == ["web9"]


def test_a_revoked_host_cannot_come_back_with_its_used_token(home: Home) -> None:
    """It takes a new one, and gives a new id."""
    host, token = newcomer(home), home.token()
    host.enroll(token)
    before = host.id
    with home.database.write() as connection:
        hosts.revoke(connection, host.id, home.clock())
    assert refusal(host.enroll(token)) == (403, "token_used")
    assert host.enroll(home.token()).status_code == 200
    assert host.id != before


def test_a_key_that_did_not_sign_is_not_announced(home: Home) -> None:
    """Nobody enrols another's key."""
    host, token = newcomer(home), home.token()
    other = public_text(generate_key())
    mine = public_text(host.key)
    body = msgspec.json.encode(Enrolment(token=token, name="web1", public_key=other, agent="0.1.0"))
    headers = {"Content-Type": "application/json"}
    assert refusal(host.post("/api/v1/enroll", body, key_id=mine, headers=headers)) == (400, "bad_request")
    assert refusal(host.post("/api/v1/enroll", body, key_id=other, headers=headers)) == (401, "bad_signature")
    assert names(home) == []
    assert host.enroll(token).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"token": 5}', b"{" * 100_000])
def test_what_is_no_enrolment_is_refused(home: Home, body: bytes) -> None:
    """Whatever it is."""
    host = newcomer(home)
    headers = {"Content-Type": "application/json"}
    answer = host.post("/api/v1/enroll", body, key_id=public_text(host.key), headers=headers)
    assert refusal(answer) in ((400, "bad_request"), (413, "too_large"))


def test_a_skewed_clock_is_told_what_time_it_is(home: Home) -> None:
    """A new machine's clock is often wrong, and it must be able to enrol."""
    host = newcomer(home)
    public = public_text(host.key)
    body = msgspec.json.encode(Enrolment(token=home.token(), name="web1", public_key=public, agent="0.1.0"))
    answer = host.post("/api/v1/enroll", body, key_id=public, created=5, headers={"Content-Type": "application/json"})
    assert refusal(answer) == (401, "clock_skew")
    assert answer.json()["error"]["time"] == home.clock()
