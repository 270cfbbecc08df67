"""RabbitMQ: a real broker with its management plugin, and the pure reading of what it says."""

from __future__ import annotations

import json
import socket
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.contract import Sample
from agent.checks.rabbitmq import (
    Answer,
    Node,
    Objects,
    Overview,
    Queue,
    Rabbitmq,
    RabbitmqOptions,
    Totals,
    dead_letter_queues,
    derive,
)
from kit.units import Duration
from tests.agent.checks.amqp import consumer
from tests.agent.checks.daemons import rabbitmq, until
from tests.agent.checks.servers import Server, certificate, listen
from tests.agent.checks.tree import collect, said, values

PASSWORD = "a-password-that-nobody-may-see"


@pytest.fixture
def password_file(tmp_path: Path) -> str:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    file.chmod(0o600)
    return str(file)


def check(url: str, password_file: str, **settings: Any) -> Rabbitmq:
    return Rabbitmq(
        RabbitmqOptions(**({"url": url, "password_file": password_file, "timeout": Duration(30)} | settings))
    )


class Admin:
    """What only the administrator of a broker may do."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, method: str, path: str, **body: Any) -> Any:
        answer = requests.request(method, f"{self.url}/api/{path}", json=body, auth=("guest", "guest"), timeout=30)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def declare(self, queue: str, **arguments: str) -> None:
        self.call("PUT", f"queues/%2F/{queue}", durable=True, arguments=arguments)

    def publish(self, queue: str, count: int = 1) -> None:
        for _ in range(count):
            self.call(
                "POST",
                "exchanges/%2F/amq.default/publish",
                routing_key=queue,
                payload="x",
                payload_encoding="string",
                properties={},
            )


def test_a_real_broker(password_file: str) -> None:
    """From an empty one to one with consumers, dead letters, a queue without consumers and a wrong password.

    One test, for the broker takes ten seconds to start.
    """
    with rabbitmq() as (url, messages):
        admin = Admin(url)
        until(lambda: requests.get(f"{url}/api/overview", auth=("guest", "guest"), timeout=30).ok, "the API")
        admin.call("PUT", "users/hostward", password=PASSWORD, tags="monitoring")
        empty = collect(check(url, password_file))
        assert said(empty) == []
        measured = values(empty)
        assert (measured["rabbitmq_up"], measured["rabbitmq_nodes_running"], measured["rabbitmq_queues"]) == (1, 1, 0)
        assert empty.summary.startswith("RabbitMQ ")

        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "lost"}
        for queue, more in (("orders", arguments), ("lost", {}), ("idle", {}), ("amq-like", {})):
            admin.declare(queue, **more)
        hidden = until(lambda: (s := collect(check(url, password_file))) and s.findings and s, "the hidden queues")
        message = "4 queues are hidden: user hostward has no permissions in their virtual hosts"
        assert said(hidden) == [("unknown", message)]
        admin.call("PUT", "permissions/%2F/hostward", configure="^$", write="^$", read="^$")
        admin.publish("orders", 5)
        admin.publish("lost", 2)
        admin.publish("idle", 3)

        def counted(expected: dict[str, float], **settings: Any) -> Callable[[], Sample | None]:
            def look() -> Sample | None:
                sample = collect(check(url, password_file, **settings))
                found = values(sample)
                return sample if {name: found.get(name) for name in expected} == expected else None

            return look

        with consumer(messages, "orders"):
            expected = {
                "rabbitmq_queue_ready / orders": 0,
                "rabbitmq_queue_unacknowledged / orders": 5,
                "rabbitmq_queue_consumers / orders": 1,
                "rabbitmq_queue_unattended / orders": 0,
                "rabbitmq_queue_ready / idle": 3,
                "rabbitmq_queue_unattended / idle": 3,
                "rabbitmq_queue_dead_letters / lost": 2,
                "rabbitmq_queue_ready / lost": None,
                "rabbitmq_connections": 1,
                "rabbitmq_unacknowledged": 5,
            }
            sample = until(counted(expected), "the messages")
            assert said(sample) == []
        gone = {
            "rabbitmq_queue_ready / orders": 5,
            "rabbitmq_queue_unattended / orders": 5,
            "rabbitmq_connections": 0,
        }
        until(counted(gone), "the end of the consumer")

        one = collect(check(url, password_file, queues=("orders", "nowhere", "am?-*")))
        assert said(one) == [("critical", "there is no queue nowhere")]
        assert {m.labels["queue"] for m in one.measurements if "queue" in m.labels} == {"orders", "amq-like"}
        few = collect(check(url, password_file, queues_max=1))
        assert said(few) == [("ok", "3 queues more than the 1 largest are not shown")]
        assert not any("queue" in m.labels for m in collect(check(url, password_file, vhosts=("x",))).measurements)

        admin.call("PUT", "users/hostward", password="another", tags="monitoring")
        refused = collect(check(url, password_file))
        assert values(refused) == {"rabbitmq_up": 0}
        ((state, message),) = said(refused)
        assert state == "critical"
        assert "user hostward is refused (status 401)" in message
        assert PASSWORD not in repr(refused)
        admin.call("PUT", "users/hostward", password=PASSWORD, tags="")
        ((state, message),) = said(collect(check(url, password_file)))
        assert "is refused (status 401)" in message


class Imposter(BaseHTTPRequestHandler):
    """Answers every path as it is told."""

    answer: Callable[[BaseHTTPRequestHandler], None]

    def do_GET(self) -> None:
        type(self).answer(self)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def imposter(answer: Callable[[BaseHTTPRequestHandler], None], folder: Path | None = None) -> Iterator[str]:
    """A server that is no broker; with TLS where there is a folder for the certificate. Gives its address."""
    handler = type("Handler", (Imposter,), {"answer": staticmethod(answer)})
    server = Server(("127.0.0.1", 0), handler)
    scheme = "http"
    if folder:
        context, _ = certificate(folder)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def give(body: bytes, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for header, value in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(header, value)
        request.end_headers()
        request.wfile.write(body)

    return answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (give(b"<html>"), "what answers /api/overview is not RabbitMQ's management plugin"),
        (give(b"[1, 2]"), "what answers /api/overview is not RabbitMQ's management plugin"),
        (give(b"\xff\xfe"), "what answers /api/overview is not RabbitMQ's management plugin"),
        (give(b"", 302, Location="http://127.0.0.1:1/"), "answered with status 302"),
        (give(b'{"reason": "not today"}', 503), "answered with status 503: not today"),
        (give(b"x" * (9 * 2**20)), "an answer is larger than 8 MiB"),
    ],
)
def test_what_is_no_broker_is_critical(
    answer: Callable[[BaseHTTPRequestHandler], None], message: str, password_file: str
) -> None:
    """In one sentence, whatever it says."""
    with imposter(answer) as url:
        sample = collect(check(url, password_file))
    assert values(sample) == {"rabbitmq_up": 0}
    assert said(sample) == [("critical", f"{url.removeprefix('http://')}: {message}")]


def test_an_answer_that_repeats_the_password_does_not_show_it(password_file: str) -> None:
    """What a server says is shown without it."""
    with imposter(give(json.dumps({"reason": f"no {PASSWORD}!"}).encode(), 500)) as url:
        sample = collect(check(url, password_file))
    assert PASSWORD not in repr(sample)
    assert "no ***!" in said(sample)[0][1]


def test_a_password_may_be_any_text(tmp_path: Path) -> None:
    """It travels as UTF-8, which is how the broker reads it."""
    secret = tmp_path / "secret"
    secret.write_text("€uro pässword")
    secret.chmod(0o600)
    seen: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.append(request.headers["Authorization"])
        give(b"", 503)(request)

    with imposter(answer) as url:
        collect(check(url, str(secret)))
    assert b64decode(seen[0].removeprefix("Basic ")).decode() == "hostward:€uro pässword"


def test_tls_is_verified(password_file: str, tmp_path: Path) -> None:
    """By the authorities that are configured, unless anybody may answer."""
    with imposter(give(b"{}", 503), tmp_path) as url:
        ca_file = str(tmp_path / "certificate.pem")
        for settings in ({"ca_file": ca_file}, {"verify": False}):
            assert "answered with status 503" in said(collect(check(url, password_file, **settings)))[0][1]
        assert "the TLS certificate is not trusted" in said(collect(check(url, password_file)))[0][1]


def silence(connection: socket.socket, stop: threading.Event) -> None:
    stop.wait(30)


def drip(connection: socket.socket, stop: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not stop.wait(0.05):
        connection.sendall(b" ")


@pytest.mark.parametrize("talk", [silence, drip])
def test_a_server_that_takes_its_time_is_given_up_in_time(talk: Any, password_file: str) -> None:
    """Silent, or with one byte now and then."""
    started = time.monotonic()
    with listen(talk) as port:
        sample = collect(check(f"http://127.0.0.1:{port}", password_file, timeout=Duration(1)))
    assert said(sample) == [("critical", f"127.0.0.1:{port}: no answer within 500ms")]
    assert time.monotonic() - started < 60


def test_a_closed_port_is_critical(password_file: str) -> None:
    """With the system's reason."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sample = collect(check(f"http://127.0.0.1:{port}", password_file))
    assert said(sample) == [("critical", f"127.0.0.1:{port}: Connection refused")]


def whole() -> Sample:
    """A sample with every reading that there is, and all that can be wrong."""
    queue = {"vhost": "/", "consumers": 0, "messages": 9, "messages_ready": 7, "messages_unacknowledged": 2}
    answer = Answer(
        overview=Overview("3.13.0", "c", Totals(20, 4), Objects(5, 6, 7, 8)),
        nodes=[
            Node("rabbit@a", True, 60, 100, True, 5e9, True, ["rabbit@b"]),
            Node("rabbit@c"),
        ],
        queues=[
            msgspec.convert(queue | {"name": "orders"}, Queue),
            msgspec.convert(queue | {"name": "orders.dlq"}, Queue),
            Queue("lost", "/", "down"),
        ],
    )
    return derive(RabbitmqOptions(password_file="/x"), answer)


def test_what_the_answers_mean() -> None:
    """Each thing that is wrong in one sentence."""
    sample = whole()
    measured = values(sample)
    assert measured["rabbitmq_node_memory_used_percent rabbit@a"] == 60
    assert measured["rabbitmq_queue_unattended / orders"] == 7
    assert measured["rabbitmq_queue_dead_letters / orders.dlq"] == 9
    assert measured["rabbitmq_nodes_running"] == 1
    assert said(sample) == [
        ("critical", "node rabbit@a takes no messages: its memory is full"),
        ("critical", "node rabbit@a takes no messages: its disk is full"),
        ("critical", "node rabbit@a is cut off from rabbit@b"),
        ("critical", "node rabbit@c is not running"),
        ("critical", "queue lost of / is down"),
    ]


def test_queues_of_dead_letters_are_found_by_arguments_and_by_policies() -> None:
    """Where they go through the default exchange; a policy's empty value is a list."""
    policy = {"dead-letter-exchange": "", "dead-letter-routing-key": "b.dead"}
    queues = [
        Queue("a", "/", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "a.dead"}),
        Queue("b", "v", effective_policy_definition=policy),
        Queue("c", "/", arguments={"x-dead-letter-exchange": "other", "x-dead-letter-routing-key": "x"}),
        Queue("d", "/", effective_policy_definition=[]),
        Queue("e", "/", arguments={"x-dead-letter-exchange": ""}),
    ]
    assert dead_letter_queues(queues) == {("/", "a.dead"), ("v", "b.dead")}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["name", "vhost", "state", "consumers", "messages_ready", "arguments"]), JSON))
def test_any_queue_is_read_or_refused(document: dict[str, Any]) -> None:
    """Never with anything but the decoder's own error."""
    try:
        queue = msgspec.json.decode(msgspec.json.encode(document), type=Queue)
    except msgspec.ValidationError:
        return
    dead_letter_queues([queue])


@pytest.mark.parametrize("url", ["http://u:p@127.0.0.1", "http://127.0.0.1:0", "http://[::1", "http://:15672"])
def test_an_address_that_cannot_be_used_is_refused(url: str) -> None:
    """When the configuration is read."""
    with pytest.raises(ValueError, match="url"):
        RabbitmqOptions(url=url, password_file="/x")
