"""What home's process asks of the one that works on a repository, and what that answers: JSON, a line each."""

from __future__ import annotations

import msgspec

Names = tuple[str, ...]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the working process may use."""

    nice: int
    memory: int
    """Bytes of addresses (RLIMIT_AS)."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Where the repository is, and what opens it. Secrets come this way, and by no argument and no environment."""

    location: str
    environment: dict[str, str]
    """For the store."""
    password: str | None
    """None: home has none, so files are all that can be seen."""


class Look(msgspec.Struct, frozen=True, kw_only=True, tag="look"):
    """List the snapshots, and look into those that are new."""

    new: Names
    """Names of those that are not known yet, in the order of their receipt. One that is not there is left out."""
    bases: Names = ()
    """Names of known ones, beside which it is counted what is new in the others."""


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of one snapshot."""

    name: str
    claimed: float | None = None
    hostname: str = ""
    paths: Names = ()
    tags: Names = ()
    """Those about WAL."""
    bytes: int | None = None
    files: int | None = None
    changed: int | None = None
    problem: str = ""
    """Why it cannot be restored, though its file is as it was sent; '' otherwise."""
    unmeasured: str = ""
    """Why home could not find out what is in it, so that it may be whole; '' otherwise."""


class Seen(msgspec.Struct, frozen=True, kw_only=True, tag="seen"):
    """The answer to Look."""

    present: Names
    looked: tuple[Looked, ...] = ()
    rotten: Names = ()
    """Names of snapshots whose files are not what was once sent: home's disk changed them."""
    no_indexes: int = 0
    """Index files that came as none. Programs that restore may stop at one."""


class Remove(msgspec.Struct, frozen=True, kw_only=True, tag="remove"):
    """Forget snapshots, and prune where there is a password."""

    names: Names
    broken: Names = ()
    """Snapshots, also among `names`, that never were whole, or never were any."""
    locks: Names = ()
    """Those that hosts may hold."""
    stale_locks: Names = ()
    """Those that nobody renewed for so long that their owner is gone, if home's clock was right all the time."""
    ranks: dict[str, float] = {}
    """Packs to when they were received; those that are not named are home's own, and come first."""
    now: float
    """By home's clock."""
    wait: float = 0.0
    """Seconds that a lock of somebody else is waited for."""


class Removed(msgspec.Struct, frozen=True, kw_only=True, tag="removed"):
    """The answer to Remove."""

    names: Names
    pruned: bool = False
    packs_removed: int = 0
    packs_rewritten: int = 0
    bytes_freed: int = 0
    bytes_used: int = 0
    """That snapshots need, as stored."""


class Verify(msgspec.Struct, frozen=True, kw_only=True, tag="verify"):
    """Check the structure, and read a part of the data."""

    part: str
    """As `backup.select.sizes.parse_subset` has it."""


class Verified(msgspec.Struct, frozen=True, kw_only=True, tag="verified"):
    """The answer to Verify."""

    snapshots: int
    packs_read: int
    bytes_read: int
    count: int = 0
    """Problems."""
    problems: Names = ()
    """The first of them."""
    touched: Names = ()
    """Snapshots of which something is lost."""


class Changed(msgspec.Struct, frozen=True, kw_only=True, tag="changed"):
    """What the process did to files, before each last answer, so that receipts agree with what is there."""

    added: dict[str, dict[str, int]]
    """Kind to name to bytes."""
    removed: dict[str, Names]


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """The answer where something went wrong: nothing was changed, or what was is whole."""

    message: str
    locked: bool = False
    """Somebody else works on the repository."""
    damaged: bool = False
    """Something that is needed is not what it should be."""
    absent: bool = False
    """There is no repository yet."""


Task = Look | Remove | Verify
Answer = Seen | Removed | Verified | Changed | Failed


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The one line that the working process reads. Its standard input stays open: at its end the process ends."""

    access: Access
    limits: Limits
    task: Task
