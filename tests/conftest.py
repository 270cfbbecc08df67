"""A clean environment for every test, and what all of them share."""

from __future__ import annotations

import gc
import os
import re
import resource
import signal
import tempfile
from collections.abc import Generator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, settings

from collector import credentials

pytest_plugins = ["tests.fleet.fixtures", "tests.order"]

# CI machines are slow and shared: how long an example takes says nothing.
settings.register_profile("hostward", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hostward")

# A shell starts what goes on in the background with SIGINT ignored, and programs that tests start inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

COSTLY = credentials._hasher
"""Of passwords, as home has it. In this process they are hashed in no time, unless a test sets this again."""
credentials._hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
NUMBERS = count()
"""Of the folders of tests in this process."""
KEPT = {"HOSTWARD_REQUIRE_ALL"}
FORGOTTEN = ("HOSTWARD_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_", "NOTIFY_SOCKET", "WATCHDOG_")


def pytest_collection_finish() -> None:
    """What was collected stays until the end: no later search for garbage, nor a forked child of a test, need look
    at a million objects."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable(report: pytest.CollectReport | pytest.TestReport) -> Generator[None, Any, Any]:
    """What a failure says is sent to another process, and one byte of it that is no UTF-8 would end the whole run."""
    data = yield
    return _sendable(data) if report.failed else data


def _sendable(data: Any) -> Any:
    if isinstance(data, str):
        return data.encode(errors="backslashreplace").decode()
    if isinstance(data, dict):
        return {_sendable(name): _sendable(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return type(data)(map(_sendable, data))
    return data


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
    monkeypatch.setenv("HOME", str(_folder(tmp_path_factory, "home")))
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture(autouse=True)
def unlimited() -> Iterator[None]:
    """No test limits this process, as commands that it calls may do: that would hold for all that follow."""
    before = _limits()
    yield
    assert _limits() == before


def _limits() -> tuple[int, ...]:
    return os.getpriority(os.PRIO_PROCESS, 0), *resource.getrlimit(resource.RLIMIT_AS)


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As pytest's own, kept as long as its are."""
    return _folder(tmp_path_factory, re.sub(r"\W", "_", request.node.name)[:30])


def _folder(factory: pytest.TempPathFactory, name: str) -> Path:
    """A new folder. To number one, pytest lists those of all tests before: 5 ms each among thousands."""
    folder = factory.getbasetemp() / f"{name}-{next(NUMBERS)}"
    folder.mkdir(mode=0o700)
    return folder


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
