"""What the journal of each unit takes, of real journals."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.logs import journal_usage
from agent.logs.journal import JournalError
from agent.logs.journal_usage import ENTRY, KERNEL, OTHER, TOO_LONG, Weights, read_on, shares, size_of, weight
from tests.agent.checks.journals import write_journal


def never() -> bool:
    return False


def entries(number: int, unit: str, message: str | bytes = "x" * 100) -> list[dict[str, str | bytes]]:
    return [{"MESSAGE": message, "_SYSTEMD_UNIT": unit} for _ in range(number)]


def test_each_unit_has_its_share(tmp_path: Path) -> None:
    """By its entries and their length; who has no unit counts by name, the kernel and sessions as one each."""
    folder = tmp_path / "journal"
    others: list[dict[str, str | bytes]] = [
        {"MESSAGE": "hello", "_TRANSPORT": "kernel", "SYSLOG_IDENTIFIER": "kernel"},
        {"MESSAGE": "hello", "SYSLOG_IDENTIFIER": "cron"},
        {"MESSAGE": "hello"},
        *entries(1, "session-3.scope", "hello"),
        *entries(1, "session-c14.scope", "hello"),
    ]
    long = entries(1, "long.service", "x" * 9000) + entries(1, "bytes.service", b"\xff\xfe")
    write_journal(folder, [*entries(30, "web.service"), *entries(10, "db.service"), *others, *long])
    weights = Weights()
    assert read_on(weights, [f"--directory={folder}"], never)
    found = weights.by_unit()
    assert found == {
        "web.service": 30 * (ENTRY + 100),
        "db.service": 10 * (ENTRY + 100),
        KERNEL: ENTRY + 5,
        "(cron)": ENTRY + 5,
        OTHER: ENTRY + 5,
        "session.scope": 2 * (ENTRY + 5),
        "long.service": ENTRY + TOO_LONG,
        "bytes.service": ENTRY + 2,
    }
    size = size_of([str(tmp_path)])
    assert size >= 2**16
    by_unit = shares(found, size)
    assert next(iter(by_unit)) == "web.service"
    assert by_unit["web.service"] == pytest.approx(3 * by_unit["db.service"], abs=3)
    assert 0 <= size - sum(by_unit.values()) < len(by_unit)


def test_entries_are_counted_once_and_forgotten_with_the_journal(tmp_path: Path) -> None:
    """A look goes on where the last one ended; a day that the journal does not have any more is dropped."""
    folder = tmp_path / "journal"
    weights = Weights()
    write_journal(folder, entries(5, "web.service"))
    assert read_on(weights, [f"--directory={folder}"], never)
    assert read_on(weights, [f"--directory={folder}"], never)
    assert weights.by_unit() == {"web.service": 5 * (ENTRY + 100)}
    write_journal(folder, entries(2, "db.service"), first=5)
    assert read_on(weights, [f"--directory={folder}"], never)
    assert weights.by_unit() == {"web.service": 5 * (ENTRY + 100), "db.service": 2 * (ENTRY + 100)}
    (day,) = weights.days
    weights.days[day - 1] = {"gone.service": 10}
    assert read_on(weights, [f"--directory={folder}"], never)
    assert "gone.service" not in weights.by_unit()
    (folder / "remote.journal").unlink()
    assert read_on(weights, [f"--directory={folder}"], never)
    assert weights == Weights()


def test_a_look_that_takes_too_long_is_gone_on_with(tmp_path: Path) -> None:
    """What was read by then counts once."""
    folder = tmp_path / "journal"
    write_journal(folder, entries(50, "web.service"))
    weights = Weights()
    assert not read_on(weights, [f"--directory={folder}"], lambda: True)
    assert read_on(weights, [f"--directory={folder}"], never)
    assert weights.by_unit() == {"web.service": 50 * (ENTRY + 100)}


def test_more_units_than_are_told_apart_are_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes units by the thousand takes no memory for each."""
    monkeypatch.setattr(journal_usage, "MOST_UNITS", 2)
    folder = tmp_path / "journal"
    write_journal(folder, [entry for number in range(4) for entry in entries(1, f"u{number}.service", "")])
    weights = Weights()
    read_on(weights, [f"--directory={folder}"], never)
    assert weights.by_unit() == {"u0.service": ENTRY, "u1.service": ENTRY, OTHER: 2 * ENTRY}


def test_a_journal_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """In journalctl's words."""
    with pytest.raises(JournalError):
        read_on(Weights(), [f"--directory={tmp_path / 'none'}"], never)


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=5), st.integers(1, 10**9), max_size=8), st.integers(0, 10**12))
def test_shares_never_come_to_more_than_there_is(weights: dict[str, int], size: int) -> None:
    """And are in order."""
    found = shares(weights, size)
    assert sum(found.values()) <= size
    assert sorted(found.values(), reverse=True) == list(found.values())
    assert found.keys() == weights.keys()


@pytest.mark.parametrize(("message", "bytes"), [("", 0), ([1, 2, 3], 3), (["ab", "c"], 3), (None, TOO_LONG)])
def test_an_entry_weighs_by_its_message(message: object, bytes: int) -> None:
    """However journalctl prints it."""
    assert weight(message) == ENTRY + bytes
