"""A real Redis server, saved while it is written to, and restored into a fresh one."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.backups.sources.contract import SourceError
from agent.backups.sources.redis import Rdb
from agent.config.backup_sources.redis import RedisSource
from kit.errors import HostwardError
from kit.units import Duration
from tests.agent.backups.sources.saver import Saver
from tests.agent.backups.sources.writers import writing
from tests.agent.checks.daemons import redis_server
from tests.agent.checks.servers import certificate, listen
from tests.ports import free_port

DATA = random.Random(7)


def connected(port: int, **options: Any) -> Any:
    return redis.Redis(port=port, decode_responses=True, **options)


def fill(client: Any) -> None:
    """Keys of every kind."""
    with client.pipeline(transaction=False) as pipe:
        for number in range(2000):
            pipe.set(f"key:{number}", DATA.randbytes(3000).hex())
        pipe.rpush("list", *range(100))
        pipe.hset("hash", mapping={"a": "1", "b": "2"})
        pipe.zadd("sorted", {"x": 1.5, "y": 2.5})
        pipe.set("passing", "by", ex=100_000)
        pipe.execute()


def test_keys_come_back(saver: Saver) -> None:
    """All that was there when it was saved; a transaction is there wholly or not at all."""
    with redis_server("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0") as port:
        client = connected(port)
        fill(client)
        writer = connected(port)

        def write(number: int) -> None:
            with writer.pipeline(transaction=True) as pipe:
                pipe.set("one", number).set("other", number).incr("count").execute()

        with writing(write):
            outcome = saver.save("redis", RedisSource(port=port))
        saver.save("redis", RedisSource(port=port))
        again = saver.save("redis", RedisSource(port=port))
        # A header with the time, and a checksum at the end.
        assert again.summary.data_added < again.summary.total_bytes_processed / 2
        with saver.restored("redis", outcome) as fresh:
            assert fresh.databases() == ["0"]
            assert fresh.query("GET one") == fresh.query("GET other") != []
            for number in (0, 777, 1999):
                assert fresh.query(f"GET key:{number}") == [(client.get(f"key:{number}"),)]
            assert fresh.query("LRANGE list 0 -1") == [(str(number),) for number in range(100)]
            assert fresh.query("HGETALL hash") == [("a",), ("1",), ("b",), ("2",)]
            assert fresh.query("DBSIZE") == [(str(client.dbsize()),)]
            assert fresh.query("GET nothing") == []
            with pytest.raises(HostwardError, match="unknown command"):
                fresh.query("NONSENSE 'two words'", "0")
        client.close()
        writer.close()
    saver.checked()
    assert set(saver.files(outcome)) == {"/redis/dump.rdb"}


def test_a_user_of_the_acl_comes_in_by_tls(saver: Saver, tmp_path: Path, place: Path) -> None:
    """With its password from a file; who is not let in, or is not trusted, is told why, and no snapshot is made."""
    _, authority = certificate(place)
    (place / "key.pem").chmod(0o644)  # the server is another user
    rights = ["backup", "on", ">s:ecret", "+sync", "+replconf"]
    acl = ["--user", *rights, "--user", "default", "off"]
    tls = ["--tls-cert-file", authority, "--tls-key-file", place / "key.pem", "--tls-auth-clients", "no"]
    secured = free_port()
    secret = tmp_path / "secret"
    secret.write_text("s:ecret\n")
    secret.chmod(0o600)
    with redis_server(*acl, *tls, "--tls-port", secured, "--repl-diskless-sync", "no") as port:
        options = {"host": "127.0.0.1", "user": "backup", "password_file": str(secret)}
        good = RedisSource(port=secured, tls=True, ca_file=str(authority), **options)
        outcome = saver.save("redis", good)
        assert saver.files(outcome)["/redis/dump.rdb"].startswith(b"REDIS")
        with pytest.raises(HostwardError, match="its TLS certificate is not trusted"):
            saver.save("redis", RedisSource(port=secured, tls=True, **options))
        with pytest.raises(HostwardError, match="NOAUTH"):
            saver.save("redis", RedisSource(port=port))
        secret.write_text("wrong\n")
        with pytest.raises(HostwardError, match="WRONGPASS") as caught:
            saver.save("redis", RedisSource(port=port, **options))
        assert "wrong\n" not in str(caught.value)
    with pytest.raises(HostwardError, match=r"redis at 127.0.0.1:[0-9]+: Connection refused; no snapshot was made"):
        saver.save("redis", RedisSource(port=port))
    assert saver.count() == 1


def test_a_transfer_that_breaks_leaves_no_snapshot(saver: Saver) -> None:
    """Whether the server goes, says nothing more, or is none."""
    answers = {
        b"+OK\r\n-ERR\r\n\n\n$100\r\nREDIS0009 and then": "it ended the connection before all was sent",
        b"+OK\r\n-ERR\r\n$EOF:" + b"m" * 40 + b"\r\nREDIS0009 " + b"m" * 39: "it ended the connection before",
        b"+OK\r\n-ERR\r\n$5\r\nHELLO": "what it sends is no RDB file",
        b"+OK\r\n-ERR\r\n-NOMASTERLINK no": "it ended the connection",
        b"+OK\r\n-ERR\r\n-NOMASTERLINK no\r\n": "NOMASTERLINK no",
        b"SSH-2.0\r\n" * 3: "SSH-2.0",
        b"": "it ended the connection",
    }
    for answer, said in answers.items():

        def talk(connection: Any, stop: Any, answer: bytes = answer) -> None:
            connection.sendall(answer)
            connection.shutdown(1)
            while connection.recv(1000):
                pass

        with listen(talk) as port, pytest.raises(HostwardError, match=said):
            saver.save("redis", RedisSource(port=port))
    with (
        listen(lambda connection, stop: stop.wait(20) and None) as port,
        pytest.raises(HostwardError, match="it says nothing for 1s"),
    ):
        saver.save("redis", RedisSource(port=port, patience=Duration(1)))
    assert saver.count() == 0


class Pieces:
    """A connection that gives what it has in pieces of given sizes."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self.data, self.sizes = data, sizes

    def recv_into(self, buffer: memoryview, /) -> int:
        size = self.sizes.pop() if self.sizes else len(self.data)
        taken = self.data[: min(size, len(buffer))]
        self.data = self.data[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)


@given(
    st.binary(max_size=200),
    st.integers(0, 250),
    st.lists(st.integers(1, 60), max_size=20),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=60)
def test_a_file_ends_where_it_was_announced_to(
    content: bytes, begun: int, sizes: list[int], by_mark: bool, cut: bool
) -> None:
    """However it comes, and one that is cut off is no file."""
    mark = b"0123456789" * 4
    content = b"REDIS" + content
    sent = content + (mark if by_mark else b"")
    if cut:
        sent = sent[:-1]
    announced = b"EOF:" + mark if by_mark else b"%d" % len(content)
    rdb = Rdb(Pieces(sent[begun:], sizes), announced, sent[:begun])
    found, buffer = bytearray(), bytearray(50)
    try:
        while count := rdb.readinto(memoryview(buffer)):
            found += buffer[:count]
    except SourceError:
        assert cut
    else:
        assert not cut and bytes(found) == content


@pytest.mark.parametrize("announced", [b"-5", b"-1", b"1_000", b" 7", b"", b"9" * 5000, b"EOF:", b"EOF:" + b"m" * 39])
def test_what_announces_no_length_is_refused(announced: bytes) -> None:
    """Whatever else a number may look like."""
    with pytest.raises(SourceError, match="what it announces is no file"):
        Rdb(Pieces(b"", []), announced, b"REDIS0009")
