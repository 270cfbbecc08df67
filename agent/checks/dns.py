"""Names in the DNS: whether resolvers answer, how fast, and whether with what is expected.

The questions are asked in dns_query.py, which loads dnspython and so is imported only where they are.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from agent.checks.contract import Check, CheckOptions, Context, Every, Finding, Measurement, Rule, Sample, Threshold
from agent.checks.drivers import missing
from kit.units import Duration

Record = Literal["A", "AAAA", "CAA", "CNAME", "DS", "MX", "NS", "PTR", "SOA", "SRV", "TXT"]
MAX_QUESTIONS = 200
PORT = 53


class DnsOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names that must resolve."""

    every: Every = Duration(60)
    names: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=255)], ...],
        msgspec.Meta(description="The names to ask for, in full.", min_length=1, examples=[["shop.example.com"]]),
    ]
    records: Annotated[
        tuple[Record, ...],
        msgspec.Meta(description="The types of records to ask for.", min_length=1, examples=[["A", "AAAA"]]),
    ] = ("A",)
    resolvers: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="The addresses of the servers to ask, each with its port where that is not 53; empty for "
            "those in /etc/resolv.conf.",
            examples=[["10.0.0.53", "[2001:db8::53]:5353"]],
        ),
    ] = ()
    expected: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="What the answers must hold, as zone files have it; empty for anything.",
            examples=[["192.0.2.10"]],
        ),
    ] = ()
    match: Annotated[
        Literal["any", "all", "exact"],
        msgspec.Meta(
            description="Whether an answer must hold one of `expected`, all of them, or all and nothing else.",
            examples=["all"],
        ),
    ] = "any"
    dnssec: Annotated[
        bool,
        msgspec.Meta(
            description="Whether the resolver must say that it proved the answer (the AD flag). Believe it only "
            "over a way that you trust.",
            examples=[True],
        ),
    ] = False
    response: Annotated[Threshold, msgspec.Meta(description="Bounds of the seconds until an answer is there.")] = (
        Threshold(warning=0.5, critical=2)
    )

    def __post_init__(self) -> None:
        for resolver in self.resolvers:
            parse_resolver(resolver)
        if len(self.names) * len(self.records) * max(1, len(self.resolvers)) > MAX_QUESTIONS:
            raise ValueError(f"names, records and resolvers make more than {MAX_QUESTIONS} questions")


@dataclass(frozen=True, slots=True)
class Question:
    """One name, one type of record, one resolver."""

    name: str
    record: str
    resolver: str
    """As configured: an address, or one with a port."""

    def __str__(self) -> str:
        return f"{self.name} {self.record} at {self.resolver}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the resolver said."""

    seconds: float
    code: str
    """NOERROR, NXDOMAIN, SERVFAIL, REFUSED, …"""
    values: Sequence[str] = ()
    """The records' data, as zone files have it; of TXT the text without its quotes."""
    proven: bool = False
    """The AD flag."""


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nothing came back that makes sense, and why."""

    reason: str


class Dns(Check[DnsOptions]):
    """Names that must resolve."""

    Options = DnsOptions
    runs = "job"

    def rules(self) -> list[Rule]:
        """The time."""
        return [Rule("dns_response_seconds", self.options.response, "{name} {record} at {resolver} took {value}")]

    def collect(self, context: Context) -> Sample:
        """Ask all questions, one after the other."""
        # dnspython takes 10 MB, and is not on every host: only the child that asks needs it.
        try:
            from agent.checks.dns_query import ask_all
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "dns":
                raise
            raise missing("dns") from None
        return derive(self.options, ask_all(self.options, context.system))


def parse_resolver(text: str) -> tuple[str, int]:
    """`ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`. Raises ValueError."""
    address, port = text, str(PORT)
    if text.startswith("["):
        address, _, port = text[1:].partition("]:")
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    try:
        found = str(ipaddress.ip_address(address))
    except ValueError:
        raise ValueError(f"resolvers: {text!r} is not an address, or one with a port") from None
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535):
        raise ValueError(f"resolvers: {text!r} has an impossible port")
    return found, int(port)


def derive(options: DnsOptions, answers: Sequence[tuple[Question, Answer | NoAnswer]]) -> Sample:
    """Readings and findings of all answers."""
    measurements: list[Measurement] = []
    findings: list[Finding] = []
    for question, answer in answers:
        labels = {"name": question.name, "record": question.record, "resolver": question.resolver}
        problem = answer.reason if isinstance(answer, NoAnswer) else judge_answer(options, question, answer)
        measurements.append(Measurement("dns_up", float(not problem), labels=labels))
        if isinstance(answer, Answer):
            measurements.append(Measurement("dns_response_seconds", answer.seconds, "seconds", labels))
            measurements.append(Measurement("dns_answers", len(answer.values), labels=labels))
        if problem:
            findings.append(Finding("critical", f"{question}: {problem}"))
    seconds = [answer.seconds for _, answer in answers if isinstance(answer, Answer)]
    slowest = f", the slowest after {max(seconds) * 1000:.0f} ms" if seconds else ""
    return Sample(measurements, findings, f"{len(answers)} answers as expected{slowest}")


def judge_answer(options: DnsOptions, question: Question, answer: Answer) -> str:
    """What is wrong with an answer, or nothing."""
    if answer.code == "NXDOMAIN":
        return "the name does not exist (NXDOMAIN)"
    if answer.code != "NOERROR":
        return f"the resolver failed ({answer.code})"
    if not answer.values:
        return "the name has no such records"
    held = {normalize(value, question.record) for value in answer.values}
    wanted = {normalize(value, question.record) for value in options.expected}
    shown = ", ".join(sorted(answer.values)[:5])
    if wanted:
        right = {"any": bool(held & wanted), "all": wanted <= held, "exact": wanted == held}[options.match]
        if not right:
            word = {"any": " or ", "all": " and ", "exact": " and only "}[options.match]
            return f"{shown} instead of {word.join(options.expected)}"
    return "the answer is not proven by DNSSEC" if options.dnssec and not answer.proven else ""


def normalize(value: str, record: str) -> str:
    """One way to write each value: addresses as the standard has it, names in small letters without the last dot."""
    if record == "TXT":
        return value
    if record in ("A", "AAAA"):
        try:
            return str(ipaddress.ip_address(value.strip()))
        except ValueError:
            return value
    return " ".join(word.lower().rstrip(".") or "." for word in value.split())
