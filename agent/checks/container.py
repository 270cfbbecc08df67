"""Containers of Docker or Podman: which run, how healthy they are, how often they were started again, how they ended.

Both speak the Docker Engine's API over a Unix socket. What they say is read in engine.py; who asks them is
engine_client.py, which only the child imports that does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec

from agent.checks.contract import (
    Check,
    CheckError,
    CheckOptions,
    Context,
    Every,
    Finding,
    Measurement,
    Rule,
    Sample,
    Threshold,
)
from agent.checks.engine import Container, EngineError
from agent.checks.patterns import is_chosen
from kit.units import Duration

DOCKER = "/run/docker.sock"
DAY = 86400
WINDOW = 3600
"""Seconds in which restarts are counted."""
MAX_HISTORY = 100
MAX_CONTAINERS = 120
"""Each has up to seven readings, of which a check may have a thousand."""
ENDED = ("exited", "stopped")
"""Podman calls it stopped until it has cleared up."""
GOOD_ENDS = (0, 137, 143)
"""Exit codes: by itself, and by SIGKILL and SIGTERM, with which engines stop a container when somebody says so."""


class ContainerOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The containers of an engine, and those that must run."""

    every: Every = Duration(60)
    socket: Annotated[
        str,
        msgspec.Meta(
            description="The engine's socket, which the agent must be allowed to write to.",
            pattern=r"\A/",
            examples=["/run/user/1000/podman/podman.sock"],
            extra={"words": "the full path of a socket"},
        ),
    ] = DOCKER
    containers: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="Which to watch, by name (* and ? as in file names).", examples=[["shop-*"]]),
    ] = ("*",)
    exclude: Annotated[
        tuple[str, ...], msgspec.Meta(description="Containers to leave out.", examples=[["build-*"]])
    ] = ()
    expected: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Containers of which, for each name or pattern, at least one must run.",
            examples=[["shop-web", "shop-worker-*"]],
        ),
    ] = ()
    restarts: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of how often the engine started a container again within an hour."),
    ] = Threshold(warning=1, critical=5)


History = list[tuple[float, int]]
"""When a count of restarts was first seen to be so, oldest first: what was within WINDOW, and one from before."""


class ContainerCheck(Check[ContainerOptions]):
    """The containers of this host."""

    Options = ContainerOptions
    runs = "job"
    lasting = True

    def rules(self) -> list[Rule]:
        """Restarts."""
        phrase = "{container} was started again {value} times within an hour"
        return [Rule("container_recent_restarts", self.options.restarts, phrase)]

    def collect(self, context: Context) -> Sample:
        """Ask the engine for all containers, then for each that was chosen."""
        # http.client takes 2 MB: only the child that asks pays for it.
        from agent.checks.engine_client import Engine

        options = self.options
        engine = Engine(str(context.system.path(options.socket.lstrip("/"))), options.patience)
        chosen = (*options.containers, *options.expected)
        try:
            names = sorted((name, id_) for id_, name in engine.containers().items())
            names = [(name, id_) for name, id_ in names if is_chosen(name, chosen, options.exclude)]
            looked = [engine.inspect(id_, name) for name, id_ in names[:MAX_CONTAINERS]]
        except EngineError as error:
            raise CheckError(f"{options.socket}: {error}") from None
        before = msgspec.convert(context.previous or {}, dict[str, History])
        sample = derive(options, [one for one in looked if one], before, context.now)
        if len(names) <= MAX_CONTAINERS:
            return sample
        left_out = Finding("unknown", f"{len(names) - MAX_CONTAINERS} containers were not looked at; choose fewer")
        return Sample(sample.measurements, [*sample.findings, left_out], sample.summary, sample.memory)


def derive(
    options: ContainerOptions, found: Sequence[Container], before: Mapping[str, History], now: float
) -> Sample:
    """What is to be said of the containers that were looked at."""
    measurements: list[Measurement] = []
    findings = [
        Finding("critical", f"{_instead(pattern, found)}")
        for pattern in options.expected
        if not any(one.is_running for one in found if fnmatchcase(one.name, pattern))
    ]
    memory: dict[str, History] = {}
    for one in found:
        expected = any(fnmatchcase(one.name, pattern) for pattern in options.expected)
        memory[one.id] = remember(before.get(one.id, []), one.restarts, now)
        recent = one.restarts - memory[one.id][0][1]
        measurements += _readings(one, recent, now)
        if finding := judge_container(one, expected=expected, now=now):
            findings.append(finding)
    states = Counter(one.state for one in found)
    states["running"] += 0
    measurements += [Measurement("containers", n, labels={"state": state}) for state, n in sorted(states.items())]
    summary = f"{states['running']} of {len(found)} containers running"
    return Sample(measurements, findings, summary, memory)


def judge_container(container: Container, *, expected: bool, now: float) -> Finding | None:
    """What is wrong with it, if anything. A bad end is told for a day: ended containers may lie about for ever."""
    name = container.name
    recent = container.finished is not None and now - container.finished < DAY
    match container.state:
        case "running" if container.health == "unhealthy":
            return Finding("critical" if expected else "warning", f"{name} is unhealthy")
        case "restarting":
            ended = f" after exit code {container.exit_code}" if container.exit_code else ""
            return Finding("warning", f"{name} is being started again{ended}")
        case "dead":
            return Finding("critical", f"{name} is dead: the engine could not remove it")
        case state if state in ENDED and recent and container.oom_killed:
            return Finding("critical", f"{name} was killed: out of memory")
        case state if state in ENDED and recent and container.exit_code not in GOOD_ENDS:
            return Finding("warning", f"{name} ended with exit code {container.exit_code}")
    return None


def remember(history: History, restarts: int, now: float) -> History:
    """The history with what is seen now, and without what is longer ago than WINDOW, but for the last before it."""
    if history and history[-1][1] > restarts:  # started by hand, which begins the count anew
        history = []
    if not history or history[-1][1] != restarts:
        history = [*history, (now, restarts)]
    while len(history) > 1 and history[1][0] <= now - WINDOW:
        history = history[1:]
    return history[:1] + history[1:][-MAX_HISTORY:]


def _readings(container: Container, recent: int, now: float) -> list[Measurement]:
    labels = {"container": container.name}
    readings = [
        Measurement("container_running", float(container.is_running), labels=labels),
        Measurement("container_restarts_total", container.restarts, labels=labels),
        Measurement("container_recent_restarts", recent, labels=labels),
        Measurement("container_oom_killed", float(container.oom_killed), labels=labels),
    ]
    if container.health:
        readings.append(Measurement("container_healthy", float(container.health == "healthy"), labels=labels))
    if container.is_running and container.started is not None:
        readings.append(Measurement("container_uptime_seconds", max(0.0, now - container.started), "seconds", labels))
    if not container.is_running and container.finished is not None:
        readings.append(Measurement("container_exit_code", container.exit_code, labels=labels))
    return readings


def _instead(pattern: str, found: Sequence[Container]) -> str:
    """How those stand that are meant by `pattern`, none of which runs."""
    meant = [one for one in found if fnmatchcase(one.name, pattern)]
    if not meant:
        return f"there is no container {pattern}"
    if len(meant) > 1:
        return f"none of {len(meant)} containers {pattern} is running"
    ended = f" with exit code {meant[0].exit_code}" if meant[0].state in ENDED else ""
    return f"{meant[0].name} is {meant[0].state}{ended}"
