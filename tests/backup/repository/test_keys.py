"""Key files that were left in a repository to keep others out."""

from __future__ import annotations

import os

import pytest

from backup.errors import DamagedError, WrongPasswordError
from backup.format.crypto import MasterKey
from backup.format.gotime import Moment
from backup.format.keyfile import Cost, KeyFile, derive, encode_key_file, new_key_file, open_key_file
from backup.repository import keys
from backup.repository.files import name_of
from backup.repository.opening import open_repository
from backup.repository.repository import Repository
from backup.stores.contract import FileKind
from backup.stores.memory import MemoryStore

PASSWORD = b"known to whoever broke in"
COST = Cost(1024, 1, 1)
CHEAPER = Cost(16, 1, 1)


def leave(store: MemoryStore, master: MasterKey, cost: Cost = CHEAPER) -> None:
    """A key file that opens with the same password and holds this."""
    file = new_key_file(master, PASSWORD, created=Moment(0), username="", hostname="", cost=cost, random=os.urandom)
    _save(store, file)


def _save(store: MemoryStore, file: KeyFile) -> None:
    content = encode_key_file(file)
    store.save(FileKind.KEY, name_of(content), content)


@pytest.fixture
def repository() -> Repository:
    """One that is in use."""
    return Repository.create(MemoryStore(), PASSWORD, cost=COST)


def test_a_key_that_opens_with_the_password_and_holds_another_keeps_nobody_out(repository: Repository) -> None:
    """Also where half of it is right: that half alone tells that the config is the repository's own."""
    store, right = repository.store, repository.key
    assert isinstance(store, MemoryStore)
    for _ in range(5):
        leave(store, MasterKey.generate())
        leave(store, MasterKey(os.urandom(32), right.mac_k, right.mac_r))
        leave(store, MasterKey(right.encrypt, os.urandom(16), os.urandom(16)))
    assert open_repository(store, PASSWORD).key_name == repository.key_name


def test_keys_that_cost_much_are_tried_last(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifteen of them would keep home busy for minutes each time that it opens the repository."""
    store = repository.store
    assert isinstance(store, MemoryStore)
    for number in range(15):
        _save(store, KeyFile(Moment(number), "", "", Cost(1 << 20, 8, 4), bytes(64), bytes(100)))
    tried: list[Cost] = []

    def open_(file: KeyFile, password: bytes) -> MasterKey:
        tried.append(file.cost)
        return open_key_file(file, password)

    monkeypatch.setattr(keys, "open_key_file", open_)
    open_repository(store, PASSWORD)
    assert tried == [COST]


def test_a_user_who_may_have_no_more_threads_opens_it_all_the_same(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thing after the other."""

    def start(_thread: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(keys.Thread, "start", start)
    assert open_repository(repository.store, PASSWORD).key == repository.key
    with pytest.raises(WrongPasswordError):
        open_repository(repository.store, b"another password")


def test_a_key_that_takes_more_memory_than_there_is_is_one_that_does_not_open(repository: Repository) -> None:
    """With any password: whoever has one that opens another key is let in."""
    with pytest.raises(DamagedError, match="more memory than there is"):
        derive(b"", bytes(64), Cost(2, 256, 1 << 16))
    store = repository.store
    assert isinstance(store, MemoryStore)
    _save(store, KeyFile(Moment(0), "", "", Cost(2, 256, 1 << 16), bytes(64), bytes(100)))
    with pytest.raises(DamagedError):
        open_repository(store, b"another password")
