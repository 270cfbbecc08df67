"""Several hosts on a bridge of their own, and everything that is to be cleaned up after them.

Each fleet has a number, which names its bridge and its network, and a folder with that number, which a lock says is
in use. A fleet that was killed leaves the lock open: the next one removes what is left of it.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.fleet.command import FleetError, command
from tests.fleet.host import Host, remove
from tests.fleet.layers import CACHE, layers, probe

RUNS = CACHE / "runs"
MOST = 100
"""Fleets on one machine."""
HOSTS = 3


@dataclass
class Fleet:
    """A bridge, and the hosts on it."""

    number: int
    layers: list[Path]
    """What its hosts are made from, the lowest first."""
    _taken: set[int] = field(default_factory=set)

    @property
    def blank(self) -> list[Path]:
        """What hosts are made from that have Debian, Python and sshd, and nothing of ours."""
        return self.layers[:1]

    @property
    def bridge(self) -> str:
        """The bridge's name among the network's devices."""
        return f"hwfleet{self.number}"

    @property
    def folder(self) -> Path:
        """What belongs to this fleet."""
        return RUNS / str(self.number)

    @property
    def address(self) -> str:
        """This machine, for the hosts: where tests serve what the hosts use. A network for tests, RFC 2544."""
        return f"198.18.{self.number}.1"

    @property
    def key(self) -> Path:
        """The key that opens each host."""
        return self.folder / "key"

    @contextmanager
    def hosts(self, count: int = HOSTS, made_from: list[Path] | None = None) -> Iterator[list[Host]]:
        """New hosts, each as it was made, of the fleet's layers or others; they are gone when the block ends."""
        with ExitStack() as stack:
            made = [stack.enter_context(self._host(made_from or self.layers)) for _ in range(count)]
            for host in made:
                host.wait()
            yield made

    @contextmanager
    def _host(self, made_from: list[Path]) -> Iterator[Host]:
        number = next(n for n in range(1, 200) if n not in self._taken)
        self._taken.add(number)
        name = f"host{number}"
        folder = self.folder / name
        folder.mkdir()
        address = self.address.removesuffix(".1") + f".{10 + number}"
        # nspawn names the host's end of the network after this, and cuts it to 15 characters.
        machine = f"hwf{self.number}-{name}"
        host = Host(name, address, folder, self.bridge, self.key, machine)
        try:
            host.start(made_from)
            yield host
        finally:
            host.stop()
            self._taken.discard(number)


@contextmanager
def fleet(checkout: Path) -> Iterator[Fleet]:
    """A fleet whose hosts have the agent of `checkout`, until the block ends.

    Raises UnavailableError where there can be none, FleetError when making it fails.
    """
    probe()
    made = layers(checkout)
    RUNS.mkdir(mode=0o700, exist_ok=True)
    number, lock = _number()
    with lock:
        new = Fleet(number, made)
        new.folder.mkdir(mode=0o700)
        try:
            command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "fleet", "-f", str(new.key))
            command("ip", "link", "add", "name", new.bridge, "type", "bridge")
            command("ip", "address", "add", f"{new.address}/24", "dev", new.bridge)
            command("ip", "link", "set", new.bridge, "up")
            yield new
        finally:
            _clean(number)


def _number() -> tuple[int, IO[str]]:
    """A number that is free, with its lock; what fleets that ended badly left is removed on the way."""
    mine: tuple[int, IO[str]] | None = None
    for number in range(MOST):
        path = RUNS / f"{number}.lock"
        if mine is not None and not path.exists():
            continue
        file = path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        _clean(number)
        if mine is None:
            mine = number, file
        else:
            file.close()
    if mine is None:
        raise FleetError(f"{MOST} fleets run on this machine")
    return mine


def _clean(number: int) -> None:
    """Remove what a fleet made. Its lock is held."""
    gone = Fleet(number, [])
    for folder in sorted(gone.folder.glob("host*")):
        remove(folder)
    if Path(f"/sys/class/net/{gone.bridge}").exists():
        with suppress(FleetError):
            command("ip", "link", "delete", gone.bridge)
    shutil.rmtree(gone.folder, ignore_errors=True)
