"""A key that one opening leaves for the next."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import NoReturn

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.backups.watch.protocol import MAX_QUESTION, KeepKey, encode_question
from backup.errors import WrongPasswordError
from backup.format.crypto import MasterKey
from backup.format.gotime import Moment
from backup.format.keyfile import Cost, encode_key_file, new_key_file
from backup.repository import opening
from backup.repository.kept import keep, open_kept
from backup.repository.keys import add_key, remove_key
from backup.repository.opening import open_repository
from backup.repository.repository import Repository
from backup.stores.memory import MemoryStore

PASSWORD = b"told to each run"
COST = Cost(1024, 1, 1)
NAME = "ab" * 32
MASTER = MasterKey.generate()
KEPT = keep(NAME, MASTER, PASSWORD)


class Keeper:
    """Somebody's memory."""

    kept = b""

    def recall(self) -> bytes | None:
        return self.kept

    def keep(self, kept: bytes) -> None:
        self.kept = kept


@pytest.fixture
def repository() -> Repository:
    """One that is in use."""
    return Repository.create(MemoryStore(), PASSWORD, cost=COST)


def forbid_deriving(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key file of the repository is tried from now on."""

    def search_key(*_words: object, **_options: object) -> NoReturn:
        raise AssertionError("the key was derived")

    monkeypatch.setattr(opening, "search_key", search_key)


def test_the_second_opening_derives_no_key(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does the third; it is the same repository, opened by the same key."""
    keeper = Keeper()
    open_repository(repository.store, PASSWORD, keeper=keeper)
    kept = keeper.kept
    forbid_deriving(monkeypatch)
    for _ in range(2):
        again = open_repository(repository.store, PASSWORD, keeper=keeper)
        assert (again.key, again.key_name) == (repository.key, repository.key_name)
        assert again.config == repository.config
        assert keeper.kept == kept
    with pytest.raises(AssertionError):
        open_repository(repository.store, PASSWORD, keeper=keeper, key_hint="f" * 64)


def test_it_opens_nothing_with_another_password(repository: Repository) -> None:
    """And is not kept any longer."""
    keeper = Keeper()
    open_repository(repository.store, PASSWORD, keeper=keeper)
    with pytest.raises(WrongPasswordError):
        open_repository(repository.store, b"another", keeper=keeper)
    assert keeper.kept == b""


def test_nothing_is_made_for_nobody(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no keeper answers, it is not asked a second time."""
    keeper = Keeper()
    monkeypatch.setattr(keeper, "recall", lambda: None)
    open_repository(repository.store, PASSWORD, keeper=keeper)
    assert keeper.kept == b""


def test_a_password_that_was_taken_away_opens_nothing(repository: Repository) -> None:
    """Though what it opened is still kept."""
    keeper = Keeper()
    open_repository(repository.store, PASSWORD, keeper=keeper)
    other = add_key(repository.store, repository.key, b"second", cost=COST)
    remove_key(repository.store, repository.key_name, current=other)
    with pytest.raises(WrongPasswordError):
        open_repository(repository.store, PASSWORD, keeper=keeper)
    assert keeper.kept == b""
    assert open_repository(repository.store, b"second", keeper=keeper).key_name == other
    assert open_repository(repository.store, b"second", keeper=keeper).key_name == other


def test_a_key_that_is_not_the_repositorys_is_derived_anew(repository: Repository) -> None:
    """As where another repository has come into the place of the one before, with its key file."""
    keeper = Keeper()
    keeper.kept = keep(repository.key_name, MasterKey.generate(), PASSWORD)
    assert open_repository(repository.store, PASSWORD, keeper=keeper).key == repository.key
    assert open_kept(keeper.kept, PASSWORD, [repository.key_name]) == (repository.key_name, repository.key)


def test_what_is_kept_holds_no_key_in_the_open_and_goes_into_a_question() -> None:
    """Neither the master key nor the password can be read from it."""
    master = MasterKey.generate()
    kept = keep(NAME, master, PASSWORD)
    for secret in (PASSWORD, master.encrypt, master.mac_k, master.mac_r):
        assert secret not in kept
    assert len(encode_question(KeepKey(kept=kept))) <= MAX_QUESTION
    assert keep(NAME, master, PASSWORD) != kept


def test_one_that_costs_more_or_less_is_not_taken() -> None:
    """Whoever keeps it could make a run wait for it, or would be told that the password is right."""
    file = new_key_file(
        MASTER, PASSWORD, created=Moment(0), username="", hostname="", cost=Cost(16, 1, 1), random=os.urandom
    )
    for cost in (file.cost, Cost(1 << 20, 8, 4)):
        data = encode_key_file(replace(file, cost=cost))
        assert open_kept(msgspec.msgpack.encode([NAME, data]), PASSWORD, [NAME]) is None


@given(st.data())
def test_whatever_else_is_kept_opens_nothing(data: st.DataObject) -> None:
    """Any bytes, and what was kept with some of them changed."""
    kept = bytearray(KEPT)
    for _ in range(data.draw(st.integers(1, 4))):
        kept[data.draw(st.integers(0, len(kept) - 1))] ^= data.draw(st.integers(1, 255))
    for text in (bytes(kept), data.draw(st.binary()), KEPT[: data.draw(st.integers(0, len(KEPT) - 1))]):
        found = open_kept(text, PASSWORD, [NAME])
        assert found is None or found == (NAME, MASTER)
