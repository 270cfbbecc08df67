"""Names in the DNS: a real resolver, and what else may answer at its port."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.contract import CheckError, Context, Sample
from agent.checks.dns import (
    Answer,
    Dns,
    DnsOptions,
    NoAnswer,
    Question,
    derive,
    judge_answer,
    normalize,
    parse_resolver,
)
from agent.checks.dns_query import _values, ask
from agent.paths import System
from kit.units import Duration
from tests.agent.checks.tree import NOW, said, tree, values
from tests.ports import free_port
from tests.require import require_program

UNBOUND = """
server:
    interface: 127.0.0.1
    port: {port}
    username: "{user}"
    chroot: ""
    directory: "{folder}"
    pidfile: "{folder}/pid"
    use-syslog: no
    do-daemonize: no
    module-config: "iterator"
    local-zone: "example." static
    local-data: "shop.example. A 192.0.2.10"
    local-data: "shop.example. A 192.0.2.11"
    local-data: "shop.example. AAAA 2001:db8::a"
    local-data: "shop.example. MX 10 Mail.example."
    local-data: 'shop.example. TXT "v=spf1 -all"'
    {large}
    local-zone: "refused.example." always_refuse
    local-zone: "silent.example." always_deny
"""


@pytest.fixture(scope="module")
def resolver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real resolver that knows some names itself."""
    program = require_program("unbound")
    folder = tmp_path_factory.mktemp("unbound")
    port = free_port()
    large = "\n    ".join(f'local-data: "large.example. A 10.0.{n // 250}.{n % 250 + 1}"' for n in range(600))
    user = pwd.getpwuid(os.geteuid()).pw_name
    text = UNBOUND.format(port=port, folder=folder, user=user, large=large)
    (folder / "unbound.conf").write_text(text)
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([program, "-d", "-c", folder / "unbound.conf"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while isinstance(ask(Question("shop.example", "A", f"127.0.0.1:{port}"), 1), NoAnswer):
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def checked(resolver: str, *names: str, system: System | None = None, **options: Any) -> Sample:
    settings: dict[str, Any] = {"resolvers": (resolver,), "timeout": Duration(30)} | options
    check = Dns(DnsOptions(names=names, **settings))
    return check.collect(Context(system=system or System(), now=NOW))


def test_names_that_resolve_are_ok(resolver: str) -> None:
    """Each name and type has its readings."""
    sample = checked(resolver, "shop.example", "Shop.example.", records=("A", "AAAA"))
    assert said(sample) == []
    found = values(sample)
    assert found[f"dns_answers shop.example A {resolver}"] == 2
    assert found[f"dns_answers Shop.example. AAAA {resolver}"] == 1
    assert found[f"dns_up Shop.example. A {resolver}"] == 1
    assert found[f"dns_response_seconds shop.example A {resolver}"] < 30
    assert sample.summary.startswith("4 answers as expected, the slowest after ")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.example", "the name does not exist (NXDOMAIN)"),
        ("x.refused.example", "the resolver failed (REFUSED)"),
        ("x.silent.example", "no answer within 2s"),
        ("a..b", "this is no name that can be asked for"),
        ("x" * 64 + ".example", "this is no name that can be asked for"),
    ],
)
def test_failures_are_told_apart(resolver: str, name: str, message: str) -> None:
    """Each is critical, and says which it is."""
    sample = checked(resolver, name, timeout=Duration(3 if "silent" in name else 30))
    assert said(sample) == [("critical", f"{name} A at {resolver}: {message}")]
    assert values(sample)[f"dns_up {name} A {resolver}"] == 0


def test_a_resolver_that_fails_is_told_apart_too() -> None:
    """SERVFAIL: it could not find out, which says nothing about the name."""

    def fail(data: bytes) -> bytes:
        response = dns.message.make_response(dns.message.from_wire(data))
        response.set_rcode(dns.rcode.SERVFAIL)
        return response.to_wire()

    with answering(fail) as place:
        sample = checked(place, "x.example")
    assert said(sample) == [("critical", f"x.example A at {place}: the resolver failed (SERVFAIL)")]


def test_a_name_without_such_records_is_critical(resolver: str) -> None:
    """It exists, and that is told apart."""
    sample = checked(resolver, "shop.example", records=("SRV",))
    assert said(sample) == [("critical", f"shop.example SRV at {resolver}: the name has no such records")]


@pytest.mark.parametrize(
    ("record", "expected", "match", "message"),
    [
        ("A", ("192.0.2.10",), "any", ""),
        ("A", ("192.0.2.99", "192.0.2.11"), "any", ""),
        ("A", ("192.0.2.99",), "any", "192.0.2.10, 192.0.2.11 instead of 192.0.2.99"),
        ("A", ("192.0.2.11", "192.0.2.10"), "exact", ""),
        ("A", ("192.0.2.10",), "all", ""),
        ("A", ("192.0.2.10",), "exact", "192.0.2.10, 192.0.2.11 instead of 192.0.2.10"),
        ("A", ("192.0.2.10", "192.0.2.9"), "all", "192.0.2.10, 192.0.2.11 instead of 192.0.2.10 and 192.0.2.9"),
        ("AAAA", ("2001:DB8:0::a",), "exact", ""),
        ("MX", ("10  mail.example",), "exact", ""),
        ("TXT", ("v=spf1 -all",), "exact", ""),
    ],
)
def test_answers_must_be_as_expected(
    resolver: str, record: str, expected: tuple[str, ...], match: str, message: str
) -> None:
    """One of them, all, or exactly these, however they are written."""
    sample = checked(resolver, "shop.example", records=(record,), expected=expected, match=match)
    assert [text.partition(": ")[2] for _, text in said(sample)] == ([message] if message else [])


def test_long_answers_come_over_tcp(resolver: str) -> None:
    """They do not fit into a packet."""
    sample = checked(resolver, "large.example")
    assert said(sample) == []
    assert values(sample)[f"dns_answers large.example A {resolver}"] == 600


def test_the_hosts_own_resolvers_are_asked_where_none_is_named(tmp_path: Path) -> None:
    """By /etc/resolv.conf; without one the check cannot tell."""
    system = tree(tmp_path, {"etc/resolv.conf": "nameserver 127.0.0.1\noptions timeout:1\n"})
    sample = checked("", "x.example", resolvers=(), system=system, timeout=Duration(1))
    assert {label.rpartition(" ")[2] for label in values(sample)} == {"127.0.0.1"}
    (tmp_path / "etc/resolv.conf").unlink()
    with pytest.raises(CheckError, match=r"/etc/resolv\.conf names no resolver"):
        checked("", "x.example", resolvers=(), system=system)


def test_nobody_at_the_port_is_critical() -> None:
    """The kernel says so at once."""
    place = f"127.0.0.1:{free_port()}"
    assert said(checked(place, "x.example")) == [("critical", f"x.example A at {place}: Connection refused")]


@contextmanager
def answering(answer: Callable[[bytes], bytes | None]) -> Iterator[str]:
    """A port that gives an answer to each packet; gives its name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.05)
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                with suppress(TimeoutError):
                    data, address = server.recvfrom(4096)
                    if (said := answer(data)) is not None:
                        server.sendto(said, address)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            stop.set()
            thread.join()


def resolved(data: bytes, *, flags: int = 0) -> bytes:
    response = dns.message.make_response(dns.message.from_wire(data))
    response.answer.append(dns.rrset.from_text(response.question[0].name, 60, "IN", "A", "192.0.2.1"))
    response.flags |= flags
    return response.to_wire()


def test_an_answer_must_be_proven_where_that_is_asked_for() -> None:
    """By the resolver's AD flag."""
    with answering(resolved) as place:
        assert said(checked(place, "x.example")) == []
        ((state, message),) = said(checked(place, "x.example", dnssec=True))
        assert (state, message) == ("critical", f"x.example A at {place}: the answer is not proven by DNSSEC")
    with answering(lambda data: resolved(data, flags=dns.flags.AD)) as place:
        assert said(checked(place, "x.example", dnssec=True)) == []


def test_a_packet_may_get_lost() -> None:
    """It is asked again."""
    packets: list[bytes] = []

    def second(data: bytes) -> bytes | None:
        packets.append(data)
        return resolved(data) if len(packets) > 1 else None

    with answering(second) as place:
        assert said(checked(place, "x.example", timeout=Duration(4))) == []


def test_other_names_are_followed() -> None:
    """To the records that were asked for."""

    def chain(data: bytes) -> bytes:
        response = dns.message.make_response(dns.message.from_wire(data))
        response.answer.append(dns.rrset.from_text("x.example.", 60, "IN", "CNAME", "y.example."))
        response.answer.append(dns.rrset.from_text("y.example.", 60, "IN", "A", "192.0.2.1"))
        return response.to_wire()

    with answering(chain) as place:
        assert said(checked(place, "x.example", expected=("192.0.2.1",), match="exact")) == []


def test_a_chain_of_names_without_an_end_makes_no_sense() -> None:
    """It is not followed for ever."""

    def loop(data: bytes) -> bytes:
        response = dns.message.make_response(dns.message.from_wire(data))
        response.answer.append(dns.rrset.from_text("x.example.", 60, "IN", "CNAME", "y.example."))
        response.answer.append(dns.rrset.from_text("y.example.", 60, "IN", "CNAME", "x.example."))
        return response.to_wire()

    with answering(loop) as place:
        ((_, message),) = said(checked(place, "x.example"))
    assert message == f"x.example A at {place}: the resolver gave an answer that makes no sense"


@pytest.mark.parametrize("noise", [b"", b"\0", b"\xff" * 100, bytes(600)])
def test_noise_is_no_answer(noise: bytes) -> None:
    """Anybody may send packets: what is no answer to the question is passed over."""
    with answering(lambda data: noise) as place:
        ((_, message),) = said(checked(place, "x.example", timeout=Duration(1)))
    assert message == f"x.example A at {place}: no answer within 500ms"


@given(st.binary(max_size=120))
def test_any_answer_is_read_or_refused(tail: bytes) -> None:
    """Whatever follows the header of an answer to the question."""
    message = dns.message.make_query("x.example", "A")
    wire = message.to_wire()
    response = wire[:2] + b"\x81\x80" + b"\0\x01\0\x01\0\0\0\0" + wire[12:] + tail
    try:
        parsed = dns.message.from_wire(response)
    except Exception as error:
        assert isinstance(error, (dns.exception.DNSException, ValueError))
        return
    with suppress(dns.exception.DNSException, ValueError):
        assert all(isinstance(value, str) for value in _values(parsed))


def test_without_the_driver_one_sentence_says_what_to_install() -> None:
    """The rest of the agent works without it."""
    program = """
import sys
sys.modules["dns"] = None
from agent.checks.contract import CheckError, Context
from agent.checks.dns import Dns, DnsOptions
from agent.paths import System
try:
    Dns(DnsOptions(names=("x",))).collect(Context(system=System(), now=0))
except CheckError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("the driver is not installed: ")
    assert "hostward[dns]" in done.stdout


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.53", ("10.0.0.53", 53)),
        ("10.0.0.53:5353", ("10.0.0.53", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
    ],
)
def test_a_resolver_is_an_address_and_perhaps_a_port(text: str, expected: tuple[str, int]) -> None:
    """Of both families."""
    assert parse_resolver(text) == expected


@given(st.text(max_size=30))
def test_any_text_is_a_resolver_or_refused(text: str) -> None:
    """Names would have to be resolved first, so they are none."""
    try:
        address, port = parse_resolver(text)
    except ValueError as error:
        assert str(error).startswith("resolvers: ")
    else:
        assert address
        assert 1 <= port <= 65535


def test_options_that_make_no_sense_are_refused() -> None:
    """When the configuration is read."""
    with pytest.raises(ValueError, match=r"'dns\.example' is not an address"):
        DnsOptions(names=("x",), resolvers=("dns.example",))
    with pytest.raises(ValueError, match="make more than 200 questions"):
        DnsOptions(names=("x",) * 101, records=("A", "AAAA"))


def test_an_answer_that_did_not_come_has_no_time() -> None:
    """Only that it did not."""
    sample = derive(DnsOptions(names=("x",)), [(Question("x", "A", "r"), NoAnswer("no answer within 1s"))])
    assert values(sample) == {"dns_up x A r": 0}


@given(st.text(max_size=20), st.sampled_from(["A", "MX", "TXT", "NS"]))
def test_a_value_is_always_what_it_is(value: str, record: str) -> None:
    """Compared with itself it is expected, however odd."""
    options = DnsOptions(names=("x",), expected=(value,), match="exact")
    answer = Answer(0.1, "NOERROR", [value])
    assert judge_answer(options, Question("x", record, "r"), answer) == ""
    assert normalize(normalize(value, record), record) == normalize(value, record)
