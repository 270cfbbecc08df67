"""What the daemon and root's half say to each other, on a stream socket, once per connection.

    daemon ── `job NAME\n`, `backup NAME\n` or `drill NAME\n` ───────────────────► root's half
    daemon ── `check NAME LENGTH\n`, then LENGTH bytes: a Before ─────────────────► root's half
    daemon ◄─ a Reply, then the end of the stream ───────────────────────────────── root's half

A name is all that the daemon chooses. The daemon's closing its sending side, or going away, ends what runs. Both
sides decode as if the other were hostile: the daemon's half of it faces the network.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from kit.errors import HostwardError
from kit.terminal import bounded
from kit.units import format_size
from wire.limits import MAX_COUNT, MAX_MESSAGE, MAX_TIME

SOCKET = ("run", "hostward-jobs.sock")
"""Where root's half listens, as parts of a path under the host's root (agent.paths.System)."""
MAX_LINE = 128
"""Bytes of the request's line, its end included."""
MAX_BEFORE = 2**17
"""Bytes of what a check remembered. They fit into a socket's buffer, so that sending them never waits."""
MAX_REPLY = 2**20 + 2**18
"""Bytes of a reply: a check's sample, or two outputs of a program, and what surrounds them."""

Kind = Literal["job", "backup", "drill", "check"]
ReplyOutcome = Literal["done", "failed", "timed_out", "killed"]

_LINE = re.compile(
    rb"(?:(?P<kind>job|backup|drill) (?P<name>[^ \n]+)|check (?P<check>[^ \n]+) (?P<length>0|[1-9][0-9]{0,6}))\n"
)
_KINDS: dict[bytes, Kind] = {b"job": "job", b"backup": "backup", b"drill": "drill"}
_NAME = re.compile(rb"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


class ProtocolError(HostwardError):
    """The other side said something that nobody should say."""


@dataclass(frozen=True, slots=True)
class Request:
    """Run this."""

    kind: Kind
    name: str
    length: int = 0
    """Bytes that follow the line."""


class Before(msgspec.Struct, frozen=True):
    """What a check found at its run before: data of the daemon, which chooses nothing that the check does."""

    previous: Any = None
    elapsed: float | None = None


class Reply(msgspec.Struct, frozen=True):
    """How it ended; as agent.jobs.run.Ended has it, without the times that the daemon measures itself."""

    outcome: ReplyOutcome
    exit_code: Annotated[int, msgspec.Meta(ge=0, le=255)] | None = None
    output: bytes = b""
    """Of a check: what agent.checks.runner.decode_outcome reads."""
    error: bytes = b""
    truncated: bool = False
    cpu: Annotated[float, msgspec.Meta(ge=0, le=MAX_TIME)] = 0.0
    peak_memory: Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)] = 0
    message: str = ""
    """One line, when it has been decoded."""


def encode_request(kind: Kind, name: str, before: Before | None = None) -> bytes:
    """The line, and what follows it. Raises ProtocolError where a check remembered too much to be sent."""
    if kind != "check":
        return f"{kind} {name}\n".encode()
    body = msgspec.msgpack.encode(before or Before())
    if len(body) > MAX_BEFORE:
        raise ProtocolError(f"the check remembered more than the {format_size(MAX_BEFORE)} that it may")
    return f"check {name} {len(body)}\n".encode() + body


def decode_line(line: bytes) -> Request:
    """The request of one whole line. Raises ProtocolError."""
    found = _LINE.fullmatch(line) if len(line) <= MAX_LINE else None
    if found is None:
        raise ProtocolError(
            'expected "job NAME", "backup NAME", "drill NAME" or "check NAME LENGTH", and the end of the line'
        )
    name = found["name"] or found["check"]
    if not _NAME.fullmatch(name):
        raise ProtocolError("that is no name of a job or a check")
    length = int(found["length"] or 0)
    if length > MAX_BEFORE:
        raise ProtocolError(f"expected at most {format_size(MAX_BEFORE)} of what a check remembered")
    kind: Kind = "check" if found["check"] else _KINDS[found["kind"]]
    return Request(kind, name.decode(), length)


def decode_before(data: bytes) -> Before:
    """What the daemon remembers of a check; of nonsense nothing, as at a first run."""
    try:
        before = msgspec.msgpack.decode(data, type=Before)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return Before()
    elapsed = before.elapsed
    if elapsed is not None and not (math.isfinite(elapsed) and elapsed > 0):
        return Before()
    return before


def encode_reply(reply: Reply) -> bytes:
    """For `decode_reply`."""
    return msgspec.msgpack.encode(reply)


def decode_reply(data: bytes) -> Reply:
    """Raises ProtocolError for anything that is not one whole reply."""
    if not data:
        raise ProtocolError("root's half of the agent gave no answer (see journalctl -u 'hostward-jobs@*')")
    try:
        reply = msgspec.msgpack.decode(data, type=Reply)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        raise ProtocolError("root's half of the agent gave an answer that cannot be read") from None
    return msgspec.structs.replace(reply, message=bounded(reply.message, MAX_MESSAGE))
