"""Which checks run."""

from __future__ import annotations

from pathlib import Path

from agent.checks import registry
from agent.checks.disk import DiskOptions
from agent.checks.memory import MemoryOptions
from agent.config.defaults import effective_checks
from agent.config.load import load
from agent.config.schema import Config
from agent.paths import System
from kit.units import Duration


def checks(tmp_path: Path, text: str) -> dict[str, object]:
    """The checks that run with `text` as configuration."""
    (tmp_path / "agent.toml").write_text(text)
    return dict(effective_checks(load(tmp_path / "agent.toml"), System()))


def test_defaults_fit_the_host() -> None:
    """Without configuration every kind that has something to watch here runs with its own defaults."""
    found = effective_checks(Config(), System())
    assert {"cpu", "memory"} <= found.keys()
    for kind in registry.CHECKS:
        check = registry.load(kind)
        assert found.get(kind) == (None if check.needs else check.default(System()))


def test_configured_over_default(tmp_path: Path) -> None:
    """A configured check takes the place of the default one of its name and stands beside all others."""
    found = checks(tmp_path, '[checks.memory]\nevery = "1m"\n[checks.archive]\ntype = "disk"')
    assert found["memory"] == MemoryOptions(every=Duration(60))
    assert found["archive"] == DiskOptions(type="disk")
    assert "cpu" in found


def test_turned_off(tmp_path: Path) -> None:
    """`enabled = false` removes a default check and a configured one."""
    found = checks(tmp_path, '[checks.cpu]\nenabled = false\n[checks.x]\ntype = "disk"\nenabled = false')
    assert "cpu" not in found
    assert "x" not in found


def test_without_defaults(tmp_path: Path) -> None:
    """`default_checks = false` leaves just what is configured."""
    found = checks(tmp_path, "[agent]\ndefault_checks = false\n[checks.cpu]")
    assert list(found) == ["cpu"]
