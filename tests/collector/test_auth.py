"""Sessions and API tokens: who is let in, for how long, and as what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from collector.api.problems import ApiError
from collector.audit import Strangers
from collector.auth import Auth, may
from collector.credentials import MAX_PASSWORD, hash_password, hash_token, new_token
from collector.store import accounts
from collector.store.accounts import ROLES, SESSION_IDLE, SESSION_LIFETIME, User
from collector.store.database import Database, open_database
from collector.store.place import Place
from collector.store.tables import api_tokens, metadata, sessions
from tests.collector.support import NOW, Clock

PASSWORD = "correct horse battery staple"


@pytest.fixture
def clock() -> Clock:
    """Stands still."""
    return Clock()


@pytest.fixture
def database(db_place: Place) -> Iterator[Database]:
    """With the user anna."""
    made = open_database(db_place)
    with made.write() as connection:
        accounts.add_account(connection, "anna", hash_password(PASSWORD), "operator", NOW)
    yield made
    made.close()


@pytest.fixture
def auth(database: Database, clock: Clock) -> Auth:
    """Of that database."""
    return Auth(database, clock, Strangers())


def login(auth: Auth) -> str:
    """A new session of anna's."""
    token = asyncio.run(auth.login("anna", PASSWORD, "192.0.2.1"))
    assert token is not None
    return token


def test_the_right_password_opens_a_session_with_the_users_role(auth: Auth) -> None:
    """Each login has its own."""
    first, second = login(auth), login(auth)
    assert first != second
    assert asyncio.run(auth.session(first)) == User("anna", "operator")


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("anna", "wrong"),
        ("anna", ""),
        ("anna", PASSWORD.upper()),
        ("nobody", PASSWORD),
        ("", ""),
        ("anna", "x" * (MAX_PASSWORD + 1)),
        ("anna", "\ud800"),
    ],
)
def test_anything_else_opens_none(auth: Auth, database: Database, name: str, password: str) -> None:
    """Whatever is wrong, the answer is the same."""
    assert asyncio.run(auth.login(name, password, "192.0.2.1")) is None
    with database.read() as connection:
        assert connection.execute(select(sessions)).all() == []


def test_a_logout_ends_that_session_alone(auth: Auth) -> None:
    """The person's other browser stays."""
    first, second = login(auth), login(auth)
    asyncio.run(auth.logout(first, "192.0.2.1"))
    assert asyncio.run(auth.session(first)) is None
    assert asyncio.run(auth.session(second)) is not None


def test_a_session_ends_when_it_is_not_used(auth: Auth, clock: Clock) -> None:
    """Use keeps it, up to its lifetime."""
    token = login(auth)
    for _ in range(4):
        clock.now += SESSION_IDLE - 1
        assert asyncio.run(auth.session(token)) is not None
    clock.now += SESSION_IDLE + 1
    assert asyncio.run(auth.session(token)) is None


def test_a_session_ends_with_its_lifetime_however_it_is_used(auth: Auth, clock: Clock) -> None:
    """A stolen one does not last for ever."""
    token = login(auth)
    while clock.now < NOW + SESSION_LIFETIME:
        assert asyncio.run(auth.session(token)) is not None
        clock.now += SESSION_IDLE / 2
    assert asyncio.run(auth.session(token)) is None


def test_a_new_password_ends_the_persons_sessions(auth: Auth, database: Database) -> None:
    """Whoever knew the old one is out."""
    token = login(auth)
    with database.write() as connection:
        account = accounts.find_account(connection, "anna")
        assert account is not None
        accounts.set_password(connection, account.id, hash_password("another one"))
    assert asyncio.run(auth.session(token)) is None
    assert asyncio.run(auth.login("anna", PASSWORD, "192.0.2.1")) is None
    assert asyncio.run(auth.login("anna", "another one", "192.0.2.1")) is not None


def test_a_user_who_is_deleted_has_no_session(auth: Auth, database: Database) -> None:
    """At once."""
    token = login(auth)
    with database.write() as connection:
        account = accounts.find_account(connection, "anna")
        assert account is not None
        accounts.delete_account(connection, account.id)
    assert asyncio.run(auth.session(token)) is None


def test_logins_that_pile_up_are_told_to_come_back(auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were taken are answered, and afterwards there is room again."""
    monkeypatch.setattr("collector.auth.LOGINS", 3)

    async def rush() -> list[str | BaseException | None]:
        return await asyncio.gather(
            *(auth.login("anna", PASSWORD, "192.0.2.1") for _ in range(5)), return_exceptions=True
        )

    outcomes = asyncio.run(rush())
    assert [isinstance(one, str) for one in outcomes] == [True, True, True, False, False]
    assert {one.status for one in outcomes if isinstance(one, ApiError)} == {503}
    assert login(auth)


@pytest.mark.parametrize("token", ["", "x", "hws_unknown", "\ud800", "a" * 10_000])
def test_an_unknown_token_is_nobodys(auth: Auth, token: str) -> None:
    """Of either kind, whatever it holds."""
    assert asyncio.run(auth.session(token)) is None
    assert asyncio.run(auth.bearer(token)) is None


def test_an_api_token_has_its_role_until_it_expires(auth: Auth, database: Database, clock: Clock) -> None:
    """And its use is noted."""
    token, token_hash = new_token("hwa")
    with database.write() as connection:
        accounts.add_api_token(
            connection, "t1", token_hash, role="viewer", description="", now=NOW, expires=NOW + 100
        )
    assert asyncio.run(auth.bearer(token)) == User("token t1", "viewer")
    with database.read() as connection:
        assert connection.execute(select(api_tokens.c.used)).scalar() == NOW
    clock.now += 101
    assert asyncio.run(auth.bearer(token)) is None


def test_a_session_is_no_api_token(auth: Auth) -> None:
    """What a browser holds cannot be used elsewhere, nor the other way round."""
    assert asyncio.run(auth.bearer(login(auth))) is None


def test_neither_passwords_nor_tokens_are_stored(auth: Auth, database: Database) -> None:
    """Only what they are recognised by."""
    token = login(auth)
    with database.read() as connection:
        stored = "".join(
            repr(tuple(row)) for table in metadata.sorted_tables for row in connection.execute(select(table))
        )
    assert PASSWORD not in stored
    assert token not in stored
    assert repr(hash_token(token)) in stored
    assert "$argon2id$" in stored


def test_each_role_may_what_those_before_it_may() -> None:
    """viewer, operator, admin."""
    for place, role in enumerate(ROLES):
        assert [may(User("x", role), needed) for needed in ROLES] == [number <= place for number in range(len(ROLES))]
