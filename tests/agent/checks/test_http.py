"""URLs: real requests to real servers, and the pure judging of answers."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.contract import CheckError, Measurement, Sample
from agent.checks.http import Answer, Http, HttpOptions, Value, judge_answer, resolve, to_number
from agent.checks.http_request import request
from kit.units import Duration, Size
from tests.agent.checks.servers import Running, certificate, listen, serve
from tests.agent.checks.tree import collect, said, values


@pytest.fixture
def server() -> Iterator[Running]:
    with serve() as running:
        yield running


def options(url: str, **settings: Any) -> HttpOptions:
    return HttpOptions(url=url, **({"timeout": Duration(10)} | settings))


def got(url: str, **settings: Any) -> Sample:
    return collect(Http(options(url, **settings)))


def test_a_page_that_answers_is_up(server: Running) -> None:
    """With its status and time."""
    sample = got(f"{server.url}/health")
    assert said(sample) == []
    found = values(sample)
    assert (found["http_up"], found["http_status_code"]) == (1, 200)
    assert 0 < found["http_response_seconds"] < 10
    assert sample.summary.startswith("status 200 after ")


@pytest.mark.parametrize(
    ("status", "expected", "message"),
    [
        (503, (), "answered with status 503"),
        (404, (), "answered with status 404"),
        (404, (404,), None),
        (200, (204, 301), "answered with status 200, expected 204 or 301"),
    ],
)
def test_the_status_must_be_right(
    server: Running, status: int, expected: tuple[int, ...], message: str | None
) -> None:
    """Below 400, or one of those that are configured."""
    sample = got(f"{server.url}/status/{status}", status=expected)
    assert said(sample) == ([("critical", message)] if message else [])
    assert values(sample)["http_up"] == (message is None)


def test_the_body_must_match(server: Running) -> None:
    """A regular expression, found anywhere."""
    assert said(got(f"{server.url}/health", match='"status": *"ok"')) == []
    sample = got(f"{server.url}/health", match="down")
    assert said(sample) == [("critical", "the body does not match 'down'")]


def test_headers_must_be_there_and_match(server: Running) -> None:
    """Without regard to the case of their names."""
    wanted = {"x-frame-options": "DENY", "Content-Type": "", "Strict-Transport-Security": "", "Server": "^nginx"}
    assert said(got(f"{server.url}/health", required_headers=wanted)) == [
        ("critical", "the header Strict-Transport-Security is missing"),
        ("critical", "the header Server does not match '^nginx'"),
    ]


def test_values_become_readings(server: Running) -> None:
    """By JSON Pointer, escapes included; true is 1."""
    picked = (
        Value(name="depth", pointer="/queue/depth", warning=5),
        Value(name="ratio", pointer="/queue/a~1b/m~0n", unit="percent"),
        Value(name="oldest", pointer="/items/0/age", unit="seconds"),
        Value(name="up", pointer="/up", worse="below", critical=0),
    )
    check = Http(options(f"{server.url}/health", values=picked))
    sample = collect(check)
    assert said(sample) == []
    found = values(sample)
    assert (found["depth"], found["ratio"], found["oldest"], found["up"]) == (7, 1.5, 3, 1)
    assert Measurement("oldest", 3, "seconds") in list(sample.measurements)
    rules = {rule.measurement: rule.bounds for rule in check.rules()}
    assert rules["depth"].warning == 5
    assert rules["up"].worse == "below"


def test_values_that_are_not_there_are_unknown(server: Running) -> None:
    """Each with how far the pointer led; the others are readings all the same."""
    picked = [
        ("a", "/queue/length/x"),
        ("b", "/items/1"),
        ("c", "/status"),
        ("d", "/no"),
        ("e", ""),
        ("f", "/items/00"),
    ]
    sample = got(
        f"{server.url}/health",
        values=tuple(Value(name=name, pointer=at) for name, at in [*picked, ("depth", "/queue/depth")]),
    )
    assert said(sample) == [
        ("unknown", "a: there is nothing at /queue/length"),
        ("unknown", "b: there is nothing at /items/1"),
        ("unknown", "c: text where a number was expected"),
        ("unknown", "d: null where a number was expected"),
        ("unknown", "e: an object where a number was expected"),
        ("unknown", "f: there is nothing at /items/00"),
    ]
    assert values(sample)["depth"] == 7


def test_wrong_json_gives_no_values(server: Running) -> None:
    """The page may be fine otherwise."""
    sample = got(f"{server.url}/status/200", values=(Value(name="a", pointer="/a"),))
    assert said(sample) == [("unknown", "the body is not JSON, so no values were read")]
    assert values(sample)["http_up"] == 1


def test_a_giant_body_is_read_up_to_its_limit(server: Running) -> None:
    """What is looked for behind that is not found, and the message says why."""
    sample = got(f"{server.url}/big", match="y", body_max=Size(65536), values=(Value(name="a", pointer="/a"),))
    assert said(sample) == [
        ("critical", "the body does not match 'y' in the first 64KiB"),
        ("unknown", "the body is larger than 64KiB, so no values were read"),
    ]
    assert said(got(f"{server.url}/big")) == []


def test_a_compressed_bomb_is_read_up_to_its_limit(server: Running) -> None:
    """Fifty megabytes that travel as fifty kilobytes."""
    answer = request(options(f"{server.url}/bomb"), time.monotonic() + 10)
    assert isinstance(answer, Answer)
    assert (len(answer.body), answer.truncated) == (1 << 20, True)


@pytest.mark.parametrize(("path", "body"), [("latin", "größe"), ("martian", "größe"), ("chunked", "hello world")])
def test_bodies_are_text(server: Running, path: str, body: str) -> None:
    """By the charset they name, or UTF-8 where nobody knows it; in chunks too."""
    answer = request(options(f"{server.url}/{path}"), time.monotonic() + 10)
    assert isinstance(answer, Answer)
    assert answer.body == body


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("loop", "redirected more than 10 times"),
        ("file", "the address, or one that it redirects to, cannot be used"),
        ("broken", "the body cannot be decompressed"),
        ("cut", "the connection was closed before the answer was complete"),
    ],
)
def test_what_goes_wrong_is_said_in_one_sentence(server: Running, path: str, message: str) -> None:
    """And the page is down."""
    sample = got(f"{server.url}/{path}")
    assert said(sample) == [("critical", f"127.0.0.1:{server.port}: {message}")]
    assert values(sample) == {"http_up": 0}


@pytest.mark.parametrize("path", ["silence", "drip"])
def test_a_server_that_takes_its_time_is_given_up_in_time(server: Running, path: str) -> None:
    """Silent, or with one byte now and then, which would never run into a time limit for each read."""
    sample = got(f"{server.url}/{path}", timeout=Duration(1))
    assert said(sample) == [("critical", f"127.0.0.1:{server.port}: no answer within 500ms")]


def test_redirects_are_followed_or_not(server: Running) -> None:
    """Whatever their bodies are."""
    assert values(got(f"{server.url}/hop"))["http_status_code"] == 200
    assert values(got(f"{server.url}/endless"))["http_status_code"] == 200
    assert values(got(f"{server.url}/hop", follow_redirects=False))["http_status_code"] == 302


def test_the_request_is_as_configured(server: Running, tmp_path: Path) -> None:
    """Method, headers, body, and a header from a file; nothing from the environment."""
    secret = tmp_path / "token"
    secret.write_text("Bearer s3cret\n")
    secret.chmod(0o640)
    got(
        f"{server.url}/health",
        method="POST",
        headers={"X-One": "1"},
        header_files={"Authorization": str(secret)},
        body='{"ping": "ü"}',
    )
    ((method, path, headers, body),) = server.seen
    assert (method, path, body.decode()) == ("POST", "/health", '{"ping": "ü"}')
    assert (headers["x-one"], headers["authorization"]) == ("1", "Bearer s3cret")
    assert headers["user-agent"].startswith("hostward/")


def test_secrets_do_not_follow_a_redirect_to_another_host(server: Running, tmp_path: Path) -> None:
    """They do where the host is the same."""
    secret = tmp_path / "token"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    server.handler.elsewhere = f"http://localhost:{server.port}/health"
    files = {"X-Api-Key": str(secret), "Authorization": str(secret)}
    got(f"{server.url}/hop", header_files=files)
    got(f"{server.url}/away", header_files=files)
    sent = [(path, "x-api-key" in headers, "authorization" in headers) for _, path, headers, _ in server.seen]
    assert sent == [
        ("/hop", True, True),
        ("/health", True, True),
        ("/away", True, True),
        ("/health", False, False),
    ]


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        ("s3cret", 0o644, "can be read or changed by every user"),
        ("s3cret\nx: y", 0o600, "must hold one line of printable ASCII"),
        ("s3crët", 0o600, "must hold one line of printable ASCII"),
        ("\n", 0o600, "must hold one line of printable ASCII"),
        (None, 0, "cannot be read: No such file or directory"),
    ],
)
def test_secrets_are_kept(server: Running, tmp_path: Path, content: str | None, mode: int, message: str) -> None:
    """A file that others can read, or that holds no header's value, is refused without showing what is in it."""
    secret = tmp_path / "token"
    if content is not None:
        secret.write_text(content)
        secret.chmod(mode)
    with pytest.raises(CheckError, match=message) as caught:
        got(f"{server.url}/health", header_files={"Authorization": str(secret)})
    assert "s3cr" not in str(caught.value).replace(str(tmp_path), "")
    assert server.seen == []


def test_the_environment_changes_nothing(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither proxies nor a bundle of authorities are taken from it."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert said(got(f"{server.url}/health")) == []


def test_tls_is_verified_with_the_authorities_given(tmp_path: Path) -> None:
    """Those of the system do not know this one; another file neither; and one may do without."""
    context, file = certificate(tmp_path)
    (tmp_path / "other").mkdir()
    _, other = certificate(tmp_path / "other")
    with serve(context) as server:
        assert said(got(f"{server.url}/health", ca_file=str(file))) == []
        assert said(got(f"{server.url}/health", verify=False)) == []
        for wrong in ({}, {"ca_file": str(other)}):
            (finding,) = said(got(f"{server.url}/health", **wrong))
            assert finding[0] == "critical"
            assert "the TLS certificate is not trusted: self-signed certificate" in finding[1]


def test_a_certificate_that_has_expired_is_not_trusted(tmp_path: Path) -> None:
    """With the reason."""
    context, file = certificate(tmp_path, expired=True)
    with serve(context) as server:
        (finding,) = said(got(f"{server.url}/health", ca_file=str(file)))
        assert finding[1].endswith("the TLS certificate is not trusted: certificate has expired")


def test_authorities_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    """Of the configuration, not of the server."""
    with pytest.raises(CheckError, match=r"none\.pem cannot be read"):
        got("https://127.0.0.1:1/", ca_file=str(tmp_path / "none.pem"))


def test_tls_to_a_server_without_it_fails(server: Running) -> None:
    """And says that it was TLS."""
    (finding,) = said(got(server.url.replace("http:", "https:")))
    assert "TLS failed" in finding[1]


@pytest.mark.parametrize(
    ("said_by_server", "expected"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "what answered does not speak HTTP"),
        (b"\0" * 100, "what answered does not speak HTTP"),
        (b"HTTP/1.1 what\r\n\r\n", "what answered does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", "what answered does not speak HTTP"),
        (b"", "the connection was closed without an answer"),
    ],
)
def test_what_does_not_speak_http_is_down(said_by_server: bytes, expected: str) -> None:
    """Whatever it says."""

    def talk(connection: socket.socket, stop: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(said_by_server)

    with listen(talk) as port:
        assert said(got(f"http://127.0.0.1:{port}/")) == [("critical", f"127.0.0.1:{port}: {expected}")]


def test_nobody_there_is_down() -> None:
    """A port that is closed, and a name that is none."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert said(got(f"http://127.0.0.1:{port}/?token=x")) == [("critical", f"127.0.0.1:{port}: Connection refused")]
    ((state, message),) = said(got("http://nowhere.invalid/"))
    assert state == "critical"
    assert message.startswith("nowhere.invalid: ")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "ftp://h/"}, "matching regex"),
        ({"url": "http://user:pw@h/"}, "must not hold a user or password"),
        ({"url": "http:///x"}, "has no host"),
        ({"url": "http://h:99999/"}, "url cannot be used: Port out of range"),
        ({"url": "http://[::1/"}, "url cannot be used"),
        ({"match": "("}, "match is not a regular expression"),
        ({"required_headers": {"Server": "["}}, r"required_headers\.Server is not a regular expression"),
        ({"headers": {"X": "a\nb"}}, r"headers\.X must be printable ASCII"),
        ({"headers": {"X Y": "a"}}, "'X Y' is not the name of a header"),
        ({"header_files": {"X:": "/f"}}, "'X:' is not the name of a header"),
        ({"values": [{"name": "a", "pointer": "a"}]}, "matching regex"),
        ({"values": [{"name": "a", "pointer": "/~2"}]}, "matching regex"),
        ({"values": [{"name": "a", "pointer": ""}] * 2}, "the name a is taken"),
        ({"values": [{"name": "http_up", "pointer": ""}]}, "the name http_up is taken"),
        ({"values": [{"name": "a", "pointer": "", "warning": 2, "critical": 1}]}, "warning must be at most critical"),
        (
            {"values": [{"name": "a", "pointer": "", "worse": "below", "warning": 1, "critical": 2}]},
            "at least critical",
        ),
    ],
)
def test_options_that_cannot_be_meant_are_refused(settings: dict[str, Any], message: str) -> None:
    """When the configuration is read, not at the first run."""
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert({"url": "http://h/"} | settings, HttpOptions)


# The examples of RFC 6901, section 5.
RFC_DOCUMENT = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        ("", RFC_DOCUMENT),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_pointers_point_as_the_standard_says(pointer: str, expected: object) -> None:
    """RFC 6901's own examples."""
    assert resolve(RFC_DOCUMENT, pointer) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(json_values, st.text())
def test_a_key_is_found_by_its_escaped_name(value: Any, key: str) -> None:
    """Whatever is in it."""
    token = key.replace("~", "~0").replace("/", "~1")
    assert resolve({key: [value]}, f"/{token}/0") == value


@given(json_values | st.just(10**400), st.text())
def test_any_document_gives_a_number_or_a_reason(document: Any, pointer: str) -> None:
    """Nothing else is raised."""
    try:
        assert abs(to_number(resolve(document, pointer))) < float("inf")
    except LookupError as error:
        assert error.args[0]


@given(st.text() | json_values.map(json.dumps), st.integers(100, 599), st.booleans())
def test_any_answer_is_judged(body: str, status: int, truncated: bool) -> None:
    """Whatever the server sends."""
    which = options("http://h/", values=(Value(name="a", pointer="/a/0"),), match="x", required_headers={"A": ""})
    sample = judge_answer(which, Answer(status, 0.1, {}, body, truncated))
    assert values(sample)["http_status_code"] == status


def test_deeply_nested_json_is_no_json() -> None:
    """It would take more stack than there is."""
    which = options("http://h/", values=(Value(name="a", pointer="/a"),))
    sample = judge_answer(which, Answer(200, 0.1, {}, "[" * 100_000))
    assert said(sample) == [("unknown", "the body is not JSON, so no values were read")]
