"""A TCP port: whether somebody answers, how fast, and what they say."""

from __future__ import annotations

import re
import socket
import time
from typing import Annotated

import msgspec

from agent.checks.contract import Check, CheckOptions, Context, Finding, Measurement, Rule, Sample, Threshold
from agent.checks.patterns import check_pattern
from kit.units import format_duration

BANNER_LIMIT = 65536
"""Bytes in which `expect` is looked for."""


class TcpOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A port that must take connections."""

    host: Annotated[str, msgspec.Meta(description="Name or address.", min_length=1, examples=["127.0.0.1"])]
    port: Annotated[int, msgspec.Meta(description="Port number.", ge=1, le=65535, examples=[5432])]
    connect: Annotated[Threshold, msgspec.Meta(description="Bounds of the seconds until it is connected.")] = (
        Threshold(warning=2, critical=5)
    )
    send: Annotated[
        str, msgspec.Meta(description="What to say once connected; no secret.", examples=["PING\r\n"])
    ] = ""
    expect: Annotated[
        str,
        msgspec.Meta(
            description="A regular expression that must be found in what the other side says.", examples=["^SSH-2"]
        ),
    ] = ""

    def __post_init__(self) -> None:
        check_pattern("expect", self.expect)


class Tcp(Check[TcpOptions]):
    """A TCP port of this or another machine."""

    Options = TcpOptions
    runs = "job"

    def rules(self) -> list[Rule]:
        """How long it took to connect."""
        return [Rule("tcp_connect_seconds", self.options.connect, "connected after {value}")]

    def collect(self, context: Context) -> Sample:
        """Connect, say something, listen."""
        options = self.options
        place = f"{options.host}:{options.port}"
        limit = f"within {format_duration(options.patience)}"
        started = time.monotonic()
        deadline = started + options.patience
        try:
            connection = socket.create_connection((options.host, options.port), options.patience)
        except TimeoutError:
            return Sample(findings=[Finding("critical", f"{place} takes no connection {limit}")])
        except OSError as error:
            return Sample(findings=[Finding("critical", f"{place}: {error.strerror or error}")])
        seconds = time.monotonic() - started
        findings = []
        with connection:
            if wrong := _converse(connection, options, deadline):
                findings.append(Finding("critical", f"{place} {wrong}"))
        measurements = [Measurement("tcp_connect_seconds", seconds, "seconds")]
        return Sample(measurements, findings, f"{place} answers after {seconds * 1000:.0f} ms")


def _converse(connection: socket.socket, options: TcpOptions, deadline: float) -> str:
    """What was wrong with the answer, or nothing."""
    heard = b""
    try:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        connection.sendall(options.send.encode())
        expected = re.compile(options.expect.encode())
        while options.expect and not expected.search(heard):
            if len(heard) >= BANNER_LIMIT:
                return f"said nothing like {options.expect!r} in {BANNER_LIMIT} bytes"
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            data = connection.recv(4096)
            if not data:
                return f"said {shown(heard)} instead of {options.expect!r}"
            heard += data
    except TimeoutError:
        within = format_duration(options.patience)
        return f"said {shown(heard)} instead of {options.expect!r} within {within}"
    except OSError as error:
        return f"broke the connection: {error.strerror or error}"
    return ""


def shown(heard: bytes) -> str:
    """The beginning of what was heard, for a message."""
    text = heard.decode("utf-8", "replace").strip()
    return repr(text[:60] + "…" if len(text) > 60 else text) if text else "nothing"
