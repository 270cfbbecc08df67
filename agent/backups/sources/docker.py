"""Volumes of Docker or Podman: their files where the engine has them, and a description by which to make them anew.

What is asked of the engine: https://docs.docker.com/reference/api/engine/, `VolumeList`, `ContainerList` and
`ContainerInspect`. Podman's "compatible" API gives the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from io import BytesIO
from pathlib import Path

import msgspec

from agent.backups.sources.containers import PATIENCE, Held, guarded, resume_left
from agent.backups.sources.contract import Contents, Run, SourceError
from agent.backups.sources.patterns import chosen
from agent.checks.engine import EngineError
from agent.checks.engine_client import Engine
from agent.config.backup_sources.docker import DockerSource
from backup.archive.streams import Stream
from kit.terminal import clean

DESCRIPTION = "/docker/volumes.json"
_THEN = "no snapshot was made"


class Volume(msgspec.Struct, frozen=True):
    """As the engine tells of it."""

    Name: str
    Mountpoint: str
    Driver: str = ""
    Labels: dict[str, str] | None = None
    Options: dict[str, str] | None = None


class _Listed(msgspec.Struct):
    Volumes: list[Volume] | None = None


class _Mount(msgspec.Struct):
    Type: str = ""
    Name: str = ""


class _State(msgspec.Struct, frozen=True):
    Status: str = ""


class _HostConfig(msgspec.Struct, frozen=True):
    AutoRemove: bool = False


class Using(msgspec.Struct):
    """A container, as the engine tells of it."""

    State: _State = _State()
    Mounts: list[_Mount] | None = None
    HostConfig: _HostConfig = _HostConfig()


@contextmanager
def opened(options: DockerSource, run: Run) -> Iterator[Contents]:
    """Find the volumes, and hold up the containers that use them where that is wanted."""
    run.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    note = run.state / f"containers-{run.job}.json"
    if problems := resume_left(note):
        raise SourceError(f"of a run before this one: {'; '.join(problems)}; {_THEN}")
    engine = Engine(options.socket, PATIENCE)
    try:
        volumes = wanted(options, parse_volumes(engine.get("/volumes")))
        using = {} if options.meanwhile == "run" else _using(engine, {volume.Name for volume in volumes})
        stopped = options.meanwhile == "stop"
        if stopped and (temporary := [name for name, found in using.values() if found.HostConfig.AutoRemove]):
            raise SourceError(f"container {temporary[0]} is removed when it stops (--rm): expected pause; {_THEN}")
        names = {id_: name for id_, (name, _) in using.items()}
        with ExitStack() as stack:
            if names:
                stack.enter_context(guarded(Held(options.socket, names, stopped, str(note))))
                _hold_up(options, names)
            yield Contents(
                paths=tuple(os.fsencode(volume.Mountpoint) for volume in volumes),
                streams=(Stream(DESCRIPTION, lambda: nullcontext(BytesIO(description(volumes)))),),
                names=(str(Path(DESCRIPTION).parent),),
            )
    except EngineError as error:
        raise SourceError(f"{options.socket}: {error}; {_THEN}") from None


def parse_volumes(data: bytes) -> list[Volume]:
    """The answer to `GET /volumes`. Raises EngineError."""
    try:
        return msgspec.json.decode(data, type=_Listed).Volumes or []
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise EngineError("the list of volumes is not as an engine gives it") from None


def wanted(options: DockerSource, there: list[Volume]) -> list[Volume]:
    """Those that are meant, by name. Raises SourceError where there are none, or one is out of reach."""
    by_name = {volume.Name: volume for volume in there}
    names = set(chosen(by_name, options.volumes, options.exclude, what="volume"))
    labelled = [name for name, volume in by_name.items() if any(has(volume, label) for label in options.labels)]
    names.update(chosen(labelled, ("*",), options.exclude, what="volume"))
    if not names:
        raise SourceError(f"there is no such volume; {_THEN}")
    for name in sorted(names):
        if not by_name[name].Mountpoint or not Path(by_name[name].Mountpoint).is_dir():
            raise SourceError(
                f"volume {clean(name)} has no folder on this host that this user may enter "
                f"({clean(by_name[name].Mountpoint) or 'none'}); {_THEN}"
            )
    return [by_name[name] for name in sorted(names)]


def has(volume: Volume, label: str) -> bool:
    """Whether it is so labelled: `NAME`, or `NAME=VALUE`."""
    name, equals, value = label.partition("=")
    labels: Mapping[str, str] = volume.Labels or {}
    return name in labels and (not equals or labels[name] == value)


def description(volumes: list[Volume]) -> bytes:
    """What `docker volume create` needs to know."""
    told = [{"Name": one.Name, "Driver": one.Driver, "Labels": one.Labels, "Options": one.Options} for one in volumes]
    return msgspec.json.format(msgspec.json.encode(told, order="sorted"), indent=2) + b"\n"


def _using(engine: Engine, volumes: set[str]) -> dict[str, tuple[str, Using]]:
    """The containers that run and use one of the volumes: by id, name and what is told. Raises EngineError."""
    found = {}
    for id_, name in engine.containers().items():
        answer = engine.get_container(id_)
        if answer is None:
            continue
        try:
            told = msgspec.json.decode(answer, type=Using)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise EngineError(f"what is said of the container {name} is not as an engine gives it") from None
        mounted = {mount.Name for mount in told.Mounts or [] if mount.Type == "volume"}
        if told.State.Status == "running" and mounted & volumes:
            found[id_] = (name, told)
    return found


def _hold_up(options: DockerSource, names: Mapping[str, str]) -> None:
    stop_time = int(options.stop_time)
    verb, patience = (
        (f"stop?t={stop_time}", stop_time + PATIENCE) if options.meanwhile == "stop" else ("pause", PATIENCE)
    )
    for id_, name in names.items():
        try:
            Engine(options.socket, patience).act(id_, verb)
        except EngineError as error:
            raise SourceError(f"container {name}: {error}; {_THEN}") from None
