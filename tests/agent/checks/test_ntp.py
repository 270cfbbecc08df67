"""Time servers: real ones, and what else may answer at a port."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.checks.contract import Sample
from agent.checks.ntp import Exchange, Ntp, NtpOptions, derive
from agent.checks.sntp import Answer
from kit.units import Duration
from tests.agent.checks.test_sntp import packet
from tests.agent.checks.tree import collect, said, values
from tests.ports import free_port
from tests.require import require_program


@contextmanager
def chronyd(folder: Path, *lines: str) -> Iterator[int]:
    """A real time server that leaves the clock alone; gives its port."""
    program = require_program("chronyd")
    port = free_port()
    configuration = folder / "chrony.conf"
    common = (f"port {port}", "bindaddress 127.0.0.1", "cmdport 0", "bindcmdaddress /", "allow 127.0.0.1")
    configuration.write_text("\n".join([*common, f"pidfile {folder}/pid", *lines]) + "\n")
    user = pwd.getpwuid(os.geteuid()).pw_name
    server = subprocess.Popen(
        [program, "-d", "-x", "-u", user, "-f", configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while any(state == "critical" for state, _ in said(checked(port, timeout=1))):
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield port
    finally:
        server.kill()
        server.wait()


@contextmanager
def answering(*answers: Callable[[bytes], bytes | None]) -> Iterator[int]:
    """A port that gives one of these answers to each packet, the last one for ever."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.05)
        stop = threading.Event()

        def serve() -> None:
            left = list(answers)
            while not stop.is_set():
                try:
                    data, address = server.recvfrom(1024)
                except TimeoutError:
                    continue
                answer = (left.pop(0) if len(left) > 1 else left[0])(data)
                if answer is not None:
                    server.sendto(answer, address)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stop.set()
            thread.join()


def right(data: bytes) -> bytes:
    now = time.time()
    return packet(origin=int.from_bytes(data[40:48], "big"), received=now, sent=now)


def checked(port: int, *, timeout: float = 20) -> Sample:
    return collect(Ntp(NtpOptions(server="127.0.0.1", port=port, timeout=Duration(timeout))))


def test_a_real_server_is_asked(tmp_path: Path) -> None:
    """It has this host's own clock, so the two are not far apart."""
    with chronyd(tmp_path, "local stratum 3") as port:
        sample = checked(port)
    assert said(sample) == []
    found = values(sample)
    assert found["ntp_stratum"] == 3
    assert found["ntp_offset_seconds"] < 5
    assert found["ntp_offset_seconds"] <= found["ntp_delay_seconds"] / 2 + 0.01
    assert sample.summary.endswith(" 127.0.0.1")


def test_a_real_server_that_has_no_time_is_a_warning(tmp_path: Path) -> None:
    """Nothing is measured by it."""
    with chronyd(tmp_path) as port:
        sample = checked(port)
    assert said(sample) == [("warning", "127.0.0.1 answers, but does not know the time itself")]
    assert values(sample) == {}


def test_a_packet_may_get_lost() -> None:
    """It is asked again; what answers another question is passed over."""
    with answering(lambda data: None, lambda data: packet(origin=7), right) as port:
        assert said(checked(port, timeout=4)) == []


def test_silence_is_critical() -> None:
    """Each time it is asked there is half the time to answer."""
    with answering(lambda data: None) as port:
        sample = checked(port, timeout=1)
    assert said(sample) == [("critical", "127.0.0.1: no answer within 500ms")]
    assert values(sample) == {}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda data: b"hello", "5 bytes, where an answer has 48"),
        (lambda data: packet(origin=7), "the answer to another question"),
        (
            lambda data: packet(origin=int.from_bytes(data[40:48], "big"), stratum=0, leap=3, reference=b"RATE"),
            "the server refuses: it is asked too often",
        ),
    ],
)
def test_no_answer_is_critical(answer: Callable[[bytes], bytes | None], message: str) -> None:
    """With the reason, and no readings."""
    with answering(answer) as port:
        sample = checked(port, timeout=20)
    assert said(sample) == [("critical", f"127.0.0.1: {message}")]
    assert values(sample) == {}


def test_nobody_at_the_port_is_critical() -> None:
    """The kernel says so at once."""
    assert said(checked(free_port())) == [("critical", "127.0.0.1: Connection refused")]


def test_a_name_that_is_none_is_critical() -> None:
    """Not an error of the check."""
    ((state, message),) = said(collect(Ntp(NtpOptions(server="nowhere.invalid"))))
    assert state == "critical"
    assert message.startswith("nowhere.invalid: ")


@pytest.mark.parametrize(("ahead", "words"), [(2.0, "2 s behind x"), (-2.0, "2 s ahead of x")])
def test_the_offset_has_a_way_in_words_and_none_as_a_reading(ahead: float, words: str) -> None:
    """Bounds hold either way."""
    answer = Answer(1, True, 0, 0.25, 100 + ahead, 100 + ahead)
    sample = derive("x", Exchange(answer, 100, 100))
    assert sample.summary == words
    assert values(sample) == {
        "ntp_offset_seconds": 2,
        "ntp_delay_seconds": 0,
        "ntp_root_dispersion_seconds": 0.25,
        "ntp_stratum": 1,
    }
