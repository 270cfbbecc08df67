"""Whatever a change on a host runs into, it is put back and told."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from deploys.onhost import apply, home
from deploys.onhost.course import Steps
from deploys.onhost.parts import ApplyError

ERRORS = (ApplyError("it failed"), OSError("it failed"), sqlite3.OperationalError("it failed"), KeyError("it failed"))


def result(folder: Path, program: Any, monkeypatch: pytest.MonkeyPatch, **failing: Exception) -> dict[str, Any]:
    """What is told where the named steps fail, and nothing else is done but remember."""
    monkeypatch.setattr(program, "forget", lambda folder: (folder / "before.json").unlink())
    for step in set(Steps._fields) - {"forget"}:

        def work(*given: Any, step: str = step) -> None:
            if step == "remember":
                (given[1] / "before.json").touch()
            if step in failing:
                raise failing[step]

        monkeypatch.setattr(program, step, work)
    (folder / "plan.json").write_text("{}")
    program.main(folder)
    assert not (folder / "plan.json").exists()
    told: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return told


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("program", [apply, home])
def test_a_change_is_told_whatever_it_ran_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Any, error: Exception
) -> None:
    """Before it, in it, and in putting back: what this run changed, and what one left that was cut down."""
    assert result(tmp_path, program, monkeypatch) == {"ok": True, "reason": "", "outcome": ""}
    left = {"ok": False, "reason": str(error), "outcome": "left_alone"}
    assert result(tmp_path, program, monkeypatch, check=error) == left
    assert result(tmp_path, program, monkeypatch, watch=error) == {**left, "outcome": "rolled_back"}
    (tmp_path / "before.json").unlink()
    both = f"{error}; and it cannot be put back: {error}"
    broken = {"ok": False, "reason": both, "outcome": "broken"}
    assert result(tmp_path, program, monkeypatch, apply=error, put_back=error) == broken
    assert (tmp_path / "before.json").exists()
    broken["reason"] = f"what was cut down cannot be put back: {error}"
    assert result(tmp_path, program, monkeypatch, put_back=error) == broken
