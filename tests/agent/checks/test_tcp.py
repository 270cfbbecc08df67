"""TCP ports: real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from agent.checks.contract import Sample
from agent.checks.tcp import Tcp, TcpOptions
from kit.units import Duration
from tests.agent.checks.servers import listen
from tests.agent.checks.tree import collect, said, values

Talk = Callable[[socket.socket, threading.Event], None]


def checked(talk: Talk, **settings: Any) -> tuple[Sample, str]:
    """The sample of a port where `talk` answers, and the port's name."""
    with listen(talk) as port:
        options = TcpOptions(host="127.0.0.1", port=port, **({"timeout": Duration(10)} | settings))
        return collect(Tcp(options)), f"127.0.0.1:{port}"


def banner(text: bytes) -> Talk:
    def talk(connection: socket.socket, stop: threading.Event) -> None:
        for byte in text:
            connection.sendall(bytes([byte]))

    return talk


def echo(connection: socket.socket, stop: threading.Event) -> None:
    connection.sendall(connection.recv(4096)[::-1])


def silence(connection: socket.socket, stop: threading.Event) -> None:
    stop.wait(30)


def chatter(connection: socket.socket, stop: threading.Event) -> None:
    while not stop.is_set():
        connection.sendall(b"x" * 4096)


def drip(connection: socket.socket, stop: threading.Event) -> None:
    while not stop.wait(0.05):
        connection.sendall(b".")


def test_a_port_that_takes_connections_is_ok() -> None:
    """With the seconds that it took."""
    sample, place = checked(silence)
    assert said(sample) == []
    assert 0 < values(sample)["tcp_connect_seconds"] < 10
    assert sample.summary.startswith(f"{place} answers after ")


def test_what_is_said_must_match() -> None:
    """However it is cut into packets."""
    assert said(checked(banner(b"SSH-2.0-OpenSSH\r\n"), expect="^SSH-2")[0]) == []
    sample, place = checked(banner(b"220 mail\r\n"), expect="^SSH-2")
    assert said(sample) == [("critical", f"{place} said '220 mail' instead of '^SSH-2'")]
    sample, place = checked(banner(b""), expect="x")
    assert said(sample) == [("critical", f"{place} said nothing instead of 'x'")]


def test_one_can_say_something_first() -> None:
    """And expect an answer to it."""
    assert said(checked(echo, send="PING", expect="^GNIP$")[0]) == []


@pytest.mark.parametrize("talk", [silence, drip])
def test_an_answer_that_does_not_come_is_given_up_in_time(talk: Talk) -> None:
    """Also where a byte comes now and then."""
    started = time.monotonic()
    ((state, message),) = said(checked(talk, expect="y", timeout=Duration(0.5))[0])
    assert time.monotonic() - started < 60
    assert state == "critical"
    assert message.endswith("instead of 'y' within 250ms")


def test_endless_chatter_is_given_up() -> None:
    """What is expected must come early."""
    sample, place = checked(chatter, expect="y")
    assert said(sample) == [("critical", f"{place} said nothing like 'y' in 65536 bytes")]


def test_a_closed_port_is_critical() -> None:
    """With the system's reason, and no reading."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sample = collect(Tcp(TcpOptions(host="127.0.0.1", port=port)))
    assert said(sample) == [("critical", f"127.0.0.1:{port}: Connection refused")]
    assert values(sample) == {}


def test_a_name_that_is_none_is_critical() -> None:
    """Not an error of the check."""
    ((state, message),) = said(collect(Tcp(TcpOptions(host="nowhere.invalid", port=1))))
    assert state == "critical"
    assert message.startswith("nowhere.invalid:1: ")


def test_a_port_whose_queue_is_full_takes_no_connection() -> None:
    """A program that hangs accepts nobody: the kernel lets the next one wait."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        port = listening.getsockname()[1]
        waiting = []
        try:
            for _ in range(4):
                client = socket.socket()
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", port))
                waiting.append(client)
            sample = collect(Tcp(TcpOptions(host="127.0.0.1", port=port, timeout=Duration(0.5))))
            assert said(sample) == [("critical", f"127.0.0.1:{port} takes no connection within 250ms")]
        finally:
            for client in waiting:
                client.close()


def test_a_pattern_that_is_none_is_refused() -> None:
    """When the configuration is read."""
    with pytest.raises(ValueError, match="expect is not a regular expression"):
        TcpOptions(host="h", port=1, expect="(")
