"""The shape of messages: what two of them have in common that tell of the same with other values (pure)."""

from __future__ import annotations

import re
from collections.abc import Sequence

LONGEST = 400
"""Bytes of a message that are looked at."""

_MAIL = re.compile(rb"\b[\w.+%-]{1,64}@[A-Za-z0-9][A-Za-z0-9-]{0,62}(?:\.[A-Za-z0-9-]{1,63}){1,8}\b")
_UUID = re.compile(rb"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b")
_QUOTED = re.compile(rb'"(?:[^"\\\n]|\\[^\n])*+"')
_SINGLE = re.compile(rb"(?<![\w'])'[^'\n]*'(?!\w)")
_IPV6 = re.compile(
    rb"(?<![\w:.])(?:(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}"
    rb"|(?:[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){0,6})?::(?:[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){0,6})?"
    rb"(?:(?<=:)(?:[0-9]{1,3}\.){3}[0-9]{1,3})?)(?:%\w+)?(?![\w:])"
)
_MAC = re.compile(rb"(?<![\w:])[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5,}(?![\w:])")
_IPV4 = re.compile(rb"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w.]*[\w])")
_HEX = re.compile(rb"\b0[xX][0-9a-fA-F]+\b|\b(?=[0-9a-fA-F]*[0-9])(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{6,}\b")
_USER = re.compile(rb"\b(for(?: invalid user)?|(?:[Ii]nvalid|authenticating) user) [^\s<]{1,64} (?=(?:from )?<ip>)")
"""Names that sshd tells of: whoever guesses them would make a shape of each."""
_NUMBER = re.compile(rb"(?<![A-Za-z])[0-9]+(?:[.,][0-9]+)*|[0-9]{2,}(?:[.,][0-9]+)*")
"""A single digit behind a letter is a part of a word: `ssh2`, `sda1`."""


def fold(messages: Sequence[bytes]) -> list[bytes]:
    """The shape of each: `connection <n> of <ip> failed`.

    All are one text while it is done, which takes a fraction of the time.
    """
    text = b"\n".join([message[:LONGEST].replace(b"\n", b" ") for message in messages])
    if b'"' in text:
        text = _QUOTED.sub(b'"<text>"', text)
    if b"'" in text:
        text = _SINGLE.sub(b"'<text>'", text)
    if b"@" in text:
        text = _MAIL.sub(b"<mail>", text)
    if b"-" in text:
        text = _UUID.sub(b"<uuid>", text)
    if b":" in text:
        text = _MAC.sub(b"<mac>", text)
        text = _IPV6.sub(b"<ip>", text)
    text = _IPV4.sub(b"<ip>", text)
    if b"<ip>" in text:
        text = _USER.sub(rb"\1 <user> ", text)
    text = _HEX.sub(b"<hex>", text)
    text = _NUMBER.sub(b"<n>", text)
    return text.split(b"\n") if messages else []
