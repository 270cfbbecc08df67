"""The questions of the dns check. Loads `dns`, which is dnspython."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rdtypes.txtbase
import dns.resolver

from agent.checks.contract import CheckError
from agent.checks.dns import PORT, Answer, DnsOptions, NoAnswer, Question, parse_resolver
from agent.paths import System
from kit.units import format_duration

TRIES = 2
"""How often a question is asked before there is said to be no answer: a packet may get lost."""
PAYLOAD = 1232
"""Bytes that fit into a packet everywhere (DNS flag day 2020); what is longer comes over TCP."""


def ask_all(options: DnsOptions, system: System) -> list[tuple[Question, Answer | NoAnswer]]:
    """Every name, type and resolver, each with its share of the time. Raises CheckError without a resolver."""
    resolvers = options.resolvers or _configured(system)
    questions = [
        Question(name, record, resolver)
        for name in options.names
        for record in options.records
        for resolver in resolvers
    ]
    deadline = time.monotonic() + options.patience
    answers: list[tuple[Question, Answer | NoAnswer]] = []
    for number, question in enumerate(questions):
        share = (deadline - time.monotonic()) / (len(questions) - number)
        answers.append((question, ask(question, max(0.001, share), dnssec=options.dnssec)))
    return answers


def ask(question: Question, patience: float, *, dnssec: bool = False) -> Answer | NoAnswer:
    """One answer: over UDP, and over TCP where that is too short for it."""
    address, port = parse_resolver(question.resolver)
    try:
        query = dns.message.make_query(
            question.name,
            question.record,
            use_edns=0,
            payload=PAYLOAD,
            want_dnssec=dnssec,
            flags=dns.flags.RD | (dns.flags.AD if dnssec else 0),
        )
    except (dns.exception.DNSException, UnicodeError, ValueError):
        return NoAnswer("this is no name that can be asked for")
    began = time.monotonic()
    for attempt in range(TRIES):
        left = (began + patience - time.monotonic()) / (TRIES - attempt)
        asked = time.monotonic()
        try:
            with _connected(address, port) as connection:
                response, _ = dns.query.udp_with_fallback(
                    query,
                    address,
                    timeout=max(0.001, left),
                    port=port,
                    udp_sock=connection,
                    ignore_unexpected=True,
                    ignore_errors=True,
                )
        except dns.exception.Timeout:
            continue
        except OSError as error:
            return NoAnswer(error.strerror or str(error))
        except (dns.exception.DNSException, EOFError, ValueError):
            return NoAnswer("the resolver gave an answer that cannot be read")
        seconds = time.monotonic() - asked
        try:
            values = list(_values(response))
        except (dns.exception.DNSException, ValueError):
            return NoAnswer("the resolver gave an answer that makes no sense")
        code = dns.rcode.to_text(response.rcode())
        return Answer(seconds, code, values, bool(response.flags & dns.flags.AD))
    return NoAnswer(f"no answer within {format_duration(patience)}")


def _connected(address: str, port: int) -> socket.socket:
    """A socket of one's own, so that the kernel says when nobody listens. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_DGRAM)
    try:
        connection.setblocking(False)
        connection.connect((address, port))
    except OSError:
        connection.close()
        raise
    return connection


def _values(response: dns.message.Message) -> Iterator[str]:
    """The data of the records that were asked for, at the end of a chain of other names where there is one."""
    if response.rcode() != dns.rcode.NOERROR:
        return
    assert isinstance(response, dns.message.QueryMessage)
    found = response.resolve_chaining().answer
    for data in found or ():
        if isinstance(data, dns.rdtypes.txtbase.TXTBase):
            yield b"".join(data.strings).decode("utf-8", "replace")
        else:
            yield data.to_text()


def _configured(system: System) -> tuple[str, ...]:
    try:
        resolver = dns.resolver.Resolver(str(system.path("etc", "resolv.conf")))
    except dns.resolver.NoResolverConfiguration:
        raise CheckError("/etc/resolv.conf names no resolver") from None
    except OSError as error:
        raise CheckError(f"/etc/resolv.conf: {error.strerror}") from None
    servers = [str(server) for server in resolver.nameservers]
    return tuple(servers if resolver.port == PORT else (f"[{server}]:{resolver.port}" for server in servers))
