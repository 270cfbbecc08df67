"""How fast logs grow."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.logs.rules.growth import DAY, FIRST_WORD, Look, looked, rotated
from agent.logs.rules.memory import NAME, Memory


def test_a_steady_log() -> None:
    """Its rate is told after an hour, whenever one looks, and over rotations."""
    look, size = looked(None, size=1000, inode=0, at=0), 1000
    assert look.per_day is None
    now = 0.0
    for number, step in enumerate([60, 600, 1800, 1200, 86400, 7, 400_000]):
        now += step
        size += step * 5
        look = looked(look, size=size, inode=number // 3, at=now)
        if number // 3 != (number + 1) // 3:
            size = 0
            look = rotated(look, size=0, inode=(number + 1) // 3)
        assert (look.per_day is None) == (now < FIRST_WORD)
    assert look.per_day == pytest.approx(5 * DAY)


@given(st.lists(st.tuples(st.floats(-100, 1e6), st.integers(0, 2**40), st.integers(0, 2)), min_size=1, max_size=30))
def test_any_looks(looks: list[tuple[float, int, int]]) -> None:
    """Whatever clocks and files do, a rate is a number, and never negative."""
    now, known = 0.0, looked(None, size=0, inode=0, at=0)
    for passed, size, inode in looks:
        now += passed
        known = looked(known, size=size, inode=inode, at=now)
        if known.per_day is not None:
            assert 0 <= known.per_day < math.inf


def test_memory(tmp_path: Path) -> None:
    """What is known of logs is there again, names that are no UTF-8 too; a damaged file is begun anew."""
    name = "/var/log/caf\udce9.log"
    memory = Memory(tmp_path)
    memory.see(name, size=1, inode=2, at=3)
    memory.see("/var/log/gone", size=1, inode=2, at=3)
    memory.keep([name])
    assert Memory(tmp_path).look(name) == Look(3, 1, 2)
    assert Memory(tmp_path).look("/var/log/gone") is None
    for damaged in (b"", b"[]", b'{"zz": 1}', b'{"zz": {"at": 1, "size": 1, "inode": 1}}', b"\xff"):
        (tmp_path / NAME).write_bytes(damaged)
        assert Memory(tmp_path).look(name) is None
