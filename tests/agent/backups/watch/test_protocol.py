"""What runs and watchers say to each other."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.backups.watch.protocol import (
    LENGTH,
    MAX_QUESTION,
    Answer,
    ChangesSince,
    KeepKey,
    ProtocolError,
    Token,
    WantKey,
    decode_answer,
    decode_key,
    decode_question,
    encode_answer,
    encode_key,
    encode_question,
)
from kit.mountinfo import blind_points, holding, parse

PATHS = st.lists(st.binary(min_size=1).map(lambda name: b"/" + name), max_size=5)


@given(st.text(max_size=100), st.text(max_size=100))
def test_a_question_comes_as_it_was_sent(fingerprint: str, token: str) -> None:
    """One line."""
    line = encode_question(ChangesSince(fingerprint=fingerprint, token=token))
    assert line.count(b"\n") == 1
    if len(line) <= MAX_QUESTION:
        assert decode_question(line) == ChangesSince(fingerprint=fingerprint, token=token)


@given(st.text(), st.text(), PATHS, PATHS)
def test_an_answer_comes_as_it_was_sent(
    token: str, everything: str, changed: list[bytes], whole: list[bytes]
) -> None:
    """Paths byte by byte, after the length."""
    answer = Answer(token=token, everything=everything, changed=changed, whole=whole)
    data = encode_answer(answer)
    (length,) = LENGTH.unpack(data[: LENGTH.size])
    assert length == len(data) - LENGTH.size
    assert decode_answer(data[LENGTH.size :]) == answer


@given(st.binary(max_size=700))
def test_what_is_kept_comes_back_byte_by_byte(kept: bytes) -> None:
    """In a question and in an answer."""
    line = encode_question(KeepKey(kept=kept))
    assert decode_question(line) == KeepKey(kept=kept)
    data = encode_key(kept)
    assert LENGTH.unpack(data[: LENGTH.size]) == (len(data) - LENGTH.size,)
    assert decode_key(data[LENGTH.size :]) == kept
    assert decode_question(encode_question(WantKey())) == WantKey()


@given(st.one_of(st.binary(), st.text().map(str.encode), st.just(b"[" * 1000), st.just(b"\x91" * 5000)))
def test_whatever_else_comes_is_refused(data: bytes) -> None:
    """With the one error."""
    with suppress(ProtocolError):
        decode_question(data)
    with suppress(ProtocolError):
        decode_answer(data)
    with suppress(ProtocolError):
        decode_key(data)
    parse(data)
    Token.parse(data.decode("latin-1"))


def test_what_is_too_long_or_of_another_version_is_refused() -> None:
    """Before it is looked into."""
    with pytest.raises(ProtocolError, match="at most 1024 bytes"):
        decode_question(b" " * 1025)
    with pytest.raises(ProtocolError, match="version 1"):
        decode_question(b'{"ask":"changes","version":2,"fingerprint":""}')


def test_mounts_are_read_as_the_kernel_writes_them() -> None:
    """Escapes, the last of several at one place, and file systems whose changes cannot all be seen."""
    found = parse(
        b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        b"23 22 0:21 / /srv/two\\040words rw - nfs4 home:/srv rw\n"
        b"24 22 0:22 / /mnt rw - fuse.sshfs x rw\n"
        b"25 22 0:23 / /mnt rw master:1 propagate_from:2 - xfs /dev/vdb rw\n"
    )
    assert [mount.point for mount in found] == [b"/", b"/srv/two words", b"/mnt", b"/mnt"]
    assert blind_points(found) == {b"/srv/two words"}
    at = holding(found, b"/srv/two words/below")
    assert at is not None and at.kind == b"nfs4"
    beside = holding(found, b"/srv/two")
    assert beside is not None and beside.kind == b"ext4"
