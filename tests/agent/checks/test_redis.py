"""Redis: a real server with a real replica, and the pure reading of what it says."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.contract import Sample
from agent.checks.redis import Answer, Group, Memory, Queue, Redis, RedisOptions, derive, fields, number, parse_info
from kit.units import Duration
from tests.agent.checks.daemons import redis_server, until
from tests.agent.checks.servers import listen
from tests.agent.checks.tree import NOW, collect, said, values

INFO = """\
# Server\r
redis_version:7.0.15\r
uptime_in_seconds:100\r
\r
# Clients\r
connected_clients:90\r
maxclients:100\r
blocked_clients:2\r
# Memory
used_memory:750\r
maxmemory:1000\r
loading:0\r
rdb_changes_since_last_save:9\r
rdb_last_save_time:1700000000\r
rdb_last_bgsave_status:err\r
aof_enabled:1\r
aof_last_write_status:err\r
aof_last_bgrewrite_status:err\r
total_commands_processed:100\r
rejected_connections:10\r
evicted_keys:20\r
expired_keys:30\r
keyspace_hits:90\r
keyspace_misses:10\r
role:slave\r
master_link_status:up\r
master_last_io_seconds_ago:3\r
connected_slaves:2\r
slave0:ip=10.0.0.2,port=6379,state=online,offset=900,lag=4\r
slave1:ip=10.0.0.3,port=6379,state=wait_bgsave,offset=0,lag=0\r
master_repl_offset:1000\r
db0:keys=5,expires=0,avg_ttl=0\r
db1:keys=2,expires=0,avg_ttl=0\r
"""


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """The port of a server that nobody uses otherwise."""
    with redis_server() as port:
        yield port


@pytest.fixture
def client(server: int) -> Iterator[redis.Redis]:
    """An empty server's client."""
    with redis.Redis(port=server, protocol=2, decode_responses=True) as connection:
        connection.flushall()
        yield connection


def check(port: int, **settings: Any) -> Redis:
    return Redis(RedisOptions(**({"port": port, "timeout": Duration(20)} | settings)))


def test_a_healthy_server_has_nothing_to_complain_of(client: redis.Redis, server: int) -> None:
    """It is up, a primary, and has rates from the second sample on."""
    one = collect(check(server))
    assert said(one) == []
    assert one.summary.startswith("Redis ")
    client.set("a", 1)
    client.get("a")
    client.get("b")
    measured = values(collect(check(server), after=one))
    assert measured["redis_up"] == 1
    assert measured["redis_keys"] == 1
    assert measured["redis_commands_per_second"] > 0
    assert measured["redis_hits_percent"] == 50
    assert measured["redis_unsaved_changes"] >= 1


def test_queues_have_their_lengths(client: redis.Redis, server: int) -> None:
    """Whatever kind of key they are; one that is not there is empty, and a text is no queue."""
    client.rpush("list", *range(3))
    client.sadd("set", *range(4))
    client.zadd("sorted", {"a": 1})
    client.set("text", "x")
    queues = ("list", "set", "sorted", "gone", "text")
    sample = collect(check(server, queues=queues))
    measured = values(sample)
    lengths = {queue: measured.get(f"redis_queue_length {queue}") for queue in queues}
    assert lengths == {"list": 3, "set": 4, "sorted": 1, "gone": 0, "text": None}
    assert said(sample) == [("unknown", "text is a string, which has no length as a queue has")]


def test_streams_have_what_their_groups_owe(client: redis.Redis, server: int) -> None:
    """Delivered and not acknowledged, and not delivered yet."""
    for count in range(5):
        client.xadd("orders", {"number": count})
    client.xgroup_create("orders", "billing", id="0")
    client.xreadgroup("billing", "one", {"orders": ">"}, count=2)
    measured = values(collect(check(server, queues=("orders",))))
    assert measured["redis_queue_length orders"] == 5
    assert measured["redis_stream_pending orders billing"] == 2
    assert measured["redis_stream_lag orders billing"] == 3


def test_another_database_can_hold_the_queues(client: redis.Redis, server: int) -> None:
    """By its number."""
    with redis.Redis(port=server, db=3, protocol=2) as other:
        other.rpush("jobs", 1, 2)
    assert values(collect(check(server, queues=("jobs",), database=3)))["redis_queue_length jobs"] == 2
    assert values(collect(check(server, queues=("jobs",))))["redis_queue_length jobs"] == 0


def test_a_full_server_evicts() -> None:
    """The rate of it, and the percentage of maxmemory."""
    with redis_server("--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru") as port:
        one = collect(check(port))
        with redis.Redis(port=port, protocol=2) as client:
            for count in range(300):
                client.set(f"key{count}", "x" * 20_000)
        measured = values(collect(check(port), after=one))
        assert measured["redis_evictions_per_second"] > 1
        assert 80 < measured["redis_memory_used_percent"] < 110


def test_connections_that_are_refused_are_counted() -> None:
    """A server that is full refuses the check as well, and says so afterwards."""
    with redis_server("--maxclients", "3") as port:
        one = collect(check(port))
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        try:
            full = until(lambda: (s := collect(check(port))) and s.findings and s, "the refusal")
            assert said(full)[0][0] == "critical"
            assert "max number of clients reached" in said(full)[0][1]
        finally:
            for connection in held:
                connection.close()
        after = until(lambda: (s := collect(check(port), after=one)) and not s.findings and s, "the room")
        assert values(after)["redis_connections_rejected_per_second"] > 0


def test_a_replica_is_followed_from_both_ends(server: int) -> None:
    """And one that lost its primary is critical."""
    with redis_server("--replicaof", f"127.0.0.1 {server}") as port:
        until(lambda: values(collect(check(port)))["redis_primary_link_up"] == 1, "the link")
        measured = until(
            lambda: (m := values(collect(check(server))))["redis_replicas"] == 1 and m, "the replica to be online"
        )
        assert measured[f"redis_replica_lag_seconds 127.0.0.1:{port}"] < 30
        assert measured[f"redis_replica_lag_bytes 127.0.0.1:{port}"] < 10_000
        assert values(collect(check(port)))["redis_primary_silent_seconds"] < 30
        with redis.Redis(port=port, protocol=2) as client:
            client.replicaof("127.0.0.1", "1")
        sample = until(lambda: (s := collect(check(port))) and s.findings and s, "the loss of the link")
        assert said(sample) == [("critical", "this replica has no link to its primary")]


def test_a_snapshot_that_fails_is_critical() -> None:
    """Where the folder cannot be written."""
    with redis_server() as port, redis.Redis(port=port, protocol=2) as client:
        client.set("a", 1)
        folder = Path(client.config_get("dir")["dir"])
        target = folder / "dump.rdb"
        # A folder in the snapshot's place is what root's own server cannot write either.
        target.mkdir()
        (target / "x").touch()
        client.bgsave()
        sample = until(lambda: (s := collect(check(port))) and s.findings and s, "the failure")
        assert said(sample) == [("critical", "the last snapshot could not be saved")]


def test_a_password_is_used_and_never_shown(tmp_path: Path) -> None:
    """With a user who may do no more than the check needs."""
    secret = tmp_path / "password"
    secret.write_text("correct-secret\n")
    secret.chmod(0o600)
    rules = "on >correct-secret +info +type +llen +xlen +scard +zcard +xinfo|groups +select ~*"
    with redis_server("--user", "hostward", *rules.split(), "--user", "default", "off") as port:
        options = {"user": "hostward", "password_file": str(secret), "queues": ("jobs",)}
        sample = collect(check(port, **options))
        assert said(sample) == []
        assert values(sample)["redis_queue_length jobs"] == 0
        secret.write_text("wrong-secret")
        sample = collect(check(port, **options))
        assert values(sample) == {"redis_up": 0}
        ((state, message),) = said(sample)
        assert state == "critical"
        assert "invalid username-password pair" in message
        assert "secret" not in repr(sample)


def silence(connection: socket.socket, stop: threading.Event) -> None:
    stop.wait(30)


def nonsense(connection: socket.socket, stop: threading.Event) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    """With the time that it had."""
    with listen(silence) as port:
        sample = collect(check(port, timeout=Duration(1)))
    assert said(sample) == [("critical", "no answer within 500ms")]


def test_what_is_no_redis_is_critical() -> None:
    """Nothing escapes that is not one sentence."""
    with listen(nonsense) as port:
        sample = collect(check(port, timeout=Duration(5)))
    assert values(sample) == {"redis_up": 0}
    assert [state for state, _ in said(sample)] == ["critical"]


def test_a_closed_port_is_critical() -> None:
    """With the system's reason."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ((state, message),) = said(collect(check(port)))
    assert (state, os.strerror(111) in message) == ("critical", True)


def whole() -> Sample:
    """A sample with every reading that there is."""
    answer = Answer(info=parse_info(INFO), queues=[Queue("orders", 5, [Group("billing", 2, 3)])])
    return derive(answer, Memory(counters=[0.0] * 6), now=1_700_000_060.0, elapsed=10.0)


def test_what_the_fields_mean() -> None:
    """Each number from the field that it comes from, and each thing that is wrong in one sentence."""
    sample = whole()
    measured = values(sample)
    assert measured["redis_memory_used_percent"] == 75
    assert measured["redis_clients_used_percent"] == 90
    assert measured["redis_save_age_seconds"] == 60
    assert measured["redis_keys"] == 7
    assert measured["redis_replicas"] == 1
    assert measured["redis_replica_lag_bytes 10.0.0.2:6379"] == 100
    assert measured["redis_replica_lag_seconds 10.0.0.2:6379"] == 4
    assert measured["redis_evictions_per_second"] == 2
    assert measured["redis_expirations_per_second"] == 3
    assert measured["redis_connections_rejected_per_second"] == 1
    assert measured["redis_hits_percent"] == 90
    assert said(sample) == [
        ("critical", "the last snapshot could not be saved"),
        ("critical", "the log of writes (AOF) cannot be written"),
        ("warning", "the log of writes (AOF) could not be rewritten"),
        ("warning", "replica 10.0.0.3:6379 is not online: wait_bgsave"),
    ]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"loading": "1"}, ("critical", "the server is still loading its data, and answers nothing else")),
        ({"master_link_status": "down"}, ("critical", "this replica has no link to its primary")),
        (
            {"master_link_status": "down", "master_sync_in_progress": "1"},
            ("warning", "this replica is copying its primary anew"),
        ),
    ],
)
def test_states_that_info_tells(changed: dict[str, str], expected: tuple[str, str]) -> None:
    """Loading, cut off, copying."""
    answer = Answer(info=parse_info(INFO) | changed)
    assert expected in said(derive(answer, Memory(), now=NOW, elapsed=None))


@given(st.text())
def test_any_info_can_be_read(text: str) -> None:
    """What fits no field is passed over, and what is no number is 0."""
    info = parse_info(text)
    sample = derive(Answer(info=info), Memory(), now=NOW, elapsed=None)
    assert values(sample)["redis_up"] == 1
    assert isinstance(fields(text), dict)
    assert isinstance(number(text), float)


def test_options_that_contradict_each_other_are_refused() -> None:
    """When the configuration is read."""
    with pytest.raises(ValueError, match="only read with tls"):
        RedisOptions(ca_file="/x")
    with pytest.raises(ValueError, match="a Unix socket needs none"):
        RedisOptions(tls=True, socket="/x")
    with pytest.raises(ValueError, match="needs a password_file"):
        RedisOptions(user="x")
