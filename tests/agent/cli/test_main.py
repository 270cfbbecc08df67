"""The program itself, before there is a command."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from agent.cli.main import main


def test_an_interrupt_while_modules_are_loaded_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading takes longer than many commands, and ends in no traceback either."""

    class Interrupting(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "agent.cli.dispatch", Interrupting("agent.cli.dispatch"))
    assert main(["backup", "snapshots"]) == 130
