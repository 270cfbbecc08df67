"""What container engines answer: as Docker's documentation has it, and as real ones gave it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.engine import Container, EngineError, parse_container, parse_list, parse_time

DOCKER_ID = "dfb21dd2ae9b02a0bc12afd0a7cff8f4eea6f1bb30f8cbe9b4d1b6e2aeb2b3a4"

# Docker 20.10, a service that a health check fails on: of its answer, what is read and what surrounds it.
DOCKER = {
    "Id": DOCKER_ID,
    "Created": "2023-05-02T09:11:07.482112301Z",
    "Path": "docker-entrypoint.sh",
    "Args": ["nginx", "-g", "daemon off;"],
    "State": {
        "Status": "running",
        "Running": True,
        "Paused": False,
        "Restarting": False,
        "OOMKilled": False,
        "Dead": False,
        "Pid": 24181,
        "ExitCode": 0,
        "Error": "",
        "StartedAt": "2023-05-02T09:11:08.025170231Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
        "Health": {
            "Status": "unhealthy",
            "FailingStreak": 4,
            "Log": [
                {
                    "Start": "2023-05-02T09:13:08.2Z",
                    "End": "2023-05-02T09:13:08.3Z",
                    "ExitCode": 1,
                    "Output": "curl: (7) Failed to connect",
                }
            ],
        },
    },
    "Image": "sha256:3b25b682ea82",
    "Name": "/shop_web_1",
    "RestartCount": 2,
    "Driver": "overlay2",
}
DOCKER_LIST = [
    {"Id": DOCKER_ID, "Names": ["/proxy/web", "/shop_web_1"], "State": "running", "Status": "Up 2 hours (unhealthy)"},
    {"Id": "0123456789abcdef", "Names": None, "State": "removing"},
]

# Podman 4.3, which names no health where there is no check of it.
PODMAN = {
    "Id": "c7fa26fc51fb",
    "Name": "/r",
    "State": {
        "Status": "exited",
        "OOMKilled": False,
        "ExitCode": 4,
        "StartedAt": "2026-11-22T04:38:51.97123463+02:00",
        "FinishedAt": "2026-11-22T04:38:51.973844497+02:00",
        "Health": {"Status": "", "FailingStreak": 0, "Log": None},
    },
    "RestartCount": 3,
}


def test_dockers_answers_are_read() -> None:
    """Of a container's names, the one that is its own."""
    assert parse_list(json.dumps(DOCKER_LIST).encode()) == {
        DOCKER_ID: "shop_web_1",
        "0123456789abcdef": "0123456789ab",
    }
    found = parse_container(json.dumps(DOCKER).encode(), "shop_web_1")
    started = 1683018668.02517
    assert found == Container(DOCKER_ID, "shop_web_1", "running", 0, False, 2, "unhealthy", started, None)
    without = {**DOCKER, "State": {"Status": "exited", "OOMKilled": True, "ExitCode": 137}}
    assert parse_container(json.dumps(without).encode(), "x").oom_killed


def test_podmans_answers_are_read() -> None:
    """With times in another zone."""
    found = parse_container(json.dumps(PODMAN).encode(), "r")
    assert (found.state, found.exit_code, found.restarts, found.health) == ("exited", 4, 3, "")
    assert found.finished == pytest.approx(1795315131.973844)


@pytest.mark.parametrize("text", ["", "0001-01-01T00:00:00Z", "never", "2023-05-02T09:11:08", "9999-99-99T00:00:00Z"])
def test_what_has_not_happened_has_no_time(text: str) -> None:
    """Go's zero, too."""
    assert parse_time(text) is None


@pytest.mark.parametrize("data", [b"", b"{}", b"[]x", b'[{"Names": []}]', b'{"message": "no"}', b"\xff", b"[" * 5000])
def test_another_list_is_refused(data: bytes) -> None:
    """In one sentence."""
    with pytest.raises(EngineError, match="the list of containers is not as an engine gives it"):
        parse_list(data)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"Id": "x"}', b'{"Id": "x", "State": {"Status": 7}}', b"\xff"])
def test_another_container_is_refused(data: bytes) -> None:
    """In one sentence."""
    with pytest.raises(EngineError, match="what is said of the container x is not as an engine gives it"):
        parse_container(data, "x")


leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
documents = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["Id", "Names", "State", "Status", "Health", "RestartCount"]), inner)
    ),
    max_leaves=12,
)


@given(st.binary(max_size=100) | documents.map(lambda document: json.dumps(document).encode()))
def test_any_answer_is_read_or_refused(data: bytes) -> None:
    """With the one error that is documented."""
    for parse in (parse_list, lambda data: parse_container(data, "x")):
        found: Any = None
        try:
            found = parse(data)
        except EngineError as error:
            assert str(error)
        else:
            assert found is not None
