"""A clean environment for every test, and what all of them share."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.fleet.fixtures"]

# CI machines are slow and shared: how long an example takes says nothing.
settings.register_profile("hostward", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hostward")

# A shell starts what goes on in the background with SIGINT ignored, and programs that tests start inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

KEPT = {"HOSTWARD_REQUIRE_ALL"}
FORGOTTEN = ("HOSTWARD_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_", "NOTIFY_SOCKET", "WATCHDOG_")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No setting of the person who runs the tests, and nothing of theirs to write to."""
    for name in os.environ:
        if name.startswith(FORGOTTEN) and name not in KEPT:
            monkeypatch.delenv(name)
    # Under `make test`, a make that a test runs would take itself for a part of that one.
    make = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    for name in ("STATE_DIRECTORY", "CREDENTIALS_DIRECTORY", "XDG_STATE_HOME", "NO_COLOR", *make):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may look into; those above tmp_path are for its owner alone."""
    with tempfile.TemporaryDirectory(prefix="hostward-test-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
