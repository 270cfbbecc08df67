"""Passwords that are guessed, sessions that are planted or stolen, and pages of other sites."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from collector import audit, credentials
from collector.audit import MAX_STRANGE, Entry, Strangers
from collector.auth import COOKIE, Auth, account_key
from collector.credentials import hash_password
from collector.rules.login import ACCOUNT, ADDRESS, FORGOTTEN, LOCKED, SLOWEST, Attempts, failed, network, wait
from collector.store import accounts, attempts
from collector.store.database import open_database
from tests.collector import support
from tests.collector.support import Home
from tests.conftest import COSTLY

PASSWORD = "correct horse battery staple"
SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def anna(home: Home) -> str:
    """A person who may log in."""
    with home.database.write() as connection:
        accounts.add_account(connection, "anna", hash_password(PASSWORD), "viewer", home.clock())
    return "anna"


def login(home: Home, name: str = "anna", password: str = PASSWORD, **headers: str) -> httpx.Response:
    """By the page's form."""
    return home.client.post("/login", data={"name": name, "password": password}, headers={**SAME, **headers})


def entries(home: Home, act: str) -> list[Entry]:
    """Those of this act, the oldest first."""
    with home.database.read() as connection:
        return [entry for entry in audit.entries(connection, limit=5000)[::-1] if entry.act == act]


def guess(home: Home, name: str) -> int:
    """Guess as fast as one may until it is locked; how many guesses were looked at."""
    looked_at = 0
    while True:
        answer = login(home, name, "wrong")
        if answer.status_code == 401:
            looked_at += 1
        elif (pause := int(answer.headers["retry-after"])) <= SLOWEST:
            home.clock.now += pause
        else:
            return looked_at


@pytest.mark.parametrize("name", ["anna", "nobody"])
def test_guesses_are_slowed_and_then_locked_whether_or_not_there_is_such_a_user(
    home: Home, anna: str, name: str
) -> None:
    """The same answers, and the right password opens nothing while it is locked."""
    assert [login(home, name, "wrong").status_code for _ in range(4)] == [401, 401, 401, 429]
    assert guess(home, name) + 3 == ACCOUNT.most
    assert login(home, name, PASSWORD).status_code == 429
    known = "user:anna" if name == "anna" else "a name that nobody has"
    assert [entry.subject for entry in entries(home, "login.failed")] == [known] * ACCOUNT.most
    [locked] = entries(home, "login.locked")
    assert (locked.subject, locked.detail) == (known, "user for 15m")


def test_a_lock_ends_by_itself_and_a_login_clears_it(home: Home, anna: str) -> None:
    """A quarter of an hour later, and then there are free attempts again."""
    guess(home, anna)
    home.clock.now += LOCKED
    assert login(home).status_code == 303
    home.clock.now += SLOWEST  # what failed still counts for the address
    assert login(home, password="wrong").status_code == 401


def test_guessing_at_many_names_is_locked_by_address(home: Home) -> None:
    """One password for all users is the usual way."""
    statuses = [login(home, f"user{number}", "Winter2026").status_code for number in range(ADDRESS.free + 1)]
    assert statuses == [401] * ADDRESS.free + [429]


def test_guesses_that_come_all_at_once_count_as_well(home: Home, anna: str) -> None:
    """Each counts before its password is looked at."""

    async def rush() -> list[Any]:
        auth = Auth(home.database, home.clock, Strangers())
        return await asyncio.gather(
            *(auth.login("anna", "wrong", "192.0.2.1") for _ in range(15)), return_exceptions=True
        )

    outcomes = asyncio.run(rush())
    assert outcomes.count(None) == ACCOUNT.free


def test_no_header_says_where_a_guess_comes_from(home: Home, anna: str) -> None:
    """Else a guesser would have as many addresses as there are numbers."""
    for number in range(ACCOUNT.free):
        login(home, password="wrong", **{"X-Forwarded-For": f"192.0.2.{number}", "Forwarded": "for=192.0.2.99"})
    answer = login(home, **{"X-Forwarded-For": "192.0.2.77", "X-Real-IP": "192.0.2.78"})
    assert answer.status_code == 429
    assert not any("192.0.2" in entry.address for entry in entries(home, "login.failed"))


def test_an_administrator_unlocks(data_folder: Path) -> None:
    """By a command, which the audit log names with who ran it; the lock outlives a restart."""
    support.run("user", "create", "anna", "--data-dir", str(data_folder), input=PASSWORD + "\n")
    database = open_database(data_folder / "collector.db")
    with database.write() as connection:
        attempts.save(connection, account_key("anna"), Attempts(ACCOUNT.most, time.time()))
    database.close()
    with support.serving(data_folder) as real, real.client() as client:
        form = {"name": "anna", "password": PASSWORD}
        assert client.post("/login", data=form, headers=SAME).status_code == 429
        real.made("user", "unlock", "anna")
        assert client.post("/login", data=form, headers=SAME).status_code == 303
        assert "login.unlocked" in real.made("audit", "list")
        done = support.run("user", "unlock", "anna", "--data-dir", str(data_folder))
        assert (done.returncode, "not locked" in done.stderr) == (1, True)


@pytest.fixture
def costly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hashing takes as long as it does outside of tests."""
    monkeypatch.setattr(credentials, "_hasher", COSTLY)
    credentials.nobody.cache_clear()
    yield
    credentials.nobody.cache_clear()


def test_a_name_that_nobody_has_takes_as_long_as_another(costly: None, home: Home, anna: str) -> None:
    """The hash is what takes time, and it is made for both: the medians are near each other."""

    assert hash_password("any").startswith("$argon2id$v=19$m=65536,t=3,p=4$")

    async def timed(auth: Auth, name: str) -> float:
        begun = time.process_time()
        assert await auth.login(name, "wrong", "192.0.2.1") is None
        return time.process_time() - begun

    async def compare() -> tuple[list[float], list[float]]:
        auth = Auth(home.database, home.clock, Strangers())
        known, unknown = [], []
        for _ in range(5):
            home.clock.now += FORGOTTEN + 1
            known.append(await timed(auth, "anna"))
            unknown.append(await timed(auth, "nobody"))
        return known, unknown

    known, unknown = asyncio.run(compare())
    ratio = statistics.median(known) / statistics.median(unknown)
    assert 0.3 < ratio < 3


def test_what_is_written_of_strangers_is_bounded_and_the_rest_counted(home: Home) -> None:
    """A botnet fills no disk."""
    strangers = Strangers()
    with home.database.write() as connection:
        for number in range(MAX_STRANGE + 5):
            strangers.append(connection, "login.failed", now=number / 1000, subject="", address="")
        strangers.append(connection, "login.failed", now=3700.0, subject="", address="")
    found = entries(home, "login.failed")
    assert len(found) == MAX_STRANGE + 1
    assert found[-1].detail == "5 entries before it were too many to be written"


def test_a_login_opens_a_session_of_its_own_and_ends_the_one_before(home: Home, anna: str) -> None:
    """A cookie that somebody planted is no session afterwards, nor is the browser's old one."""
    planted = "hws_" + "A" * 43
    first = login(home, Cookie=f"{COOKIE}={planted}").cookies[COOKIE]
    home.client._client.cookies.clear()
    assert first != planted
    second = login(home, Cookie=f"{COOKIE}={first}").cookies[COOKIE]
    home.client._client.cookies.clear()
    for token, status in ((planted, 401), (first, 401), (second, 200)):
        answer = home.client.get("/api/v1/hosts", headers={"Cookie": f"{COOKIE}={token}"})
        assert answer.status_code == status


def test_the_cookie_is_for_this_host_over_tls_and_for_no_script(home: Home, anna: str) -> None:
    """And what it opened is kept by no cache."""
    answer = login(home)
    name, *flags = answer.headers["set-cookie"].split("; ")
    assert name.startswith("__Host-")
    assert {"Secure", "HttpOnly", "SameSite=lax", "Path=/"} <= set(flags)
    assert not any(flag.lower().startswith("domain") for flag in flags)
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["strict-transport-security"].partition("=")[2]) >= 31_536_000


@pytest.mark.parametrize("path", ["/login", "/logout"])
@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.test"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {}],
)
def test_no_form_of_another_site_logs_in_or_out(home: Home, anna: str, path: str, headers: dict[str, str]) -> None:
    """Without a token in the form: the browser says where it comes from."""
    session = login(home).cookies[COOKIE]
    home.client._client.cookies.clear()
    cookie = {"Cookie": f"{COOKIE}={session}"}
    answer = home.client.post(path, data={"name": "anna", "password": PASSWORD}, headers={**headers, **cookie})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert home.client.get("/api/v1/hosts", headers=cookie).status_code == 200


@pytest.mark.parametrize("path", ["/login", "/", "/hosts/x", "/api/v1/hosts", "/healthz", "/static/x/app.css"])
def test_no_other_site_frames_a_page(home: Home, path: str) -> None:
    """Whatever it is, also where it is refused."""
    headers = home.client.get(path).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    "target",
    [
        "//evil.test",
        "https://evil.test/",
        "/\\evil.test",
        "\\\\evil.test",
        "/\t/evil.test",
        "javascript:alert(1)",
        "/%2f/evil.test/..//evil.test",
        "http:evil.test",
        " //evil.test",
        "/\r\nSet-Cookie: a=b",
        "///evil.test",
    ],
)
def test_a_login_leads_nowhere_else(home: Home, anna: str, target: str) -> None:
    """To a path of this home, whatever the address of the login page said."""
    answer = home.client.post("/login", data={"name": "anna", "password": PASSWORD, "next": target}, headers={**SAME})
    assert answer.status_code == 303
    where = httpx.URL("https://home.test/login").join(answer.headers["location"])
    assert where.host == "home.test"
    assert answer.headers["location"].startswith("/")
    assert not answer.headers["location"].startswith(("//", "/\\"))


def test_each_wait_doubles_until_the_lock() -> None:
    """1 s, 2 s, 4 s…; then a quarter of an hour."""
    found, waits = Attempts(), []
    for _ in range(ACCOUNT.most):
        found = failed(found, 1000.0)
        waits.append(wait(found, ACCOUNT, 1000.0))
    assert waits == [0, 0, 1, 2, 4, 8, 16, 32, 60, LOCKED]
    assert wait(found, ACCOUNT, 1000.0 + LOCKED) == 0
    assert wait(failed(found, 1000.0 + LOCKED), ACCOUNT, 1000.0 + LOCKED) == LOCKED
    assert wait(found, ACCOUNT, 1000.0 + FORGOTTEN + 1) == 0
    assert wait(found, ACCOUNT, 0.0) == LOCKED  # the clock was set back


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_what_one_person_has_counts_as_one_address(address: str, counted: str) -> None:
    """A /64 of IPv6 is given to one household."""
    assert network(address) == counted
