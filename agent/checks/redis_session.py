"""The session of the redis check. Loads the driver, `redis`.

Only INFO, TYPE, LLEN, XLEN, SCARD, ZCARD and XINFO GROUPS are sent, which is what an ACL's user needs to be allowed.
"""

from __future__ import annotations

import time
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from agent.checks.contract import CheckError
from agent.checks.drivers import read_password, told
from agent.checks.redis import Answer, Group, Queue, RedisOptions, parse_info
from kit.units import format_duration

LENGTHS = {"list": "LLEN", "stream": "XLEN", "set": "SCARD", "zset": "ZCARD"}


def ask(options: RedisOptions, deadline: float) -> Answer | str:
    """What the server says until `deadline` by time.monotonic, or why it could not be reached.

    Raises CheckError where the password cannot be read.
    """
    password = read_password(options.password_file)
    try:
        with _connection(options, password, deadline) as connection:
            return _ask(connection, options, password)
    except (TimeoutError, redis.TimeoutError):
        return f"no answer within {format_duration(options.patience)}"
    except (redis.RedisError, OSError) as error:
        return told(error, password)


def _ask(connection: redis.Redis, options: RedisOptions, password: str) -> Answer:
    answer = Answer(info=parse_info(_text(_say(connection, "INFO everything"))))
    for key in options.queues:
        try:
            answer.queues.append(_queue(connection, key))
        except redis.ResponseError as error:
            answer.problems.append(f"{key}: {told(error, password)}")
        except CheckError as error:
            answer.problems.append(str(error))
    return answer


def _queue(connection: redis.Redis, key: str) -> Queue:
    """Raises CheckError for a key that is no queue."""
    kind = _text(_say(connection, "TYPE", key))
    if kind == "none":
        return Queue(key, 0)
    if kind not in LENGTHS:
        raise CheckError(f"{key} is a {kind}, which has no length as a queue has")
    length = int(_say(connection, LENGTHS[kind], key))
    return Queue(key, length, _groups(connection, key) if kind == "stream" else [])


def _groups(connection: redis.Redis, key: str) -> list[Group]:
    groups = []
    for reply in _say(connection, "XINFO GROUPS", key):
        group = {_text(name): value for name, value in _pairs(reply)}
        lag = group.get("lag")
        groups.append(Group(_text(group["name"]), int(group["pending"]), None if lag is None else int(lag)))
    return groups


def _say(connection: redis.Redis, *words: str) -> Any:
    """The answer to a command. `INFO everything` in one word is one that the driver does not parse in its own way."""
    return connection.execute_command(*words)  # type: ignore[no-untyped-call]  # the driver has no types here


def _pairs(reply: Any) -> list[tuple[Any, Any]]:
    """Field and value by turns, or a dict, as the driver likes."""
    return list(reply.items()) if isinstance(reply, dict) else list(zip(reply[::2], reply[1::2], strict=True))


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _connection(options: RedisOptions, password: str, deadline: float) -> redis.Redis:
    """One connection, that is not made again."""
    limit = max(0.1, deadline - time.monotonic())
    place: dict[str, Any] = {"host": options.host, "port": options.port}
    if options.socket:
        place = {"unix_socket_path": options.socket}
    elif options.tls:
        place |= {
            "ssl": True,
            "ssl_cert_reqs": "required" if options.verify else "none",
            "ssl_check_hostname": options.verify,
            "ssl_ca_certs": options.ca_file or None,
        }
    return redis.Redis(
        **place,
        db=options.database,
        username=options.user or None,
        password=password or None,
        socket_timeout=limit,
        socket_connect_timeout=limit,
        single_connection_client=True,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
