"""What a container engine says of its containers. Pure: the bytes of an answer in, containers out.

Docker: https://docs.docker.com/reference/api/engine/, `ContainerList` and `ContainerInspect`. Podman's "compatible"
API gives the same, with less in it: https://docs.podman.io/en/latest/_static/api.html. So nothing but a container's
id and state is taken for granted.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import msgspec


class EngineError(Exception):
    """The engine cannot be asked, or what it says makes no sense; the text is the whole reason."""


@dataclass(frozen=True, slots=True)
class Container:
    """One container. Times are in seconds since the epoch, None for what has not happened."""

    id: str
    name: str
    state: str
    """Docker has created, running, paused, restarting, removing, exited and dead; Podman some more."""
    exit_code: int = 0
    oom_killed: bool = False
    restarts: int = 0
    """How often the engine started it again, since it was made or started by hand."""
    health: str = ""
    """starting, healthy, unhealthy; empty for a container that has no check of its health."""
    started: float | None = None
    finished: float | None = None

    @property
    def is_running(self) -> bool:
        """Paused is not running: it answers nobody."""
        return self.state == "running"


class _Listed(msgspec.Struct):
    Id: str
    Names: list[str] | None = None


class _Health(msgspec.Struct):
    Status: str = ""


class _State(msgspec.Struct):
    Status: str
    OOMKilled: bool = False
    ExitCode: int = 0
    StartedAt: str = ""
    FinishedAt: str = ""
    Health: _Health | None = None


class _Inspected(msgspec.Struct):
    Id: str
    State: _State
    RestartCount: int = 0


def parse_list(data: bytes) -> dict[str, str]:
    """Id to name of each container: the answer to `GET /containers/json`. Raises EngineError."""
    try:
        listed = msgspec.json.decode(data, type=list[_Listed])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise EngineError("the list of containers is not as an engine gives it") from None
    # Docker gives a container the names of links to it too, which have another slash in them.
    return {one.Id: _own_name(one.Names or []) or one.Id[:12] for one in listed}


def parse_container(data: bytes, name: str) -> Container:
    """The container called `name`: the answer to `GET /containers/ID/json`. Raises EngineError."""
    try:
        found = msgspec.json.decode(data, type=_Inspected)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise EngineError(f"what is said of the container {name} is not as an engine gives it") from None
    state = found.State
    health = state.Health.Status if state.Health else ""
    return Container(
        id=found.Id,
        name=name,
        state=state.Status,
        exit_code=state.ExitCode,
        oom_killed=state.OOMKilled,
        restarts=max(0, found.RestartCount),
        health="" if health == "none" else health,
        started=parse_time(state.StartedAt),
        finished=parse_time(state.FinishedAt),
    )


def parse_time(text: str) -> float | None:
    """A time as Go writes it (RFC 3339, nanoseconds) as seconds since the epoch; None for its zero, or for none."""
    try:
        found = datetime.datetime.fromisoformat(text)
        seconds = found.timestamp() if found.tzinfo else None
    except (ValueError, OverflowError):
        return None
    return seconds if seconds is not None and seconds > 0 else None


def _own_name(names: list[str]) -> str:
    return next((name.lstrip("/") for name in names if "/" not in name.lstrip("/")), "")
