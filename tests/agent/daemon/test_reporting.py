"""Finding out that there is a home."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.schema import HomeOptions
from agent.daemon.reporting import Reporting
from agent.home import identity
from agent.state import State
from tests.agent.home.tls import Authority


def test_an_enrolment_that_was_mended_is_found(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A key that others can read is refused, and taken once its rights are right: identity.json did not change."""
    ca = Authority(tmp_path).file.read_bytes()
    state = State.open(tmp_path / "state")
    identity.prepare_key(state.folder)
    identity.save(state.folder, collector="https://127.0.0.1:1", host="h1", name="web", ca=ca)
    (state.folder / identity.KEY).chmod(0o644)
    reporting = Reporting(state, "boot", HomeOptions())
    try:
        assert not reporting.look()
        assert not reporting.enrolled
        assert "others may have read the key" in caplog.text
        (state.folder / identity.KEY).chmod(0o600)
        assert reporting.look()
        assert reporting.enrolled
        assert not reporting.look()
    finally:
        reporting.stop(0.0)
        state.close()
