"""A host asks home for what opens its repository, by a signed request."""

from __future__ import annotations

import secrets

from collector import audit
from collector.credentials import hash_token
from tests.collector import support
from tests.collector.backups.support import Guest, basic, guest
from wire.access import decode_access
from wire.protocol import BACKUP_ACCESS, JSON_TYPE


def test_home_makes_a_credential_and_keeps_its_hash(keeper: support.Home) -> None:
    """What is in the database opens nothing."""
    made = guest(keeper)
    assert made.user == made.host.id == made.repository
    with keeper.database.read() as connection:
        row = connection.exec_driver_sql("SELECT token_hash FROM backup_credentials").one()
    assert row.token_hash == hash_token(made.password)
    [entry] = [one for one in entries(keeper) if one.act == "backup.credential"]
    assert entry.actor == f"host:{made.user}"
    assert made.password not in entry.detail


def entries(home: support.Home) -> list[audit.Entry]:
    """The newest first."""
    with home.database.read() as connection:
        return audit.entries(connection, limit=100)


def test_who_holds_a_good_one_keeps_it(keeper: support.Home, web1: Guest) -> None:
    """So a host may ask before each run; no secret is sent again, and nothing is written."""
    answer = decode_access(web1.ask(held=hash_token(web1.password).hex()).content)
    assert (answer.password, answer.repository, answer.user) == (None, web1.repository, web1.user)
    assert len([one for one in entries(keeper) if one.act == "backup.credential"]) == 1
    assert web1.request("GET", "config").status_code == 200


def test_a_new_one_ends_the_one_before(web1: Guest) -> None:
    """Where the host has lost it, or holds what home does not know."""
    for held in (None, "00" * 32):
        before = web1.password
        answer = decode_access(web1.ask(held=held).content)
        assert answer.password not in (None, before)
        assert web1.request("GET", "config").status_code == 401
        web1.password = answer.password or ""
        assert web1.request("GET", "config").status_code == 200


def test_only_the_host_itself_gets_one(keeper: support.Home, web1: Guest) -> None:
    """Another key, another host's id, another body, or the same request again."""
    other = guest(keeper, "web2")
    headers = {"Content-Type": JSON_TYPE}
    stolen = web1.host.post(BACKUP_ACCESS, b"{}", headers=headers, key=other.host.key)
    assert stolen.json()["error"]["code"] == "bad_signature"
    nonce = secrets.token_urlsafe(16)
    assert web1.host.post(BACKUP_ACCESS, b'{"held":null}', headers=headers, nonce=nonce).status_code == 200
    again = web1.host.post(BACKUP_ACCESS, b'{"held":null}', headers=headers, nonce=nonce)
    assert again.json()["error"]["code"] == "replayed"
    assert other.request("GET", "config").status_code == 404  # its own is as it was


def test_what_is_no_such_request_is_refused(web1: Guest) -> None:
    """In a sentence."""
    for body in (b"", b"[]", b'{"held":1}', b'{"held":"zz"}', b'{"held":"' + b"A" * 64 + b'"}'):
        answer = web1.host.post(BACKUP_ACCESS, body, headers={"Content-Type": JSON_TYPE})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


def test_a_host_cannot_fill_the_audit_log(web1: Guest) -> None:
    """Who asks for one after the other has to wait."""
    codes = [web1.ask().status_code for _ in range(40)]
    assert codes[0] == 200
    assert codes[-1] == 503


def test_a_home_without_backups_says_so(home: support.Home, host: support.Host) -> None:
    """It gives nothing and serves nothing."""
    made = Guest(host)
    answer = made.ask()
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_backups")
    assert home.client.get("/backup/web1/config", headers=basic("web1", "x")).status_code == 404
