"""How far the host's clock is from that of a time server."""

from __future__ import annotations

import secrets
import socket
import time
from dataclasses import dataclass
from typing import Annotated

import msgspec

from agent.checks.contract import (
    Check,
    CheckOptions,
    Context,
    Every,
    Finding,
    Measurement,
    Rule,
    Sample,
    Threshold,
)
from agent.checks.sntp import PORT, Answer, RefusedError, SntpError, encode_request, parse_answer
from agent.checks.thresholds import say
from kit.units import Duration, format_duration

TRIES = 3
"""How often it is asked before it is said not to answer: a packet may get lost."""
MAX_PACKET = 1024


class NtpOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time server, and how far the host's clock is from it."""

    every: Every = Duration(300)
    server: Annotated[
        str,
        msgspec.Meta(description="Name or address of the time server.", min_length=1, examples=["ntp.example.com"]),
    ]
    port: Annotated[int, msgspec.Meta(description="Its UDP port.", ge=1, le=65535, examples=[1123])] = PORT
    offset: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the seconds that the host's clock is off from the server's, either way."),
    ] = Threshold(warning=0.5, critical=5)


@dataclass(frozen=True, slots=True)
class Exchange:
    """An answer, and when it was asked for and heard by the host's clock."""

    answer: Answer
    asked: float
    heard: float


class Ntp(Check[NtpOptions]):
    """A time server."""

    Options = NtpOptions
    runs = "job"

    def rules(self) -> list[Rule]:
        """How far the clock is off."""
        return [Rule("ntp_offset_seconds", self.options.offset, "the clock is off by {value}")]

    def collect(self, context: Context) -> Sample:
        """Ask the server, more than once where a packet gets lost."""
        options = self.options
        try:
            exchange = ask(options.server, options.port, options.patience)
        except TimeoutError:
            reason = f"no answer within {format_duration(options.patience)}"
        except OSError as error:
            reason = error.strerror or str(error)
        except SntpError as error:
            reason = str(error)
        else:
            return derive(options.server, exchange)
        return Sample(findings=[Finding("critical", f"{options.server}: {reason}")])


def ask(server: str, port: int, patience: float) -> Exchange:
    """One exchange. Raises TimeoutError after `patience` seconds, OSError, and SntpError where the server refuses."""
    deadline = time.monotonic() + patience
    wrong: SntpError | None = None
    family, kind, protocol, _, address = socket.getaddrinfo(server, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as connection:
        connection.connect(address)  # so that the kernel takes packets of nobody else, and says when nobody listens
        for attempt in range(TRIES):
            cookie = secrets.randbits(64) | 1
            asked, began = time.time(), time.monotonic()
            connection.send(encode_request(cookie))
            until = began + (deadline - began) / (TRIES - attempt)
            while (left := until - time.monotonic()) > 0:
                connection.settimeout(left)
                try:
                    data = connection.recv(MAX_PACKET)
                except TimeoutError:
                    break
                # What was asked is timed by a clock that nobody sets meanwhile.
                heard = asked + time.monotonic() - began
                try:
                    return Exchange(parse_answer(data, cookie, heard), asked, heard)
                except RefusedError:
                    raise
                except SntpError as error:
                    # Of an earlier question, or of somebody else: the answer may still come.
                    wrong = error
    raise wrong or TimeoutError


def derive(server: str, exchange: Exchange) -> Sample:
    """The readings. A server that does not know the time itself is a warning, and nothing is measured by it."""
    answer = exchange.answer
    if not answer.synchronized:
        return Sample(findings=[Finding("warning", f"{server} answers, but does not know the time itself")])
    offset = answer.offset(exchange.asked, exchange.heard)
    way = "behind" if offset > 0 else "ahead of"
    return Sample(
        [
            Measurement("ntp_offset_seconds", abs(offset), "seconds"),
            Measurement("ntp_delay_seconds", answer.delay(exchange.asked, exchange.heard), "seconds"),
            Measurement("ntp_root_dispersion_seconds", answer.root_dispersion, "seconds"),
            Measurement("ntp_stratum", answer.stratum),
        ],
        summary=f"{say(abs(offset), 'seconds')} {way} {server}",
    )
