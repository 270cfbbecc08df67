"""What the runner and the engine's process say to each other: JSON, one message a line.

The runner writes an `Order` to the process's standard input, and after it the answers to what is asked. What comes
of it are `Message`s on its standard output, and `Told` when there are no more; then the next order may follow. The
input's end means that the runner is gone, and everything ends too. The process moves both elsewhere before it loads
any library: nothing can wait for a person, and what libraries print goes to standard error, or the order's log.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from wire.status import Check

Outcome = Literal["left_alone", "rolled_back", "broken"]
"""As deploys.kit.notes has it."""


LOOKED = 0
"""In place of the number of an Ask; those begin with 1."""


SHAKING = 40
"""Hosts that are connected to at one time: ssh's handshakes are work, and each must be done within its time."""
HANDSHAKE = 60.0
"""Seconds for it, beside those in which the connection itself must be made."""
STATUS = 30
"""Seconds for an agent to say how it is."""
LOOK = 10.0 + HANDSHAKE + 2 * STATUS
"""Seconds that a look at one host may take in all."""


class Order(msgspec.Struct, frozen=True, kw_only=True, tag="order"):
    """What the process shall do, once.

    `describe`: read the inventory and tell of each host. `deploy`: run the deploy on the hosts, after a look at some.
    `dry`: what it would change. `gate`: ask each host's agent how it is.
    """

    task: Literal["describe", "deploy", "dry", "gate"]
    inventory: str
    """A file, or anything that pyinfra takes for one."""
    folder: str
    """The working directory that paths in inventory and deploy count from."""
    rollout: str = ""
    """Its id, by which a rollout that is resumed goes on with what it held on hosts."""
    data: dict[str, str] = {}
    """`--data KEY=VALUE`."""
    hosts: list[str] = []
    """Names of the wave's hosts; all when empty, for `describe`."""
    deploy: str = ""
    """A file. Of `describe`, one of ours has what it would take from each host's data looked at."""
    look: list[str] = []
    """Those of the hosts whose agent is asked how it is before `deploy` begins on any."""
    parallel: int = 0
    """Hosts at one time; 0 for all of them."""
    failures: int | None = None
    """How many of the hosts may fail in `deploy`: after one more, no other is begun. None for all of them."""
    connect_timeout: float = 10.0
    """Seconds."""
    timeout: float = 3600.0
    """Seconds after which a host that is not done has failed."""
    silence: float = 30.0
    """Seconds without a sign of life of a host after which its connection is lost."""
    log: str = ""
    """A file to which is appended what libraries print. Whoever sends the order names it."""
    diff: bool = False
    """Whether `dry` tells what files would become."""


class Described(msgspec.Struct, frozen=True, kw_only=True, tag="described"):
    """A host of the inventory."""

    host: str
    groups: list[str]
    zone: str = ""
    """Its data `zone`, where it has one."""
    known_as: str
    """Its name at home: its data `hostward_name`, or its name here."""


class Began(msgspec.Struct, frozen=True, kw_only=True, tag="began"):
    """The process could connect to the host."""

    host: str


class Phase(msgspec.Struct, frozen=True, kw_only=True, tag="phase"):
    """What the host is doing now."""

    host: str
    text: str


class Versions(msgspec.Struct, frozen=True, kw_only=True, tag="versions"):
    """What a deploy says of versions; by package."""

    host: str
    before: dict[str, str | None]
    after: dict[str, str | None]


class Planned(msgspec.Struct, frozen=True, kw_only=True, tag="planned"):
    """For `dry`: one operation that would change something, with the difference of its file as `diff -u` has it."""

    host: str
    operation: str
    diff: str = ""


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """The host is done with; each host of a wave gets exactly one of these, or `Spared`, unless the process dies."""

    host: str
    state: Literal["done", "failed", "unreachable"]
    changed: int = 0
    """Operations that changed something."""
    message: str = ""
    """Why it failed, in one sentence."""
    outcome: Outcome | None = None
    """How a host that failed was left, where the deploy said."""
    data: dict[str, object] = {}
    """What a deploy that asks has found out."""
    lines: tuple[str, ...] = ()
    """The same for people."""


class Spared(msgspec.Struct, frozen=True, kw_only=True, tag="spared"):
    """The host was not begun, for too many others had failed. It is said in place of `Ended`."""

    host: str


class Health(msgspec.Struct, frozen=True, kw_only=True, tag="health"):
    """For `gate` and `look`: what `hostward status --json` says on a host."""

    host: str
    reachable: bool
    installed: bool = False
    running: bool = False
    version: str | None = None
    time: float = 0.0
    """The host's clock."""
    checks: list[Check] = []
    problem: str = ""
    """Why it is not known, where it is not."""


class Looked(msgspec.Struct, frozen=True, kw_only=True, tag="looked"):
    """All of `look` were told of. The deploy begins with the runner's `Answer` to the number LOOKED."""


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """A host waits for leave to do `what` (`reboot`). The runner answers with a line of `Answer`."""

    number: int
    host: str
    what: str


class GiveBack(msgspec.Struct, frozen=True, kw_only=True, tag="give_back"):
    """The host has done it, was refused, asks no more, or lost its leave before it began; then it asks anew."""

    number: int


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """The order cannot be carried out at all: the inventory, the deploy, or the data is wrong. Nothing was done."""

    message: str


class Told(msgspec.Struct, frozen=True, kw_only=True, tag="told"):
    """Nothing more comes of the order."""


Message = Described | Began | Phase | Versions | Planned | Ended | Spared | Health | Looked | Ask | GiveBack | Refused


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """To an Ask or Looked; and again each time the leave is kept for longer, or is lost to somebody else."""

    number: int
    granted: bool
    until: float | None = None
    """The machine's uptime (rollout.uptime) at which leave that is not kept for longer is over; None for no end."""
    reason: str = ""
    """Why not."""
