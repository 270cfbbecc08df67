"""Failed logins."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.logs.analyse.logins import Attempt, attempt, total

CASES = [
    ("sshd", "Failed password for root from 10.0.0.1 port 22 ssh2", Attempt(b"10.0.0.1", b"root", "ssh:failed")),
    (
        "sshd",
        "Failed password for invalid user x from y from 2001:db8::1 port 22 ssh2",
        Attempt(b"2001:db8::1", b"x from y", "ssh:failed"),
    ),
    ("sshd", "Invalid user  from 10.0.0.1 port 4", Attempt(b"10.0.0.1", b"", "ssh:invalid")),
    (
        "sshd-session",
        "Connection closed by authenticating user root 10.0.0.1 port 4 [preauth]",
        Attempt(b"10.0.0.1", b"root", "ssh:closed"),
    ),
    (
        "sshd",
        "error: maximum authentication attempts exceeded for jo from 10.0.0.1 port 4 ssh2 [preauth]",
        Attempt(b"10.0.0.1", b"jo", "ssh:many"),
    ),
    (
        "sshd",
        "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=10.0.0.1  user=root",
        Attempt(b"10.0.0.1", b"root", "ssh:pam"),
    ),
    (
        "sudo",
        "pam_unix(sudo:auth): authentication failure; logname=jo uid=1 euid=0 tty=pts/0 ruser=jo rhost=  user=jo",
        Attempt(b"local", b"jo", "sudo:pam"),
    ),
    ("sudo", "      jo : 3 incorrect password attempts ; TTY=pts/0", Attempt(b"local", b"jo", "sudo:own", 3)),
    ("su", "FAILED SU (to root) jo on pts/0", Attempt(b"local", b"root", "su:own")),
    (
        "login",
        "FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure",
        Attempt(b"local", b"root", "login:own"),
    ),
    ("sshd", "Accepted publickey for root from 10.0.0.1 port 22", None),
    ("app", "Failed password for root from 10.0.0.1 port 22 ssh2", None),
]


@pytest.mark.parametrize(("program", "message", "expected"), CASES)
def test_what_programs_say(program: str, message: str, expected: Attempt | None) -> None:
    assert attempt(program.encode(), message.encode()) == expected


def test_one_attempt_that_is_told_twice_is_one() -> None:
    assert total({"ssh:failed": 5, "ssh:pam": 3, "ssh:closed": 2, "sudo:own": 1}) == 6


@settings(max_examples=80)
@given(
    st.sampled_from([b"sshd", b"sudo", b"su", b"login", b"x"]),
    st.binary(max_size=60)
    | st.sampled_from([case[1].encode() for case in CASES]).flatmap(
        lambda text: st.integers(0, len(text)).map(lambda at: text[:at] + b" from from user= " + text[at:])
    ),
)
def test_anything_is_an_attempt_or_none(program: bytes, message: bytes) -> None:
    assert isinstance(attempt(program, message), Attempt | None)
