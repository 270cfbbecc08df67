"""What a run asks its watcher, and what it is told: one line of JSON, then a length and MessagePack. No I/O.

Whoever asks reads no more than a watcher may send, and a watcher no more than a question may have.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

import msgspec

from kit.errors import HostwardError

MAX_QUESTION = 1024
"""Bytes."""
MAX_ANSWER = 64 << 20
"""Bytes."""
MOST_FOLDERS = 100_000
"""In an answer. When more have changed a full scan costs little more."""
LENGTH = struct.Struct(">I")

_TOKEN = re.compile(r"([0-9a-f]{16}):([0-9]{1,15})")


class ProtocolError(HostwardError):
    """Something was said that is not of this protocol."""


class Token(NamedTuple):
    """A point in a watcher's life."""

    instance: str
    """Another one whenever the watcher began anew."""
    epoch: int

    @classmethod
    def parse(cls, text: str) -> Token | None:
        """From its text; None for what is none."""
        matched = _TOKEN.fullmatch(text)
        return None if matched is None else cls(matched[1], int(matched[2]))

    def __str__(self) -> str:
        return f"{self.instance}:{self.epoch}"


class ChangesSince(msgspec.Struct, frozen=True, kw_only=True, tag="changes", tag_field="ask"):
    """What has changed since?"""

    version: int = 1
    fingerprint: str
    """Of what is to be saved: a watcher that knows it otherwise has nothing to tell."""
    token: str = ""
    """Of the answer before; empty where there was none."""


class KeepKey(msgspec.Struct, frozen=True, kw_only=True, tag="keep key", tag_field="ask"):
    """Keep this for the next run, in place of what was kept before. Answered by what is kept now."""

    version: int = 1
    kept: bytes


class WantKey(msgspec.Struct, frozen=True, kw_only=True, tag="key", tag_field="ask"):
    """What was kept? Answered by bytes, which are empty where nothing was."""

    version: int = 1


Question = ChangesSince | KeepKey | WantKey


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What has changed: for ChangesSince."""

    token: str = ""
    """For the next question; empty where the watcher will not know."""
    everything: str = ""
    """Why everything is to be scanned; empty where it is not."""
    changed: list[bytes] = []
    """Folders in which an entry came, went or changed."""
    whole: list[bytes] = []
    """Folders in which anything may have changed, at any depth."""


_decode_question = msgspec.json.Decoder(Question).decode
_decode_answer = msgspec.msgpack.Decoder(Answer).decode


def encode_question(question: Question) -> bytes:
    """A line."""
    return msgspec.json.encode(question) + b"\n"


def decode_question(line: bytes) -> Question:
    """From a line, with or without its end. Raises ProtocolError."""
    if len(line) > MAX_QUESTION:
        raise ProtocolError(f"expected a question of at most {MAX_QUESTION} bytes")
    try:
        question: Question = _decode_question(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"this is no question: {error}") from None
    if question.version != 1:
        raise ProtocolError(f"expected version 1 of the protocol, found {question.version}")
    return question


def encode_answer(answer: Answer) -> bytes:
    """With its length before it. One that is too long says so instead."""
    data = msgspec.msgpack.encode(answer)
    if len(data) > MAX_ANSWER:
        data = msgspec.msgpack.encode(Answer(token=answer.token, everything="too many folders changed"))
    return LENGTH.pack(len(data)) + data


def encode_key(kept: bytes) -> bytes:
    """With its length before it."""
    data = msgspec.msgpack.encode(kept)
    return LENGTH.pack(len(data)) + data


def decode_key(data: bytes) -> bytes:
    """From what follows the length. Raises ProtocolError."""
    try:
        return msgspec.msgpack.decode(data, type=bytes)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"this is no answer: {error}") from None


def decode_answer(data: bytes) -> Answer:
    """From what follows the length. Raises ProtocolError."""
    try:
        answer = _decode_answer(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"this is no answer: {error}") from None
    if len(answer.changed) + len(answer.whole) > MOST_FOLDERS:
        raise ProtocolError(f"expected at most {MOST_FOLDERS} folders")
    return answer
