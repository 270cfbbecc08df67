"""A stolen enrolment token: what a thief can do with it, and how it is seen. And names that look like others."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from collector import audit
from collector.audit import Entry
from collector.store import hosts
from tests.collector import support
from tests.collector.support import Home, Host


def entries(home: Home) -> list[Entry]:
    """Of the audit log, the newest first."""
    with home.database.read() as connection:
        return audit.entries(connection, limit=1000)


def thief(home: Home) -> Host:
    """With a key of its own."""
    return Host(home.client, home.clock)


def code(answer: httpx.Response) -> str:
    """Of the refusal."""
    return str(answer.json()["error"]["code"])


def test_a_thief_who_comes_late_gets_nothing_and_is_seen(home: Home) -> None:
    """In the audit log each time, and on the host's page once an hour."""
    owner, token = thief(home), home.token()
    owner.enroll(token)
    for name in ("evil", "evil2", "web1"):
        assert code(thief(home).enroll(token, name)) == "token_used"
    found = [entry for entry in entries(home) if entry.act == "enrolment.refused"]
    assert [(entry.actor, entry.subject, entry.detail) for entry in found[::-1]] == [
        ("nobody", f"host:{owner.id}", f"token_used: asked as {name}") for name in ("evil", "evil2", "web1")
    ]
    events = [event for event in home.host()["events"] if event["kind"] == "enrolment.reused"]
    assert [event["state"] for event in events] == ["warning"]
    assert owner.send().status_code == 200
    home.clock.now += 3601
    thief(home).enroll(token)
    assert sum(event["kind"] == "enrolment.reused" for event in home.host()["events"]) == 2


def test_a_thief_who_comes_first_gets_one_new_host_that_everybody_sees(home: Home, host: Host) -> None:
    """It can report as that host and read nothing; the owner is told that the token was used."""
    token = home.token()
    evil = thief(home)
    assert evil.enroll(token, "evil").status_code == 200
    assert code(thief(home).enroll(token, "web2")) == "token_used"
    [seen] = [entry for entry in entries(home) if entry.actor == f"host:{evil.id}"]
    assert (seen.act, seen.detail) == ("host.enrolled", "as evil")
    assert home.host("evil")["events"][-1]["message"].startswith("Enrolled as evil from ")
    for path in ("/api/v1/hosts", f"/api/v1/hosts/{host.id}", "/api/v1/audit"):
        for value in (token, evil.id, f"Bearer {token}"):
            assert home.client.get(path, headers={"Authorization": value}).status_code == 401
    with home.database.write() as connection:
        hosts.revoke(connection, evil.id, home.clock())
    assert code(evil.send()) == "revoked"


def test_a_token_cannot_take_a_name_that_somebody_has(home: Home, host: Host) -> None:
    """Nor one that differs in case alone, nor another host's id."""
    token = home.token()
    for name in ("web1", "WEB1", "Web1", host.id):
        assert code(thief(home).enroll(token, name)) == "name_taken"
    assert home.host()["host"]["id"] == host.id


@pytest.mark.parametrize("name", ["w\u0435b1", "\uff57eb1", "web1\u200b", "web\u2024example", "web1\u202e"])
def test_a_name_that_looks_like_another_is_refused(home: Home, host: Host, name: str) -> None:
    """Cyrillic, full-width, invisible, or turned round."""
    assert code(thief(home).enroll(home.token(), name)) == "bad_request"


def test_an_expired_token_is_refused_and_seen(home: Home) -> None:
    """It may have been lying about."""
    token = home.token(expires=60)
    home.clock.now += 61
    assert code(thief(home).enroll(token)) == "token_expired"
    assert (entries(home)[0].act, entries(home)[0].detail) == ("enrolment.refused", "token_expired: asked as web1")


def test_a_guess_is_refused_without_a_trace_that_fills_the_disk(home: Home) -> None:
    """Anybody can make guesses."""
    before = len(entries(home))
    assert code(thief(home).enroll("hwe_guess")) == "token_unknown"
    assert len(entries(home)) == before


def test_two_that_use_a_token_at_once_become_one_host(data_folder: Path) -> None:
    """Over TLS, against the real server: whoever is second is refused."""
    with support.serving(data_folder) as real:
        token = real.made("token", "create")
        gate = threading.Barrier(8)
        outcomes: list[Any] = []

        def enrol(number: int) -> None:
            with real.client() as client:
                host = Host(client, time.time)
                gate.wait(30)
                answer = host.enroll(token, f"web{number}")
                outcomes.append(answer.json()["host"] if answer.status_code == 200 else code(answer))

        threads = [threading.Thread(target=enrol, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(outcomes, key=len)[:7] == ["token_used"] * 7
        assert len(real.made("host", "list").splitlines()) == 2


def test_the_token_of_another_home_is_worth_nothing(home: Home, tmp_path: Path) -> None:
    """It is known nowhere else."""
    (tmp_path / "elsewhere").mkdir()
    with support.home(tmp_path / "elsewhere") as elsewhere:
        assert code(thief(elsewhere).enroll(home.token())) == "token_unknown"
