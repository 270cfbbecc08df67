"""Sealing: what the construction gives, what damage does, and nonces over a fork."""

from __future__ import annotations

from multiprocessing import get_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.errors import DamagedError
from backup.format.cipher import Cipher
from backup.format.crypto import OVERHEAD, MasterKey

KEY = MasterKey(bytes(range(32)), bytes(range(16)), bytes(range(16)))


def test_the_construction_is_poly1305_aes() -> None:
    """The published vectors of Poly1305-AES come out (Bernstein, "The Poly1305-AES message-authentication code")."""
    # (k, r, nonce, message, code) of the paper's appendix B.
    vectors = [
        (
            "ec074c835580741701425b623235add6",
            "851fc40c3467ac0be05cc20404f3f700",
            "fb447350c4e868c52ac3275cf9d4327e",
            "f3f6",
            "f4c633c3044fc145f84f335cb81953de",
        ),
        (
            "75deaa25c09f208e1dc4ce6b5cad3fbf",
            "a0f3080000f46400d0c7e9076c834403",
            "61ee09218d29b0aaed7e154a2c5509cc",
            "",
            "dd3fab2251f11ac759f0887129cc2ee7",
        ),
        (
            "6acb5f61a7176dd320c5c1eb2edcdc74",
            "48443d0bb0d21109c89a100b5ce2c208",
            "ae212a55399729595dea458bc621ff0e",
            "663cea190ffb83d89593f3f476b6bc24d7e679107ea26adb8caf6652d0656136",
            "0ee1c16bb73f0f4fd19881753c01cdbe",
        ),
    ]
    for k, r, nonce, message, code in vectors:
        key = MasterKey(bytes(32), bytes.fromhex(k), bytes.fromhex(r))
        sealed = bytes.fromhex(nonce + message + code)
        assert len(key.open(sealed)) == len(message) // 2


@given(st.binary(max_size=5000))
def test_what_is_sealed_opens(plain: bytes) -> None:
    """Both ways of sealing open by both ways of opening, and take the room they say."""
    cipher = Cipher(KEY)
    for sealed in (KEY.seal(plain), cipher.seal(plain)):
        assert len(sealed) == len(plain) + OVERHEAD
        assert cipher.open(memoryview(sealed)) == KEY.open(sealed) == plain


@given(st.binary(max_size=100), st.integers(0), st.integers(0, 7))
def test_a_flipped_bit_is_found(plain: bytes, at: int, bit: int) -> None:
    """Whichever bit is flipped, the sealed bytes do not open."""
    sealed = bytearray(KEY.seal(plain))
    sealed[at % len(sealed)] ^= 1 << bit
    with pytest.raises(DamagedError):
        KEY.open(sealed)


@given(st.binary(max_size=100))
def test_any_bytes_are_refused(sealed: bytes) -> None:
    """What nobody sealed raises the one documented error, however short it is."""
    with pytest.raises(DamagedError):
        KEY.open(sealed)


def test_no_nonce_serves_twice() -> None:
    """Over several draws of nonces each is another."""
    cipher = Cipher(KEY)
    assert len({cipher.seal(b"x")[:16] for _ in range(3000)}) == 3000


def test_a_fork_draws_its_own_nonces() -> None:
    """A child that inherits a cipher with nonces in store uses none of them."""
    cipher = Cipher(KEY)
    cipher.seal(b"")
    cipher.seal(b"")
    context = get_context("fork")
    reader, writer = context.Pipe(duplex=False)

    def child() -> None:
        writer.send_bytes(b"".join(cipher.seal(b"")[:16] for _ in range(600)))

    process = context.Process(target=child)
    process.start()
    theirs = reader.recv_bytes()
    process.join()
    assert process.exitcode == 0
    ours = {cipher.seal(b"")[:16] for _ in range(600)}
    assert not ours & {theirs[at : at + 16] for at in range(0, len(theirs), 16)}


def test_a_key_shows_nothing_of_itself() -> None:
    """Neither repr nor str of a key has its bytes."""
    key = MasterKey(b"e" * 32, b"k" * 16, b"r" * 16)
    assert repr(key) == str(key) == "MasterKey()"
    with pytest.raises(DamagedError):
        MasterKey(b"e" * 31, b"k" * 16, b"r" * 16)


def test_generated_keys_differ() -> None:
    """Keys are random."""
    assert MasterKey.generate() != MasterKey.generate()
