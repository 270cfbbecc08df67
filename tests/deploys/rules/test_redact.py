"""Secrets are taken out of texts."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploys.rules.redact import REDACTED, known_secrets, redact

SECRET = "s3cr3t/Value=x"
PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\nAAAAB3NzaC1yc2E=\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"password={SECRET} user=bob", f"password={REDACTED} user=bob"),
        (f'{{"db_password": "{SECRET} \\" {SECRET}", "n": 1}}', f'{{"db_password": {REDACTED}, "n": 1}}'),
        (f"PGPASSWORD='{SECRET}' psql", f"PGPASSWORD={REDACTED} psql"),
        ("Authorization: Basic dXNlcjpwYXNz c", f"Authorization: {REDACTED}"),
        ("sent Bearer abcdefgh.ijkl", f"sent Bearer {REDACTED}"),
        ("at postgres://shop:pa:ss@db/shop", f"at postgres://shop:{REDACTED}@db/shop"),
        (f"run --token {SECRET} --verbose", f"run --token {REDACTED} --verbose"),
        ("mysqldump -u root -phunter2 shop", f"mysqldump -u root -p{REDACTED} shop"),
        ("key AKIAABCDEFGHIJKLMNOP used", f"key {REDACTED} used"),
        ("root:$y$j9T$abc/def$ghi:1", f"root:{REDACTED}:1"),
        (f"before\n{PEM}\nafter", f"before\n{REDACTED}\nafter"),
        (PEM.partition("\n")[2] + "\nafter", f"{REDACTED}\nafter"),
        ("+ " + "QUJD" * 20, f"+ {REDACTED}"),
        # What is no secret stays.
        ('password_file = "/etc/hostward/backup.password"', None),
        ('"secret": false, "token": null', None),
        ("Failed password for root from 198.18.0.1", None),
        ("snapshot " + "ab" * 32, None),
        ("https://example.com:8443/path@2", None),
        ("--verbose --password-file /etc/x", None),
    ],
)
def test_what_stands_where_secrets_stand_goes(text: str, left: str | None) -> None:
    """And what only looks like it stays."""
    assert redact(text, ()) == (text if left is None else left)


def test_known_secrets_go_wherever_they_are() -> None:
    """Each line of a file of secrets, and the values of variables; not what is as short as any word."""
    known = known_secrets("# a remark\nAWS_SECRET='abcdef/123'\nplain-secret\nroot\n")
    assert (
        redact("x abcdef/123 y plain-secret z root a remark", known) == f"x {REDACTED} y {REDACTED} z root a remark"
    )


@given(st.text(), st.sets(st.text(min_size=6), max_size=3))
def test_any_text_loses_what_is_known(text: str, known: set[str]) -> None:
    """Whatever else is in it, and where one secret is a part of another."""
    left = redact(text + "".join(known), known)
    assert not [secret for secret in known if secret in left and secret not in REDACTED]


@pytest.mark.parametrize(
    "text",
    ["a." * 10_000, "password" * 2_000, "mysql " * 3_000, "x" * 20_000, "-----BEGIN PRIVATE KEY-----" * 400],
)
def test_a_hostile_log_takes_no_hours(text: str) -> None:
    """Time grows with the length of a text, not with its square: ten times as much is done as soon as it could be."""
    began = time.process_time()
    redact(text, ())
    assert time.process_time() - began < 60
