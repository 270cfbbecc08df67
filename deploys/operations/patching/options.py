"""The table `patch` of a host's data. Spans are in seconds, sizes in bytes, names may be patterns of the shell."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
MIB = 1024 * 1024


class BackupOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must be saved before anything is changed."""

    max_age: Positive = 86400.0
    """A job whose last good snapshot is older is run first."""
    jobs: tuple[str, ...] | None = None
    """Names of backup jobs; None for all whose timetable is turned on."""
    verified: bool = True
    """Whether what counts are snapshots that were read back: jobs with `verify`."""
    required: bool = False
    """Whether a host without backup jobs is left alone."""
    limit: Seconds = 6 * 3600.0
    """How long a job may take."""


class PeersOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who else must be well, so that the group goes on without this host."""

    group: str
    """A group of the inventory."""
    healthy: Annotated[int, Meta(ge=1)]
    """How many others of it: their agents run, none of their checks is critical, and nobody is changing them."""


class RestartOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of services that run what was replaced."""

    order: tuple[str, ...] = ()
    """Those of the first name are restarted first, those of none last."""
    kept: tuple[str, ...] = ()
    """These are left as they are, and told."""
    limit: Positive = 180.0
    """How long the restart of one may take."""


class SoakOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the host counts as well again."""

    samples: Annotated[int, Meta(ge=1)] = 5
    """So many looks one after the other must find services and checks no worse than before."""
    every: Positive = 10.0
    limit: Seconds = 300.0
    """If something is worse, how long it may take to get better."""


class PatchOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it."""

    select: Literal["security", "all"] = "security"
    """Updates that come from where security updates do, or all."""
    packages: tuple[str, ...] = ()
    """These alone, wherever their updates come from; names as the package manager has them."""
    exclude: tuple[str, ...] = ()
    """Never these."""
    refresh: bool = True
    """Whether the lists of what there is are fetched first, also for a plan."""
    free: dict[str, int] = msgspec.field(
        default_factory=lambda: {"/": 200 * MIB, "/boot": 50 * MIB, "/var": 200 * MIB}
    )
    """The bytes that must be free in `/`, `/boot` and `/var`."""
    agent: bool = True
    """Whether a host without an agent that is well is left alone."""
    ignore_checks: tuple[str, ...] = ("updates",)
    """Checks of the agent that say nothing for or against a patch."""
    peers: PeersOptions | None = None
    backup: BackupOptions = BackupOptions()
    require_rollback: bool = True
    """Whether a host is left alone where a package as it is now can no longer be had."""
    lock_wait: Annotated[int, Meta(ge=0)] = 300
    """How long another package manager at work is waited for."""
    limit: Positive = 3600.0
    """How long the package manager is waited for; it is never killed."""
    restart: RestartOptions = RestartOptions()
    reboot: bool = False
    """Whether the host may be rebooted, where that is needed."""
    reboot_limit: Positive = 600.0
    soak: SoakOptions = SoakOptions()
