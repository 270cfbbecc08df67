"""Logins that failed: who tried from where (pure).

One attempt makes several lines: a password that failed, what PAM says of it, the end of the connection. Each way of
telling is counted by itself, and the one that tells of most attempts counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

LOCAL = b"local"
"""In place of an address where somebody is at the host itself."""

_ADDRESS = rb"([0-9A-Fa-f:.]{2,45}|[A-Za-z0-9][\w.-]{0,252})"
_SSH = (
    (
        "failed",
        re.compile(rb"Failed \S{1,64} for (?:invalid user |illegal user )?(.{0,100}?) from " + _ADDRESS + rb" port"),
    ),
    ("invalid", re.compile(rb"(?:Invalid|Illegal) user (.{0,100}?) from " + _ADDRESS + rb"(?: port|$)")),
    (
        "closed",
        re.compile(
            rb"(?:Connection (?:closed|reset) by|Disconnected from) (?:authenticating|invalid) user (.{0,100}?) ?"
            + _ADDRESS
            + rb" port \d{1,5} \[preauth\]"
        ),
    ),
    (
        "many",
        re.compile(rb"maximum authentication attempts exceeded for (?:invalid user )?(.{0,100}?) from " + _ADDRESS),
    ),
)
_PAM = re.compile(rb"pam_unix\(([\w.-]{1,32}):auth\): authentication failure;(.{0,400})")
_PAM_HOST = re.compile(rb" rhost=(\S{1,255})")
_PAM_USER = re.compile(rb" user=(\S{1,100})")
_PAM_ASKER = re.compile(rb" ruser=(\S{1,100})")
_SUDO = re.compile(rb" *(\S{1,100}) : (?:(\d{1,3}) incorrect password attempts?|user NOT in sudoers)")
_SU = re.compile(rb"FAILED SU \(to (.{1,100}?)\) (\S{1,100}) on")
_LOGIN = re.compile(
    rb"FAILED LOGIN (?:\(\d{1,4}\) |SESSION )?(?:on '[^']{0,64}' )?(?:FROM '?([^' ]{1,255})'? )?FOR '?([^',]{0,100})"
)
_SPEAKING = (
    b"ailed ",
    b"nvalid user",
    b"llegal user",
    b"preauth]",
    b"exceeded for",
    b"authentication failure",
    b"FAILED",
    b"incorrect password",
    b"NOT in sudoers",
)


class Attempt(NamedTuple):
    """What a line tells of."""

    address: bytes
    user: bytes
    way: str
    """How it is told: the service, and the kind of line."""
    attempts: int = 1


def attempt(program: bytes, message: bytes) -> Attempt | None:
    """What a message of syslog tells of, None where it is of no failed login."""
    if not any(word in message for word in _SPEAKING):
        return None
    if program in (b"sshd", b"sshd-session", b"sshd-auth"):
        for kind, pattern in _SSH:
            if (match := pattern.match(message.removeprefix(b"error: "))) is not None:
                return Attempt(match[2], match[1], f"ssh:{kind}")
        match = _PAM.match(message)
        return _pam(match, "ssh") if match is not None else None
    if (match := _PAM.match(message)) is not None:
        return _pam(match, match[1].decode("ascii", "replace"))
    if program == b"sudo" and (match := _SUDO.match(message)) is not None:
        return Attempt(LOCAL, match[1], "sudo:own", int(match[2] or 1))
    if program in (b"su", b"su-l") and (match := _SU.match(message)) is not None:
        return Attempt(LOCAL, match[1], "su:own")
    if program == b"login" and (match := _LOGIN.match(message)) is not None:
        return Attempt(match[1] or LOCAL, match[2], "login:own")
    return None


def _pam(match: re.Match[bytes], service: str) -> Attempt:
    said = match[2]
    host, user, asker = _PAM_HOST.search(said), _PAM_USER.search(said), _PAM_ASKER.search(said)
    # sudo checks the password of whoever asks, su the one of whom they want to be.
    name = user or asker
    return Attempt(host[1] if host else LOCAL, name[1] if name else b"", f"{service}:pam")


def total(ways: Mapping[str, int]) -> int:
    """The attempts that several ways of telling come to."""
    most: dict[str, int] = {}
    for way, count in ways.items():
        service = way.partition(":")[0]
        most[service] = max(most.get(service, 0), count)
    return sum(most.values())
