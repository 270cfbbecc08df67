"""What systemd hears of the service, through a real socket."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.daemon.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def systemd(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """The end that systemd listens on, in the file system or in the abstract name space."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.settimeout(10)
        if request.param == "path":
            name = str(tmp_path / "notify")
            end.bind(name)
        else:
            end.bind("")  # The kernel picks a free abstract name.
            name = "@" + end.getsockname()[1:].decode()
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield end


def heard(systemd: socket.socket) -> dict[str, str]:
    """The assignments of one message."""
    return dict(line.split("=", 1) for line in systemd.recv(4096).decode().split("\n"))


def test_each_word_arrives_as_one_message(systemd: socket.socket) -> None:
    """Ready, alive and stopping are what sd_notify(3) calls them."""
    notifier = Notifier()
    notifier.ready()
    assert heard(systemd) == {"READY": "1"}
    notifier.alive()
    assert heard(systemd) == {"WATCHDOG": "1"}
    notifier.stopping()
    assert heard(systemd) == {"STOPPING": "1"}


def test_a_reload_says_when_it_began(systemd: socket.socket) -> None:
    """Type=notify-reload wants the monotonic clock in the message that announces a reload."""
    before = time.monotonic_ns() // 1000
    Notifier().reloading()
    message = heard(systemd)
    assert message.keys() == {"RELOADING", "MONOTONIC_USEC"}
    assert before <= int(message["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000


def test_children_do_not_inherit_the_socket(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is meant for the agent is gone from the environment once it is read."""
    monkeypatch.setenv("WATCHDOG_USEC", "1000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    Notifier()
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & os.environ.keys()


def test_nobody_needs_to_listen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without systemd, or with one that has gone, words are lost and nothing fails."""
    Notifier().ready()
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    Notifier().ready()
    monkeypatch.setenv("NOTIFY_SOCKET", "/" + "x" * 200)
    Notifier().ready()


def test_a_listener_that_does_not_read_holds_nobody_up(systemd: socket.socket) -> None:
    """With the queue full, further words are dropped."""
    notifier = Notifier()
    for _ in range(5000):
        notifier.alive()
    assert heard(systemd) == {"WATCHDOG": "1"}


@pytest.mark.parametrize(
    ("period", "seconds"),
    [("30000000", 30.0), ("500000", 0.5), ("0", None), ("", None), ("-1", None), ("1e6", None), ("²", None)],
)
def test_the_watchdog_is_read_in_seconds(period: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """WATCHDOG_USEC is a positive number of microseconds; anything else is no watchdog."""
    monkeypatch.setenv("WATCHDOG_USEC", period)
    assert Notifier().watchdog == seconds


def test_a_watchdog_of_another_process_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """WATCHDOG_PID says for whom it is, where it is set."""
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    assert Notifier().watchdog is None
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert Notifier().watchdog == 1.0
