"""What is registered has its file, its tests and its place in the documentation, and nothing else has."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.checks.contract import Check
from agent.checks.registry import CHECKS, load


@pytest.mark.parametrize("kind", CHECKS)
def test_a_check_has_its_tests_and_its_documentation(kind: str, repository: Path) -> None:
    """A test file of its module's name, and a section of the reference."""
    module = CHECKS[kind].partition(":")[0].rpartition(".")[2]
    assert "\ndef test_" in (repository / f"tests/agent/checks/test_{module}.py").read_text()
    assert f"\n### {kind}\n" in (repository / "docs/configuration.md").read_text()


def test_no_check_is_left_unregistered(repository: Path) -> None:
    """Every concrete check that a module defines has a name."""
    for kind in CHECKS:
        load(kind)
    registered = {load(kind) for kind in CHECKS}
    pending, found = [Check], set()
    while pending:
        for subclass in pending.pop().__subclasses__():
            pending.append(subclass)
            if subclass.__module__.startswith("agent.checks.") and not subclass.__abstractmethods__:
                found.add(subclass)
    assert found <= registered
