"""What a rollout's journal holds: one event a line, from which its state follows (`rollout.rules.state`).

Times are seconds since the epoch by this machine's clock.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from rollout.protocol import Health
from rollout.rules.amount import Amount
from wire.rollout import Outcome

VERSION = 1
"""Of the journal; it grows when an older runner would misunderstand."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How to go on: the same after a resume."""

    deploy: str
    """As it was given."""
    file: str
    """The deploy's file, absolute."""
    inventory: str
    """A file, absolute, or what pyinfra takes for an inventory."""
    folder: str
    """The working directory."""
    data: dict[str, str] = {}
    max_failures: Amount = Amount(0)
    samples: int = 3
    """Good looks at a host, one after the other, that open the gate; 0 for no gate."""
    every: float = 5.0
    """Seconds between two."""
    patience: float = 60.0
    """Seconds for which a gate may be closed before its hosts count as failed."""
    timeout: float = 3600.0
    """Seconds for one host of one wave."""
    parallel: int = 0
    """Hosts of a wave at one time; 0 for all."""
    window: float | None = 3600.0
    """Seconds for which a maintenance window is asked for, and asked for anew; None for no window."""
    reboots: int = 1
    """Hosts that may reboot at one time."""
    home: str | None = None
    """The home file, absolute; None for no home."""
    home_required: bool = False
    """Whether a home that is away pauses the rollout."""


class Started(msgspec.Struct, frozen=True, kw_only=True, tag="started"):
    """The first event."""

    version: int = VERSION
    time: float
    id: str
    who: str
    hostward: str
    settings: Settings
    waves: list[tuple[str, list[str]]]
    """Name, and hosts."""
    known_as: dict[str, str] = {}
    """Hosts that home knows by other names."""


class Resumed(msgspec.Struct, frozen=True, kw_only=True, tag="resumed"):
    """Somebody goes on with it."""

    time: float
    who: str


class WaveBegan(msgspec.Struct, frozen=True, kw_only=True, tag="wave_began"):
    """Its hosts are next."""

    time: float
    wave: int


class WindowOpened(msgspec.Struct, frozen=True, kw_only=True, tag="window_opened"):
    """Home has a window for the wave's hosts."""

    wave: int
    window: str


class Before(msgspec.Struct, frozen=True, kw_only=True, tag="before"):
    """How agents were before the deploy first ran on their hosts: what a gate compares with, also after a kill."""

    health: list[Health]
    at_home: dict[str, str] = {}
    """The states of those that home knows, as it has them."""


class HostBegan(msgspec.Struct, frozen=True, kw_only=True, tag="host_began"):
    """From here on the host may have been changed."""

    time: float
    host: str


class HostVersions(msgspec.Struct, frozen=True, kw_only=True, tag="host_versions"):
    """Versions before and after, by package."""

    host: str
    before: dict[str, str | None]
    after: dict[str, str | None]


class HostEnded(msgspec.Struct, frozen=True, kw_only=True, tag="host_ended"):
    """The host is done with, well or not."""

    time: float
    host: str
    state: Literal["done", "failed", "unreachable"]
    changed: int = 0
    message: str = ""
    outcome: Outcome | None = None


class GateBegan(msgspec.Struct, frozen=True, kw_only=True, tag="gate_began"):
    """The wave's hosts are looked at."""

    time: float
    wave: int


class WaveEnded(msgspec.Struct, frozen=True, kw_only=True, tag="wave_ended"):
    """The wave is over; `ok` when its gate opened, whoever of its hosts failed before."""

    time: float
    wave: int
    ok: bool


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """Nobody goes on with it, until it is resumed."""

    time: float
    state: Literal["paused", "aborted", "failed", "done"]
    message: str = ""


Event = (
    Started
    | Resumed
    | WaveBegan
    | WindowOpened
    | Before
    | HostBegan
    | HostVersions
    | HostEnded
    | GateBegan
    | WaveEnded
    | Ended
)
