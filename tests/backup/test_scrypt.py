"""scrypt, by either library."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backup import scrypt

MEMORY = 1 << 26
VECTORS = {
    (b"", b"", 16, 1, 1): (
        "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
        "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"
    ),
    (b"password", b"NaCl", 1024, 8, 16): (
        "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
        "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"
    ),
    (b"pleaseletmein", b"SodiumChloride", 16384, 8, 1): (
        "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
        "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
    ),
}
"""RFC 7914, section 12."""


@pytest.fixture(autouse=True)
def unchosen() -> Iterator[None]:
    """As in a new process, before and after."""
    scrypt.fastest.cache_clear()
    yield
    scrypt.fastest.cache_clear()


@pytest.mark.parametrize("way", [scrypt.scrypt, scrypt.by_openssl, scrypt.by_sodium])
def test_the_vectors_of_the_rfc(way: scrypt.Scrypt) -> None:
    """Whoever computes them."""
    for (password, salt, n, r, p), expected in VECTORS.items():
        assert way(password, salt, n, r, p, MEMORY).hex() == expected


@settings(max_examples=30)
@given(st.binary(max_size=40), st.binary(max_size=80), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_both_say_the_same(password: bytes, salt: bytes, n: int, r: int, p: int) -> None:
    """For any password, salt and cost."""
    one, other = (way(password, salt, 1 << n, r, p, MEMORY) for way in (scrypt.by_openssl, scrypt.by_sodium))
    assert one == other


@pytest.mark.parametrize("way", [scrypt.scrypt, scrypt.by_openssl, scrypt.by_sodium])
def test_what_would_take_more_memory_than_it_may_is_refused(way: scrypt.Scrypt) -> None:
    """By either, before it takes it."""
    with pytest.raises((ValueError, RuntimeError, MemoryError)):
        way(b"", bytes(64), 1 << 16, 8, 1, 1 << 26)


@pytest.mark.parametrize("slower", [scrypt.by_openssl, scrypt.by_sodium])
def test_the_faster_one_is_taken(slower: scrypt.Scrypt, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a processor has it."""
    monkeypatch.setattr(scrypt, "_taken", lambda way: 2.0 if way is slower else 1.0)
    assert scrypt.fastest() is not slower


@pytest.mark.parametrize("lack", [ValueError("unsupported"), AttributeError("scrypt")])
def test_where_openssl_must_not_the_other_does(lack: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """So does FIPS's policy, and a Python without it."""

    def refuse(*_words: object, **_options: object) -> bytes:
        raise lack

    monkeypatch.setattr(hashlib, "scrypt", refuse)
    assert scrypt.fastest() is scrypt.by_sodium
    test_the_vectors_of_the_rfc(scrypt.scrypt)
