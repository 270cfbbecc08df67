"""`[backups.NAME.docker]`: volumes of a container engine."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from agent.config.backup_sources.common import Words
from kit.units import Duration


class DockerSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Volumes of Docker or Podman: their files where they lie on this host, and `/docker/volumes.json`, which says
    how to make them anew. Their files belong to root, and so does the run that saves them.
    """

    socket: Annotated[
        str,
        msgspec.Meta(
            description="The engine's socket.",
            pattern=r"\A/",
            examples=["/run/user/1000/podman/podman.sock"],
            extra={"words": "the full path of a socket"},
        ),
    ] = "/run/docker.sock"
    volumes: Annotated[
        tuple[Words, ...],
        msgspec.Meta(
            description="Which volumes, by name (* and ? as in file names). A name that fits none fails the run.",
            examples=[["shop_data", "blog_*"]],
        ),
    ] = ()
    labels: Annotated[
        tuple[Words, ...],
        msgspec.Meta(
            description="Which volumes besides, by label: `NAME`, or `NAME=VALUE`.", examples=[["backup=daily"]]
        ),
    ] = ()
    exclude: Annotated[
        tuple[Words, ...], msgspec.Meta(description="Volumes to leave out.", examples=[["*_cache"]])
    ] = ()
    meanwhile: Annotated[
        Literal["run", "pause", "stop"],
        msgspec.Meta(
            description="What becomes of the running containers that use these volumes until all is read. They go on "
            "afterwards, also where the run fails or is killed.",
            examples=["pause"],
        ),
    ] = "run"
    stop_time: Annotated[
        Duration,
        msgspec.Meta(
            description="How long a container may take to stop before it is killed.",
            examples=["1m"],
            extra={"minimum": Duration(1), "maximum": Duration(3600)},
        ),
    ] = Duration(30)

    def __post_init__(self) -> None:
        if not self.volumes and not self.labels:
            raise ValueError("neither volumes nor labels are named")
