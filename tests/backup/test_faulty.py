"""The store that fails on purpose does so: a fault suite is worth what its faults are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from backup.stores.contract import FileKind, PermanentStoreError, SpooledFile, StoreError
from backup.stores.memory import MemoryStore
from tests.backup.faulty import FAULTS, OPERATIONS, Fault, FaultyStore, Killed

CONTENT = b"some content"
NAME = hashlib.sha256(CONTENT).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


def store(fault: Fault | None = None) -> FaultyStore:
    memory = MemoryStore()
    memory.save(FileKind.KEY, NAME, CONTENT)
    return FaultyStore(memory, fault)


@pytest.mark.parametrize(
    ("what", "there"), [("killed before", False), ("killed after", True), ("killed within", False)]
)
def test_a_kill_ends_everything(what: str, there: bool) -> None:
    """Whether it was done differs; nothing is done afterwards."""
    faulty = store(Fault("save", 2, what))
    faulty.save(FileKind.LOCK, NAME, CONTENT)
    with pytest.raises(Killed):
        faulty.save(FileKind.PACK, OTHER, b"other")
    for operation in (
        lambda: faulty.remove(FileKind.KEY, NAME),
        lambda: faulty.save(FileKind.KEY, OTHER, b"other"),
        lambda: list(faulty.list(FileKind.KEY)),
    ):
        with pytest.raises(Killed):
            operation()
    assert dict(faulty.inner.list(FileKind.KEY)) == {NAME: len(CONTENT)}
    assert bool(dict(faulty.inner.list(FileKind.PACK))) == there
    assert faulty.met


def test_a_kill_within_cuts_the_spooled_file(tmp_path: Path) -> None:
    """As a process does that dies while it writes."""
    (tmp_path / "pack").write_bytes(CONTENT)
    with pytest.raises(Killed):
        store(Fault("save", 1, "killed within")).save(FileKind.PACK, NAME, SpooledFile(tmp_path / "pack", 12))
    assert (tmp_path / "pack").read_bytes() == CONTENT[:6]


def test_failing_once_and_for_ever() -> None:
    """The one passes, the other takes everything with it."""
    faulty = store(Fault("load", 1, "failing once"))
    with pytest.raises(StoreError) as caught:
        faulty.load(FileKind.KEY, NAME)
    assert not caught.value.permanent
    assert faulty.load(FileKind.KEY, NAME) == CONTENT
    faulty = store(Fault("load", 1, "failing for ever"))
    for operation in (lambda: faulty.load(FileKind.KEY, NAME), lambda: faulty.size(FileKind.KEY, NAME)):
        with pytest.raises(PermanentStoreError):
            operation()


def test_a_full_disk_takes_nothing_more_but_lets_go() -> None:
    """Of whatever kind."""
    faulty = store(Fault("save", 1, "disk full", FileKind.PACK))
    faulty.save(FileKind.LOCK, NAME, CONTENT)
    for kind in (FileKind.PACK, FileKind.LOCK):
        with pytest.raises(PermanentStoreError, match="No space"):
            faulty.save(kind, OTHER, b"other")
    faulty.remove(FileKind.LOCK, NAME)


@pytest.mark.parametrize("what", FAULTS["load"])
def test_wrong_and_short_answers(what: str) -> None:
    """One bit, or one byte less."""
    faulty = store(Fault("load", 1, what))
    answer = faulty.load(FileKind.KEY, NAME)
    assert answer != CONTENT
    assert len(answer) == len(CONTENT) - (what == "short bytes")
    assert (faulty.load(FileKind.KEY, NAME) == CONTENT) == (what != "wrong bytes for ever")


def test_a_fault_of_one_kind_counts_that_kind() -> None:
    """The second save of a pack, whatever else is saved between."""
    faulty = store(Fault("save", 2, "failing once", FileKind.PACK))
    for kind in (FileKind.PACK, FileKind.LOCK, FileKind.INDEX):
        faulty.save(kind, NAME, CONTENT)
    with pytest.raises(StoreError):
        faulty.save(FileKind.PACK, NAME, CONTENT)


def test_each_fault_is_met_at_each_call() -> None:
    """What `each_fault` names all happens in a run with the same calls."""

    def run(faulty: FaultyStore) -> None:
        faulty.create()
        faulty.save(FileKind.KEY, OTHER, b"other")
        faulty.load(FileKind.KEY, OTHER)
        faulty.load(FileKind.KEY, NAME)
        faulty.size(FileKind.KEY, NAME)
        list(faulty.list(FileKind.KEY))
        faulty.remove(FileKind.KEY, NAME)

    counting = store()
    run(counting)
    faults = list(counting.each_fault())
    assert len(faults) == 7 * 5 + 2 + 2 * 3
    assert {fault.operation for fault in faults} == set(OPERATIONS)
    for fault in faults:
        faulty = store(fault)
        if fault.what.startswith(("wrong", "short")):
            run(faulty)
        else:
            with pytest.raises((StoreError, Killed)):
                run(faulty)
        assert faulty.met, fault


def test_a_fault_that_there_is_not_is_refused() -> None:
    """Else a test with a slip of the pen would hold nothing."""
    for operation, what in (("load", "disk full"), ("append", "killed before"), ("save", "killed")):
        with pytest.raises(ValueError, match="no such fault"):
            Fault(operation, 1, what)
